/*
 * target.c
 *		Finding and locking what a caller names.
 *
 * Rights are checked first: nobody else may lock an instance, nor stand in the queue for it. Then its row is locked, so that
 * what is read after that stays true until the end of the transaction. A visit that ended while the lock was waited for
 * is looked up in the history like any other that has ended.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/target.h"
#include "store/late.h"

/* Returns the process for which the rights were checked; 0: of one that does not live, and so is not locked. */
static int
require_for_living(int64 instance, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	WfLiving   *living;
	int			process_id = 0;

	if (wf_batch_living(&instance, 1, &living) > 0)
	{
		process_id = living->process_id;
		wf_privilege_require(process_id, role, privilege, other);
	}
	pfree(living);
	return process_id;
}

/*
 * Lock it and check the rights. A lock that is free is taken first, which makes nobody wait, and is gone again with the
 * error; one that is not is waited for by those only who may. Superusers may always. Returns the process of an instance that
 * lives, for which the rights are checked; 0: none does.
 */
static int
lock_with_rights(WfTarget *target, int64 instance, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	int			checked = 0;

	memset(target, 0, sizeof(*target));
	target->batch = wf_batch_begin();
	target->batch->caller = role;
	if (!superuser_arg(role) && wf_batch_lock(target->batch, &instance, 1, WF_LOCK_SKIP) == 0)
		checked = require_for_living(instance, role, privilege, other);
	if (wf_batch_instance(target->batch, instance) == NULL)
		wf_batch_lock(target->batch, &instance, 1, WF_LOCK_WAIT);
	target->instance = wf_batch_instance(target->batch, instance);
	if (target->instance == NULL)
		return 0;
	target->process_id = target->instance->process->process_id;
	if (target->process_id != checked)
		wf_privilege_require(target->process_id, role, privilege, other);
	return target->process_id;
}

void
wf_target_instance(WfTarget *target, int64 instance, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	if (lock_with_rights(target, instance, role, privilege, other) != 0)
		return;
	if (!wf_late_instance(instance, &target->process_id))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("instance " INT64_FORMAT " does not exist", instance),
				errdetail("It was never started, or is no longer kept in the history."));
	wf_privilege_require(target->process_id, role, privilege, other);
}

/* Of the instance, if that is locked. False: it is nowhere. */
static bool
load_visit(WfTarget *target, const WfSerial *serial)
{
	if (target->instance != NULL)
	{
		wf_batch_load_visits(target->batch, &serial->instance, &serial->visit, 1);
		target->visit = wf_batch_visit(target->batch, serial->instance, serial->visit);
	}
	if (target->visit == NULL)
		return wf_late_visit(serial->instance, serial->visit, &target->process_id);
	target->process_id = target->instance->process->process_id;
	return true;
}

bool
wf_target_find_visit(WfTarget *target, const WfSerial *serial)
{
	memset(target, 0, sizeof(*target));
	target->batch = wf_batch_begin();
	if (wf_batch_lock(target->batch, &serial->instance, 1, WF_LOCK_WAIT) > 0)
		target->instance = wf_batch_instance(target->batch, serial->instance);
	return load_visit(target, serial);
}

void
wf_target_visit(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	int			checked = lock_with_rights(target, serial->instance, role, privilege, other);

	if (!load_visit(target, serial))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("serial number " INT64_FORMAT "_" INT64_FORMAT " does not exist",
					   serial->instance, serial->visit),
				errdetail("It was never issued, or is no longer kept in the history."));
	if (target->process_id != checked)
		wf_privilege_require(target->process_id, role, privilege, other);
}
