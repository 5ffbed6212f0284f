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

static WfQuery q_count_living = {.sql = "SELECT count(*) FROM workflow_data.instance"};

PG_FUNCTION_INFO_V1(workflow_retry);
PG_FUNCTION_INFO_V1(workflow_skip);
PG_FUNCTION_INFO_V1(workflow_cancel_visit);
PG_FUNCTION_INFO_V1(workflow_move);
PG_FUNCTION_INFO_V1(workflow_erase);
PG_FUNCTION_INFO_V1(workflow_adopt);
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
	cancelled = find_operator_visit(&target, &serial, &access) && wf_state_is_open(target.visit);
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

/* The steps at which the tokens of an instance are, for a message. */
static char *
standing_at(const WfInstance *instance)
{
	StringInfoData text;
	ListCell	  *lc;

	initStringInfo(&text);
	foreach (lc, instance->visits)
	{
		const WfVisit *visit = lfirst(lc);

		appendStringInfo(&text, "%s\"%s\" (%s)", text.len > 0 ? ", " : "", visit->step,
						 wf_has_accepted(visit) ? "called back" : wf_state_name(visit->state));
	}
	return text.data;
}

static WfVisit *
move_visit_to(WfTarget *target, const char *from, const char *to)
{
	WfInstance *instance = target->instance;
	int			step;
	WfVisit	   *visit;

	refuse_suspended(instance);
	if (instance->ending != WF_STATUS_ACTIVE)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("instance " INT64_FORMAT " is being cancelled", instance->id));
	step = wf_target_step(instance->process, to);
	(void) wf_target_step(instance->process, from);
	target->batch->call = "move";
	visit = wf_engine_move(target->batch, instance, from, step);
	if (visit == NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("instance " INT64_FORMAT " has nothing at step \"%s\" to be moved", instance->id, from),
				errdetail("It is at %s.", standing_at(instance)));
	wf_batch_flush(target->batch);
	return visit;
}

/*
 * workflow.move(instance bigint, from_step text, to_step text) → text, the serial number of the new
 * visit; NULL: the instance has ended
 *
 * Errors: 42704 for an unknown instance or step, 42501 without admin, 55000 if no token is at
 * from_step, or the instance is suspended.
 */
Datum
workflow_move(PG_FUNCTION_ARGS)
{
	char		 *from = wf_argument_text_required(fcinfo, 1, "from_step");
	char		 *to = wf_argument_text_required(fcinfo, 2, "to_step");
	char		 *serial_number = NULL;
	WfAccess	  access;
	WfTarget	  target;
	MemoryContext context = CurrentMemoryContext;

	wf_argument_require(fcinfo, 0, "instance");
	PreventCommandIfReadOnly("workflow.move()");
	wf_store_enter(&access);
	wf_target_instance(&target, PG_GETARG_INT64(0), access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	if (target.instance != NULL)
	{
		WfVisit *visit = move_visit_to(&target, from, to);

		wf_audit(&(WfAudit){.call = "move",
							.caller = access.caller,
							.process_id = target.process_id,
							.at = target.batch->now,
							.instance = target.instance->id,
							.arguments = {WF_AUDIT_TEXT("from_step", from), WF_AUDIT_TEXT("to_step", to)}});
		MemoryContextSwitchTo(context);
		serial_number = psprintf(INT64_FORMAT "_" INT64_FORMAT, target.instance->id, visit->id);
	}
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (serial_number != NULL)
		PG_RETURN_TEXT_P(cstring_to_text(serial_number));
	wf_durable_require();
	PG_RETURN_NULL();
}

/* ---- erasing ---- */

/*
 * workflow.erase(instance bigint) → boolean: true, since the instance was there and is gone
 *
 * Errors: 42704 for an instance that is unknown or was erased before; 42501 without admin; 55000
 * while it lives; 55006 while a worker tries a write-back of it.
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
