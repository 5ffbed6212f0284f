/*
 * task.c
 *		workflow.claim, unclaim and reassign: who has a task.
 *
 * Whoever calls holds the instance, as workflow.complete does: so two who claim a task wait for each other, and one who claims it for
 * the clock that ends it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "api/operation.h"
#include "api/target.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/durable.h"
#include "store/late.h"
#include "store/task.h"
#include "store/version.h"

#define MAX_PERSON_BYTES 200

WF_FUNCTION(workflow_claim);
WF_FUNCTION(workflow_unclaim);
WF_FUNCTION(workflow_reassign);

typedef struct Call
{
	const char	  *name;
	WfSerial	   serial;
	const char	  *person;
	Oid			   role; /* of reassign */
	bool		   claims;
	WfAccess	   access;
	WfTarget	   target;
	WfTaskRow	  *task; /* NULL: it is over */
	WfTaskStanding standing;
} Call;

static void
read_person(FunctionCallInfo fcinfo, int n, Call *call)
{
	call->person = wf_argument_text(fcinfo, n);
	if (call->person != NULL && (call->person[0] == '\0' || strlen(call->person) > MAX_PERSON_BYTES))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a person has 1 to %d bytes", MAX_PERSON_BYTES),
				errhint("It is a name within the role, for applications whose users share one."));
}

/* ---- which task ---- */

static bool
is_over(const WfVisit *visit)
{
	return visit == NULL || visit->ended || wf_has_accepted(visit);
}

static void
report_no_task(const WfVisit *visit)
{
	bool may_have = visit->def != NULL && wf_step_entry(visit->def, WF_EVENT_TASK) >= 0;

	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " has no task", visit->instance->id, visit->id),
			errdetail("It is in state \"%s\" at step \"%s\".", wf_state_name(visit->state), visit->step),
			may_have ? errhint("The task of the step is not there yet, or is done.")
					 : errhint("A step has one if it waits for a \"task\", or has a handler that begins by one."));
}

/* Lock the instance, and find the task. */
static void
begin(Call *call)
{
	PreventCommandIfReadOnly(call->name);
	wf_store_enter(&call->access);
	if (call->claims)
		wf_target_claim(&call->target, &call->serial, call->access.caller);
	else
		wf_target_task(&call->target, &call->serial, call->access.caller, WF_PRIVILEGE_ADMIN);
	call->target.batch->caller = call->access.caller;
	if (is_over(call->target.visit))
	{
		wf_late_require_seen(call->serial.instance, call->serial.visit);
		return;
	}
	call->task = wf_task_read(call->serial.instance, call->serial.visit);
	if (call->task == NULL)
		report_no_task(call->target.visit);
	call->standing = wf_task_standing(call->task, call->access.caller);
}

static bool
is_admin(const Call *call)
{
	return wf_privilege_has(call->target.process_id, call->access.caller, WF_PRIVILEGE_ADMIN);
}

static void
audit(const Call *call)
{
	bool assigns = OidIsValid(call->role);

	wf_audit(
		&(WfAudit){.call = call->name,
				   .caller = call->access.caller,
				   .process_id = call->target.process_id,
				   .at = call->target.batch->now,
				   .instance = call->serial.instance,
				   .visit = call->serial.visit,
				   .arguments = {WF_AUDIT_TEXT("role", assigns ? GetUserNameFromId(call->role, false) : NULL),
								 WF_AUDIT_TEXT("person", call->person), WF_AUDIT_TEXT("from", call->task->holder)}});
}

/* What was told must not be forgotten: what this has done, nor what others have. */
static bool
end(Call *call, bool answer)
{
	wf_batch_end(call->target.batch);
	wf_store_leave(&call->access);
	if (answer)
		ForceSyncCommit();
	else
		wf_durable_require();
	return answer;
}

/* ---- claim ---- */

static bool
is_mine(const Call *call)
{
	bool same = call->task->person == call->person ||
				(call->task->person != NULL && call->person != NULL && strcmp(call->task->person, call->person) == 0);

	return call->task->assignee == call->access.caller && same;
}

/* Returns whether the caller has the task then. */
static bool
claim(Call *call)
{
	if (call->task == NULL || call->standing == WF_TASK_CANDIDATE)
		return false;
	if (call->standing != WF_TASK_HOLDER)
		wf_target_refuse_claim(&call->serial, call->access.caller);
	if (call->task->claimed_at != 0)
		return is_mine(call);
	wf_task_claim(call->serial.instance, call->serial.visit, call->access.caller, call->person,
				  call->target.batch->now);
	audit(call);
	return true;
}

