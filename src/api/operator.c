/*
 * operator.c
 *		What operators do: resolve incidents, cancel visits, move tokens, erase ended instances,
 *		adopt a copy.
 *
 * All but adopt hold the lock of the instance until the end of the transaction.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/target.h"
#include "engine/engine.h"
#include "shmem/blocks.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/durable.h"
#include "store/history.h"
#include "store/identity.h"
#include "store/owed.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/version.h"

static WfQuery q_count_living = {.sql = "SELECT count(*) FROM workflow_data.instance"};

WF_FUNCTION(workflow_retry);
WF_FUNCTION(workflow_skip);
WF_FUNCTION(workflow_cancel_visit);
WF_FUNCTION(workflow_move);
WF_FUNCTION(workflow_erase);
WF_FUNCTION(workflow_adopt);
PG_FUNCTION_INFO_V1(workflow_identity_changed);

/* ---- incidents ---- */

/* Lock the visit, on whose process the caller must have admin. Returns whether it lives. */
static bool
find_operator_visit(WfTarget *target, const WfSerial *serial, const WfAccess *access)
{
	wf_target_visit(target, serial, access->caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	return target->visit != NULL;
}

static void
refuse_suspended(const WfInstance *instance)
{
	if (instance->status == WF_STATUS_SUSPENDED)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("instance " INT64_FORMAT " is suspended", instance->id),
				errhint("Let it go on first: SELECT workflow.resume(" INT64_FORMAT ").", instance->id));
}

typedef enum Mending
{
	RETRY,
	RETRY_WITH_NEW_KEY,
	SKIP
} Mending;

/* Resolve an incident: try its step again, or go on as if the step had succeeded. */
static bool
mend(const char *function, const WfSerial *serial, Mending mending, Jsonb *data)
{
	WfAccess access;
	WfTarget target;
	bool	 lives;

	PreventCommandIfReadOnly(function);
	wf_store_enter(&access);
	lives = find_operator_visit(&target, serial, &access);
	if (lives)
	{
		refuse_suspended(target.instance);
		target.batch->call = mending == SKIP ? "skip" : "retry";
		if (mending == SKIP)
			wf_engine_skip(target.batch, target.visit, data);
		else
			wf_engine_retry(target.batch, target.visit, mending == RETRY_WITH_NEW_KEY);
		wf_batch_flush(target.batch);
		wf_audit(&(WfAudit){.call = target.batch->call,
							.caller = access.caller,
							.process_id = target.process_id,
							.at = target.batch->now,
							.instance = serial->instance,
							.visit = serial->visit,
							.arguments = {WF_AUDIT_TRUE("new_key", mending == RETRY_WITH_NEW_KEY)}});
	}
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!lives)
		wf_durable_require();
	return lives;
}

/*
 * workflow.retry(serial_number text, new_key boolean) → boolean: false if the visit has ended
 *
 * Errors: 22P02 malformed, 42704 unknown, 42501 without admin, 55000 if the visit is no incident,
 * or is suspended.
 */
Datum
workflow_retry(PG_FUNCTION_ARGS)
{
	WfSerial serial = wf_argument_serial(fcinfo, 0);

	bool new_key = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);

	PG_RETURN_BOOL(mend("workflow.retry()", &serial, new_key ? RETRY_WITH_NEW_KEY : RETRY, NULL));
}

/*
 * workflow.skip(serial_number text, data jsonb) → boolean: false if the visit has ended
 *
 * Errors: as for workflow.retry.
 */
Datum
workflow_skip(PG_FUNCTION_ARGS)
{
	WfSerial serial = wf_argument_serial(fcinfo, 0);

	PG_RETURN_BOOL(mend("workflow.skip()", &serial, SKIP, wf_argument_jsonb(fcinfo, 1)));
}

/* ---- interrupting ---- */

/*
 * workflow.cancel_visit(serial_number text, reason text) → boolean: false if the visit has ended,
 * or its end is already known
 *
 * Errors: 22P02 malformed, 42704 unknown, 42501 without admin.
 */
