/*
 * target.c
 *		Finding and locking what a caller names.
 *
 * The instance's row is locked first, so that what is then read stays true until the end of the transaction. A visit
 * that ended while the lock was waited for is looked up in the history like any other that has ended.
 */
#include "postgres.h"

#include "api/target.h"
#include "store/late.h"

void
wf_target_instance(WfTarget *target, int64 instance)
{
	memset(target, 0, sizeof(*target));
	target->batch = wf_batch_begin();
	wf_batch_lock(target->batch, &instance, 1, WF_LOCK_WAIT);
	target->instance = wf_batch_instance(target->batch, instance);
	if (target->instance != NULL)
		target->process_id = target->instance->process->process_id;
	else if (!wf_late_instance(instance, &target->process_id))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("instance " INT64_FORMAT " does not exist", instance),
				errdetail("It was never started, or is no longer kept in the history."));
}

bool
wf_target_find_visit(WfTarget *target, const WfSerial *serial)
{
	memset(target, 0, sizeof(*target));
	target->batch = wf_batch_begin();
	if (wf_batch_lock(target->batch, &serial->instance, 1, WF_LOCK_WAIT) > 0)
	{
		target->instance = wf_batch_instance(target->batch, serial->instance);
		wf_batch_load_visits(target->batch, &serial->instance, &serial->visit, 1);
		target->visit = wf_batch_visit(target->batch, serial->instance, serial->visit);
	}
	if (target->visit == NULL)
		return wf_late_visit(serial->instance, serial->visit, &target->process_id);
	target->process_id = target->instance->process->process_id;
	return true;
}

void
wf_target_visit(WfTarget *target, const WfSerial *serial)
{
	if (!wf_target_find_visit(target, serial))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("serial number " INT64_FORMAT "_" INT64_FORMAT " does not exist",
					   serial->instance, serial->visit),
				errdetail("It was never issued, or is no longer kept in the history."));
}
