/*
 * target.c
 *		Find and lock the instance or visit that a caller names.
 *
 * Rights are checked first: a role without them may neither lock an instance nor wait for its lock.
 * Then the instance's row is locked, so that what is read after that stays true until the end of
 * the transaction. A visit that ended while the lock was waited for is looked up in the history,
 * like any other that has ended.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/target.h"
#include "model/issue.h"
#include "store/late.h"
#include "store/operation.h"
#include "store/task.h"

/* What is asked for, and by which role. */
typedef struct Request
{
	int64		instance;
	int64		visit; /* 0: the instance itself */
	Oid			role;
	WfPrivilege privilege;
	WfPrivilege other;
	bool		tasks;	  /* whoever may have the task of the visit needs no privilege */
	bool		claims;	  /* no privilege helps */
	bool		has_task; /* the role may, or might before somebody else was faster */
	char	   *step;	  /* step for which alone the role has the privilege; NULL: none was looked at */
} Request;

static void
report_unknown_target(const Request *request)
{
	ereport(
		ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
		request->visit == 0 ? errmsg("instance " INT64_FORMAT " does not exist", request->instance)
							: errmsg("serial number " INT64_FORMAT "_" INT64_FORMAT " does not exist",
									 request->instance, request->visit),
		request->visit == 0 ? errdetail("It was never started, or is no longer kept in the history.")
		: request->tasks
			? errdetail(
				  "It was never issued, is no longer kept in the history, or is of a task that is not, or no longer, yours.")
			: errdetail("It was never issued, or is no longer kept in the history."));
}

void
wf_target_refuse_claim(const WfSerial *serial, Oid role)
{
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("role \"%s\" may not claim the task of " INT64_FORMAT "_" INT64_FORMAT,
				   GetUserNameFromId(role, false), serial->instance, serial->visit),
			errdetail("The task is for members of other roles."),
			errhint("Who may administer the process gives it to somebody by workflow.reassign."));
}

/* May the role complete visits of this step, though not of the whole process? */
static bool
has_step(Request *request, int process_id)
{

	if (request->visit == 0 || request->privilege != WF_PRIVILEGE_COMPLETE || !wf_privilege_by_step(process_id) ||
		!wf_privilege_has_any(process_id, request->role))
		return false;
	request->step = wf_late_step(request->instance, request->visit);
	if (request->step == NULL)
		report_unknown_target(request);
	return wf_privilege_has_step(process_id, request->role, request->step);
}

/* May the role have the task of the visit, or has it that? */
static bool
has_task(Request *request)
{
	request->has_task |= request->tasks && wf_task_admits(request->instance, request->visit, request->role);
	return request->has_task;
}

/*
 * Check the role's rights on the process. To a role without any privilege on it, the instance is
 * unknown, whether it exists or not.
 */
static void
require_rights(Request *request, int process_id)
{
	if (wf_privilege_has(process_id, request->role, request->privilege) || has_task(request) ||
		has_step(request, process_id))
		return;
	if (request->claims && wf_privilege_has_any(process_id, request->role))
		wf_target_refuse_claim(&(WfSerial){request->instance, request->visit}, request->role);
	if (!wf_privilege_admits(process_id, request->role, request->privilege, request->other))
		report_unknown_target(request);
}

/*
 * Check the rights on an instance that is not locked. Returns the process for which they were
 * checked; 0 if the instance does not live.
 */
static int
require_for_living(Request *request)
{
	WfLiving *living;
	int		  process_id = 0;

	if (wf_batch_living(&request->instance, 1, &living) > 0)
	{
		process_id = living->process_id;
		require_rights(request, process_id);
	}
	pfree(living);
	return process_id;
}

/*
 * Lock the instance and check the rights. A free lock is taken first: nobody waits because of it,
 * and it is released with the error. If the lock is not free, only roles with the right wait for
 * it. Superusers have every right.
 *
 * Returns the process of the instance, for which the rights are checked; 0 if it does not live.
 */
static int
lock_with_rights(WfTarget *target, Request *request)
{
	int64 instance = request->instance;
	int	  checked = 0;

	memset(target, 0, sizeof(*target));
	target->batch = wf_batch_begin();
	target->batch->caller = request->role;
	target->batch->by_call = true;
	if (!superuser_arg(request->role) && wf_batch_lock(target->batch, &instance, 1, WF_LOCK_SKIP) == 0)
		checked = require_for_living(request);
	if (wf_batch_instance(target->batch, instance) == NULL)
		wf_batch_lock(target->batch, &instance, 1, WF_LOCK_WAIT);
	target->instance = wf_batch_instance(target->batch, instance);
	if (target->instance == NULL)
		return 0;
	target->process_id = target->instance->process->process_id;
	if (target->process_id != checked)
		require_rights(request, target->process_id);
	return target->process_id;
}

void
wf_target_instance(WfTarget *target, int64 instance, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	Request request = {instance, 0, role, privilege, other};

	if (lock_with_rights(target, &request) != 0)
		return;
	if (!wf_late_instance(instance, &target->process_id))
		report_unknown_target(&request);
	require_rights(&request, target->process_id);
	wf_late_require_seen(instance, 0);
}