Datum
workflow_cancel_visit(PG_FUNCTION_ARGS)
{
	WfSerial serial = wf_argument_serial(fcinfo, 0);
	char	*reason = wf_argument_text(fcinfo, 1);
	WfAccess access;
	WfTarget target;
	bool	 cancelled;

	PreventCommandIfReadOnly("workflow.cancel_visit()");
	wf_store_enter(&access);
	cancelled = find_operator_visit(&target, &serial, &access) &&
				(wf_state_is_open(target.visit) || wf_state_awaits_action(target.visit));
	if (cancelled)
	{
		target.batch->call = "cancel_visit";
		wf_engine_cancel_visit(target.batch, target.visit, reason);
		wf_batch_flush(target.batch);
		wf_audit(&(WfAudit){.call = "cancel_visit",
							.caller = access.caller,
							.process_id = target.process_id,
							.at = target.batch->now,
							.instance = serial.instance,
							.visit = serial.visit,
							.arguments = {WF_AUDIT_TEXT("reason", reason)}});
	}
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!cancelled)
		wf_durable_require();
	PG_RETURN_BOOL(cancelled);
}

/* ---- moving ---- */

static void
refuse_step(const WfVisit *visit, const WfStep *to, const char *detail, const char *hint)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " cannot be moved to step \"%s\"", visit->instance->id,
				   visit->id, to->name),
			errdetail_internal("%s", detail), errhint("%s", hint));
}

/* Is it a list of the process itself, and not of one of its steps? It has two if it has handlers. */
static bool
is_top_list(const WfDefinition *def, int list)
{
	int parent = def->lists[list].parent;

	return parent < 0 || parent == def->process_step;
}

/* Where a list of steps is, for a message. */
static char *
place_of(const WfDefinition *def, int list)
{
	if (is_top_list(def, list))
		return pstrdup("one of the process itself");
	return psprintf("inside of step \"%s\"", def->steps[def->lists[list].parent].name);
}

/* A token stays in its scope, so it can only go to a step of the list in which it is. */
static void
require_same_list(const WfVisit *visit, int to)
{
	const WfDefinition *def = visit->instance->process->def;
	const WfStep	   *step = &def->steps[to];

	if (wf_is_item(visit))
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " is for an item of step \"%s\", and cannot be moved",
				   visit->instance->id, visit->id, visit->step),
			errhint("End it with workflow.skip, workflow.complete or workflow.cancel_visit, or move the visit of the "
					"step that goes through the list: " INT64_FORMAT "_" INT64_FORMAT ".",
					visit->instance->id, visit->scope_id));
	if (visit->def == NULL || visit->def->list == step->list)
		return;
	if (is_top_list(def, visit->def->list) && is_top_list(def, step->list))
		refuse_step(visit, step, "What the handlers of the process lead to is apart from its other steps.",
					"Move it within its part, or end it with workflow.cancel_visit.");
	refuse_step(visit, step,
				psprintf("It is %s, but step \"%s\", at which the visit is, is %s.", place_of(def, step->list),
						 visit->step, place_of(def, visit->def->list)),
				"A token moves within one list of steps. To leave a sub-process, move the visit of the step that has "
				"the list under \"steps\".");
}

static void
refuse_closed(const WfVisit *visit)
{
	const WfInstance *instance = visit->instance;

	refuse_suspended(instance);
	if (instance->ending != WF_STATUS_ACTIVE)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("instance " INT64_FORMAT " is being cancelled", instance->id));
	if (wf_state_is_ending(visit))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " is about to end", instance->id, visit->id),
				errdetail("What it is in, its instance or a sub-process, is about to end."));
	if (!wf_state_is_open(visit))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " is about to end", instance->id, visit->id),
				wf_has_accepted(visit)
					? errdetail("It was called back at step \"%s\".", visit->step)
					: errdetail("It is in state \"%s\" at step \"%s\".", wf_state_name(visit->state), visit->step));
}

/*
 * workflow.move(serial_number text, step text) → text, the serial number of the visit there; NULL:
 * the visit has ended, or its token was too late for a join
 *
 * Errors: 22P02 malformed, 42704 for an unknown serial number or step, 42501 without admin, 22023
 * for a step of another list, 55000 if the visit is about to end, or its instance is suspended.
 */
