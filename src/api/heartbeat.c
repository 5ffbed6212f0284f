/*
 * heartbeat.c
 *		workflow.heartbeat and workflow.extend: an outside system is still at work, and may need
 *		longer.
 *
 * Both hold the lock of the instance until the end of the transaction, as workflow.complete does.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "api/completion.h"
#include "api/lock.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/durable.h"
#include "store/late.h"
#include "store/privilege.h"
#include "store/version.h"

#define MAX_PROGRESS_BYTES (64 * 1024)

WF_FUNCTION(workflow_heartbeat);
WF_FUNCTION(workflow_extend);

/* Find and lock the visit, which the caller must have the privilege to complete. */
static void
find_heartbeat_visit(WfTarget *target, const WfSerial *serial, const WfAccess *access)
{
	wf_target_visit(target, serial, access->caller, WF_PRIVILEGE_COMPLETE, WF_PRIVILEGE_COMPLETE);
}

Jsonb *
wf_argument_progress(FunctionCallInfo fcinfo, int n)
{
	Jsonb *progress = wf_argument_jsonb(fcinfo, n);

	if (progress != NULL && VARSIZE(progress) > MAX_PROGRESS_BYTES)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("progress has at most %d bytes", MAX_PROGRESS_BYTES),
				errdetail("It has %zu.", (size_t) VARSIZE(progress)),
				errhint("It is what the view workflow.waiting shows; results belong into workflow.complete."));
	return progress;
}

/* What waits for other tokens is nothing that anybody outside is at work on. */
static void
refuse_inside(const WfVisit *visit)
{
	bool called = visit->waits_for == WF_WAITS_FOR_CALL;

	/* what the step waits for after its call may give signs of life before */
	if ((visit->waits_for & WF_WAITS_FOR_TOKENS) == 0 || (called && wf_step_callback_entry(visit->def) >= 0))
		return;
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " does not wait for the outside", visit->instance->id,
				   visit->id),
			called ? errdetail("It waits at step \"%s\" for the end of instance " INT64_FORMAT ", which it has called.",
							   visit->step, visit->child)
			: visit->waits_for == WF_WAITS_FOR_JOIN
				? errdetail("It waits at step \"%s\" for other tokens of its scope.", visit->step)
			: visit->waits_for == WF_WAITS_FOR_EACH
				? errdetail("It waits for the items of step \"%s\".", visit->step)
				: errdetail("It waits for the steps inside of step \"%s\".", visit->step));
}

bool
wf_heartbeat_apply(WfTarget *target, const WfSerial *serial, Jsonb *progress)
{
	bool wanted;

	if (target->visit != NULL)
		refuse_inside(target->visit);
	wanted = target->visit != NULL && wf_engine_heartbeat(target->batch, target->visit, progress);
	if (wanted)
		wf_batch_flush(target->batch);
	else
		wf_late_require_seen(serial->instance, serial->visit);
	return wanted;
}

/* Is the visit at work on by who calls? A worker that has lost its work is to stop, as if the visit had ended. */
static bool
is_at_work(const WfTarget *target, const WfSerial *serial, const pg_uuid_t *lock_token)
{
	WfWork work;

	if (target->visit == NULL || target->visit->ended)
		return true; /* what is too late is told of those as ever */
	if (lock_token == NULL)
		wf_lock_require_free(target, serial);
	return lock_token == NULL || wf_lock_find(target, serial, lock_token, &work);
}

/*
 * workflow.heartbeat(serial_number text, progress jsonb, lock_token uuid) → boolean
 *
 * False: the work is no longer wanted, so the caller should stop. Errors: 22P02 malformed, 42704
 * unknown, 42501 without the privilege complete, 22023 for a progress of more than 64 kB, 55000 for a
 * visit that waits for other tokens, and for work that somebody has without its lock_token.
 */
Datum
workflow_heartbeat(PG_FUNCTION_ARGS)
{
	WfSerial   serial = wf_argument_serial(fcinfo, 0);
	Jsonb	  *progress = wf_argument_progress(fcinfo, 1);
	pg_uuid_t *lock_token = wf_argument_uuid(fcinfo, 2);
	WfAccess   access;
	WfTarget   target;
	bool	   wanted;

	PreventCommandIfReadOnly("workflow.heartbeat()");
	wf_store_enter(&access);
	find_heartbeat_visit(&target, &serial, &access);
	wanted = is_at_work(&target, &serial, lock_token) && wf_heartbeat_apply(&target, &serial, progress);
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!wanted)
		wf_durable_require();
	PG_RETURN_BOOL(wanted);
}