/* Load the visit, of the locked instance or from the history. Returns false if it is in neither. */
static bool
load_target_visit(WfTarget *target, const WfSerial *serial)
{
	if (target->instance != NULL)
	{
		wf_batch_load_visits(target->batch, &serial->instance, &serial->visit, 1);
		target->visit = wf_batch_visit(target->batch, serial->instance, serial->visit);
	}
	if (target->visit == NULL)
		return wf_late_visit(serial->instance, serial->visit, &target->process_id, NULL);
	target->process_id = target->instance->process->process_id;
	return true;
}

bool
wf_target_find_visit(WfTarget *target, const WfSerial *serial)
{
	memset(target, 0, sizeof(*target));
	target->batch = wf_batch_begin();
	target->batch->by_call = true;
	if (wf_batch_lock(target->batch, &serial->instance, 1, WF_LOCK_WAIT) > 0)
		target->instance = wf_batch_instance(target->batch, serial->instance);
	return load_target_visit(target, serial);
}

static void
find_visit(WfTarget *target, const WfSerial *serial, Request *request)
{
	int checked = lock_with_rights(target, request);

	if (!load_target_visit(target, serial))
		report_unknown_target(request);
	/* another version may have given the step of the visit another name, before its instance was locked */
	if (target->process_id != checked ||
		(request->step != NULL && target->visit != NULL && strcmp(request->step, target->visit->step) != 0))
		require_rights(request, target->process_id);
	target->by_task = request->has_task;
	if (target->visit == NULL)
		wf_late_require_seen(serial->instance, serial->visit);
}

void
wf_target_visit(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	Request request = {serial->instance, serial->visit, role, privilege, other};

	find_visit(target, serial, &request);
}

void
wf_target_task(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege)
{
	Request request = {serial->instance, serial->visit, role, privilege, privilege, true};

	find_visit(target, serial, &request);
}

void
wf_target_claim(WfTarget *target, const WfSerial *serial, Oid role)
{
	Request request = {.instance = serial->instance,
					   .visit = serial->visit,
					   .role = role,
					   .privilege = WF_PRIVILEGE_ADMIN,
					   .other = WF_PRIVILEGE_ADMIN,
					   .tasks = true,
					   .claims = true};

	find_visit(target, serial, &request);
}

static void
look(WfTarget *target, const WfSerial *serial, Request *request)
{
	memset(target, 0, sizeof(*target));
	target->batch = wf_batch_begin();
	if (wf_batch_lock(target->batch, &serial->instance, 1, WF_LOCK_NONE) > 0)
		target->instance = wf_batch_instance(target->batch, serial->instance);
	if (!load_target_visit(target, serial))
		report_unknown_target(request);
	require_rights(request, target->process_id);
}

void
wf_target_look(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege)
{
	Request request = {serial->instance, serial->visit, role, privilege, privilege};

	look(target, serial, &request);
}

void
wf_target_task_later(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege, bool claims)
{
	Request request = {.instance = serial->instance,
					   .visit = serial->visit,
					   .role = role,
					   .privilege = privilege,
					   .other = privilege,
					   .tasks = true,
					   .claims = claims};

	look(target, serial, &request);
}

/* The process of an instance that lives, or has ended; 0: neither. */
static int
process_of_started(int64 instance)
{
	WfLiving *living;
	int		  process_id = 0;

	if (wf_batch_living(&instance, 1, &living) > 0)
		process_id = living->process_id;
	else
		(void) wf_late_instance(instance, &process_id);
	pfree(living);
	return process_id;
}

/* The same, or of one that is still to be started. One that has been started meanwhile, between two looks, is there by now. */
static int
process_of(int64 instance)
{
	int process_id = process_of_started(instance);

	if (process_id == 0)
		process_id = wf_operation_starts(instance);
	return process_id != 0 ? process_id : process_of_started(instance);
}

void
wf_target_instance_later(WfTarget *target, int64 instance, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	Request request = {instance, 0, role, privilege, other};

	memset(target, 0, sizeof(*target));
	target->process_id = process_of(instance);
	if (target->process_id == 0)
		report_unknown_target(&request);
	require_rights(&request, target->process_id);
}

int
wf_target_process_later(int64 instance, Oid role)
{
	int process_id = process_of(instance);

	return process_id != 0 && wf_privilege_has_any(process_id, role) ? process_id : 0;
}

static const char *
step_name_of(const void *names, int i)
{
	const WfDefinition *def = names;

	return i == def->process_step ? NULL : def->steps[i].name;
}

const char *
wf_target_perhaps_step(const WfDefinition *def, const char *name)
{
	int near = wf_issue_nearest(name, def, def->nsteps, step_name_of);

	return near >= 0 ? wf_issue_perhaps(def->steps[near].name, name) : NULL;
}

int
wf_target_step(const WfProcess *process, const char *name)
{
	const WfDefinition *def = process->def;
	int					step = wf_definition_step(def, name);
	const char		   *perhaps;

	if (step >= 0 && step != def->process_step)
		return step;
	perhaps = wf_target_perhaps_step(def, name);
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("version %d of process \"%s\" has no step \"%s\"", process->version, process->name,
				   wf_issue_clip(name)),
			perhaps != NULL ? errhint("%s", perhaps) : 0);
}