Datum
workflow_move(PG_FUNCTION_ARGS)
{
	WfSerial	  serial = wf_argument_serial(fcinfo, 0);
	char		 *to = wf_argument_text_required(fcinfo, 1, "step");
	char		 *serial_number = NULL;
	WfAccess	  access;
	WfTarget	  target;
	MemoryContext context = CurrentMemoryContext;

	PreventCommandIfReadOnly("workflow.move()");
	wf_store_enter(&access);
	if (find_operator_visit(&target, &serial, &access))
	{
		const char *from = target.visit->step;
		int			step = wf_target_step(target.instance->process, to);
		WfVisit	   *visit;
		int64		entered;

		require_same_list(target.visit, step);
		refuse_closed(target.visit);
		target.batch->call = "move";
		visit = wf_engine_move_visit(target.batch, target.visit, step);
		entered = visit != NULL ? visit->id : 0;
		wf_batch_flush(target.batch);
		wf_audit(&(WfAudit){.call = "move",
							.caller = access.caller,
							.process_id = target.process_id,
							.at = target.batch->now,
							.instance = serial.instance,
							.visit = serial.visit,
							.arguments = {WF_AUDIT_TEXT("from_step", from), WF_AUDIT_TEXT("to_step", to)}});
		MemoryContextSwitchTo(context);
		if (entered != 0)
			serial_number = psprintf(INT64_FORMAT "_" INT64_FORMAT, serial.instance, entered);
	}
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (serial_number != NULL)
		PG_RETURN_TEXT_P(cstring_to_text(serial_number));
	wf_durable_require();
	PG_RETURN_NULL();
}

/* ---- erasing ---- */

static void
refuse_posting(int64 instance)
{
	int64 posting = wf_history_posting(instance);

	if (posting != 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("data of instance " INT64_FORMAT " are still being posted to a callback_url", instance),
				errhint("Instance " INT64_FORMAT " posts them: wait for its end, or have it cancelled.", posting));
}

/*
 * workflow.erase(instance bigint) → boolean: true, since the instance was there and is gone
 *
 * Errors: 42704 for an instance that is unknown or was erased before; 42501 without admin; 55000
 * while it lives, or its data are being posted; 55006 while a worker tries a write-back of it.
 */
Datum
workflow_erase(PG_FUNCTION_ARGS)
{
	WfAccess access;
	WfTarget target;
	bool	 erased;

	wf_argument_require(fcinfo, 0, "instance");
	PreventCommandIfReadOnly("workflow.erase()");
	wf_store_enter(&access);
	wf_target_instance(&target, PG_GETARG_INT64(0), access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	if (target.instance != NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("instance " INT64_FORMAT " has not ended", target.instance->id),
				errhint("End it first: SELECT workflow.cancel(" INT64_FORMAT ").", target.instance->id));
	wf_batch_end(target.batch);
	refuse_posting(PG_GETARG_INT64(0));
	if (!wf_owed_erase(PG_GETARG_INT64(0)))
		ereport(ERROR, errcode(ERRCODE_OBJECT_IN_USE),
				errmsg("a write-back of instance " INT64_FORMAT " is being tried at this moment", PG_GETARG_INT64(0)),
				errhint("Erase it a moment later."));
	erased = wf_history_erase(PG_GETARG_INT64(0));
	if (erased)
		wf_audit(&(WfAudit){.call = "erase",
							.caller = access.caller,
							.process_id = target.process_id,
							.instance = PG_GETARG_INT64(0)});
	wf_store_leave(&access);
	PG_RETURN_BOOL(erased);
}

/* ---- copies ---- */

/* workflow.adopt() → bigint, the number of living instances that now go on in this database */
Datum
workflow_adopt(PG_FUNCTION_ARGS)
{
	WfAccess access;
	int64	 living;
	bool	 adopted;

	PreventCommandIfReadOnly("workflow.adopt()");
	wf_store_enter(&access);
	adopted = wf_identity_adopt();
	wf_query_run(&q_count_living, NULL, NULL);
	living = wf_result_int64(0, 1);
	wf_wakeup_everything();
	wf_launcher_request_look();
	if (adopted)
		wf_audit(&(WfAudit){.call = "adopt", .caller = access.caller});
	wf_store_leave(&access);
	PG_RETURN_INT64(living);
}

/*
 * Trigger of the table identity. A restore has brought rows, or somebody has changed them by hand:
 * workers have to find out anew whose rows these are.
 */
Datum
workflow_identity_changed(PG_FUNCTION_ARGS)
{
	wf_wakeup_everything();
	wf_launcher_request_look();
	PG_RETURN_POINTER(NULL);
}