/* ---- extend ---- */

/* The deadline moved by an interval, in the time zone of the process. */
static TimestampTz
moved_deadline(WfVisit *visit, const Interval *by)
{
	WfDuration	duration = {.present = true, .interval = *by};
	WfFault		fault = {0};
	WfVariables variables;
	TimestampTz at;

	if (visit->clocks.deadline == 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " has no deadline", visit->instance->id, visit->id),
				errdetail("It is in state \"%s\" at step \"%s\".", wf_state_name(visit->state), visit->step),
				wf_is_item(visit) ? errhint("The \"timeout\" is of the visit that goes through the list: " INT64_FORMAT
											"_" INT64_FORMAT ".",
											visit->instance->id, visit->scope_id)
								  : errhint("A visit has one if its step has a \"timeout\"."));
	wf_engine_variables(visit, &variables);
	if (!wf_clock_after(visit, &duration, &variables, visit->clocks.deadline, &at, &fault))
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("the deadline cannot be moved by that"),
				errdetail("%s.", fault.message));
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("a deadline cannot be infinite"));
	return at;
}

/* Is the visit wanted still, or its action, for which what was accepted waits? */
static bool
has_time(const WfVisit *visit)
{
	return wf_engine_wanted(visit) || (wf_state_awaits_action(visit) && !wf_state_is_ending(visit));
}

static void
audit_progress(const WfTarget *target, const WfAccess *access, Interval *by)
{
	int	  style = IntervalStyle;
	char *text;

	/* the message must not depend on the caller's IntervalStyle */
	IntervalStyle = INTSTYLE_POSTGRES;
	text = DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(by)));
	IntervalStyle = style;
	wf_audit(&(WfAudit){.call = "extend",
						.caller = access->caller,
						.process_id = target->process_id,
						.at = target->batch->now,
						.instance = target->visit->instance->id,
						.visit = target->visit->id,
						.arguments = {WF_AUDIT_TEXT("by", text)}});
}

static TimestampTz
extend_deadline(WfTarget *target, const WfAccess *access, Interval *by)
{
	TimestampTz deadline = moved_deadline(target->visit, by);

	wf_engine_extend(target->batch, target->visit, deadline);
	wf_batch_flush(target->batch);
	audit_progress(target, access, by);
	return deadline;
}

/*
 * workflow.extend(serial_number text, by interval, lock_token uuid) → timestamptz, the new deadline, with a token the new end of
 * the lock; NULL: the visit has ended, or what was accepted as its end waits for nothing that the deadline would end, or somebody
 * else has the work
 *
 * Errors: 22P02 malformed, 42704 unknown, 42501 without the privilege complete, 55000 if there is
 * no deadline, and for work that somebody has without its lock_token: that is hardly meant, 22008 for
 * one out of range, 22023 for a lock that would last no time, or more than a year.
 */
Datum
workflow_extend(PG_FUNCTION_ARGS)
{
	WfSerial	serial = wf_argument_serial(fcinfo, 0);
	WfAccess	access;
	WfTarget	target;
	pg_uuid_t  *lock_token = wf_argument_uuid(fcinfo, 2);
	TimestampTz deadline = 0;

	wf_argument_require(fcinfo, 1, "by");
	PreventCommandIfReadOnly("workflow.extend()");
	wf_store_enter(&access);
	find_heartbeat_visit(&target, &serial, &access);
	if (lock_token != NULL)
		deadline = wf_lock_extend(&target, &serial, lock_token, PG_GETARG_INTERVAL_P(1));
	else if (target.visit != NULL && has_time(target.visit))
	{
		wf_lock_require_free(&target, &serial);
		deadline = extend_deadline(&target, &access, PG_GETARG_INTERVAL_P(1));
	}
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (deadline != 0)
		PG_RETURN_TIMESTAMPTZ(deadline);
	wf_durable_require();
	PG_RETURN_NULL();
}