static void
claim_later(const Call *call, char *callback_url)
{
	WfAccess	access;
	WfTarget	target;
	WfOperation operation = {.call = WF_CALL_CLAIM,
							 .instance = call->serial.instance,
							 .visit = call->serial.visit,
							 .callback_url = callback_url};
	char	   *number = psprintf(INT64_FORMAT "_" INT64_FORMAT, call->serial.instance, call->serial.visit);
	WfField		arguments[] = {WF_OPERATION_TEXT("serial_number", number), WF_OPERATION_TEXT("person", call->person)};

	PreventCommandIfReadOnly(call->name);
	wf_store_enter(&access);
	wf_target_task_later(&target, &call->serial, access.caller, WF_PRIVILEGE_ADMIN, true);
	operation.process_id = target.process_id;
	wf_batch_end(target.batch);
	wf_operation_call(&operation, &access, arguments, lengthof(arguments));
	wf_store_leave(&access);
}

/*
 * workflow.claim(serial_number text, person text, mode text, callback_url text) → boolean, NULL if the mode is async
 *
 * False: somebody else has it, or it is over. Errors: 22P02 malformed, 42704 unknown, 42501 for a role that may not have it, 55000 if
 * the visit has no task, 22023 for a person of no or too many bytes.
 */
Datum
workflow_claim(PG_FUNCTION_ARGS)
{
	Call  call = {.name = "claim", .serial = wf_argument_serial(fcinfo, 0), .claims = true};
	char *callback_url;

	read_person(fcinfo, 1, &call);
	if (wf_argument_async(fcinfo, 2, &callback_url))
	{
		claim_later(&call, callback_url);
		PG_RETURN_NULL();
	}
	begin(&call);
	PG_RETURN_BOOL(end(&call, claim(&call)));
}

/* ---- unclaim and reassign ---- */

/* Only who has it, or may administer the process, gives it away. */
static void
require_holder(const Call *call)
{
	bool is_taken = call->task->holder != NULL;
	bool is_gone = is_taken && !OidIsValid(call->task->assignee);

	if ((call->standing == WF_TASK_HOLDER && is_taken) || is_admin(call))
		return;
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("role \"%s\" does not have the task of " INT64_FORMAT "_" INT64_FORMAT,
				   GetUserNameFromId(call->access.caller, false), call->serial.instance, call->serial.visit),
			is_gone	   ? errdetail(WF_TASK_HOLDER_GONE, call->task->holder)
			: is_taken ? errdetail("Role \"%s\" has it.", call->task->holder)
					   : 0,
			is_gone	   ? errhint(WF_TASK_HOLDER_GONE_HINT)
			: is_taken ? errhint("That role, or who may administer the process, gives it away.")
					   : errhint("Claim it first."));
}

static bool
unclaim(Call *call)
{
	bool nobody_has_it = call->task == NULL || call->task->holder == NULL;

	if (call->task != NULL && (!nobody_has_it || call->standing < WF_TASK_CANDIDATE))
		require_holder(call);
	if (nobody_has_it)
		return false;
	if (call->task->claimed_at == 0 && call->task->nroles == 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the task of " INT64_FORMAT "_" INT64_FORMAT " has no roles to go back to",
					   call->serial.instance, call->serial.visit),
				errdetail("It was assigned to role \"%s\", and is for nobody else.", call->task->holder),
				errhint("workflow.reassign gives it to another role."));
	wf_task_unclaim(call->serial.instance, call->serial.visit);
	audit(call);
	return true;
}

/*
 * workflow.unclaim(serial_number text) → boolean
 *
 * False: nobody had it, or it is over. Errors: 22P02 malformed, 42704 unknown, 42501 for a role that does not have it, 55000 if the visit
 * has no task, or the task has no roles.
 */
Datum
workflow_unclaim(PG_FUNCTION_ARGS)
{
	Call call = {.name = "unclaim", .serial = wf_argument_serial(fcinfo, 0)};

	begin(&call);
	PG_RETURN_BOOL(end(&call, unclaim(&call)));
}

static bool
reassign(Call *call)
{
	if (call->task == NULL)
		return false;
	require_holder(call);
	wf_task_assign(call->serial.instance, call->serial.visit, call->role, call->person);
	audit(call);
	return true;
}

/*
 * workflow.reassign(serial_number text, role name, person text) → boolean
 *
 * False: it is over. Errors: 22P02 malformed, 42704 unknown, or no such role, 42501 for a role that does not have it, 55000 if the visit
 * has no task, 22023 for a person of no or too many bytes.
 */
Datum
workflow_reassign(PG_FUNCTION_ARGS)
{
	Call call = {.name = "reassign", .serial = wf_argument_serial(fcinfo, 0)};

	wf_argument_require(fcinfo, 1, "role");
	call.role = get_role_oid(NameStr(*PG_GETARG_NAME(1)), false);
	read_person(fcinfo, 2, &call);
	begin(&call);
	PG_RETURN_BOOL(end(&call, reassign(&call)));
}
