/*
 * wait.c
 *		Standing still: events, and the clocks that end a wait.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "engine/internal.h"
#include "shmem/shmem.h"

/*
 * Run an input function on text that came from data. These functions only parse: their errors leave nothing behind, and
 * so can be caught without a subtransaction. Anything that is no data exception goes on.
 */
static bool
parse_datum(PGFunction input, char *text, Datum *value, WfFault *fault)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = true;

	PG_TRY();
	{
		*value = DirectFunctionCall3(input, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
									 Int32GetDatum(-1));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		wf_fault(fault, WF_CODE_TEMPLATE, "%s", error->message);
		ok = false;
	}
	PG_END_TRY();
	return ok;
}

static TimestampTz
add_interval(TimestampTz from, Interval *interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(from),
												   IntervalPGetDatum(interval)));
}

/* from + duration, constant or made of data. */
bool
wf_clock_after(const WfDuration *duration, const WfScope *scope, TimestampTz from, TimestampTz *at,
			   WfFault *fault)
{
	StringInfoData text;
	Datum		interval;

	if (duration->tmpl == NULL)
	{
		*at = add_interval(from, unconstify(Interval *, &duration->interval));
		return true;
	}
	initStringInfo(&text);
	if (!wf_template_text(duration->tmpl, scope, WF_TEXT_KEY, &text, fault) ||
		!parse_datum(interval_in, text.data, &interval, fault))
		return false;
	*at = add_interval(from, DatumGetIntervalP(interval));
	return true;
}

static bool
clock_until(const WfTemplate *tmpl, const WfScope *scope, TimestampTz *at, WfFault *fault)
{
	StringInfoData text;
	Datum		value;

	initStringInfo(&text);
	if (!wf_template_text(tmpl, scope, WF_TEXT_KEY, &text, fault) ||
		!parse_datum(timestamptz_in, text.data, &value, fault))
		return false;
	*at = DatumGetTimestampTz(value);
	return true;
}

/* The action, if any, is done: wait for the step's event, or go on. */
WfVisit *
wf_wait_open(WfBatch *batch, WfVisit *visit)
{
	const WfEvent *event = &visit->def->wait;
	WfFault		fault = {0};
	WfScope		scope;
	TimestampTz at = 0;
	bool		answer = true;

	if (event->kind == WF_EVENT_NONE)
		return wf_outcome_success(batch, visit);
	wf_engine_scope(visit, &scope);
	if (event->when != NULL && !wf_predicate_eval(event->when, &scope, &answer, &fault))
		return wf_outcome_fault(batch, visit, &fault);
	if (!answer)
		return wf_outcome_success(batch, visit);
	switch (event->kind)
	{
		case WF_EVENT_AFTER:
			if (!wf_clock_after(&event->after, &scope, batch->now, &at, &fault))
				return wf_outcome_fault(batch, visit, &fault);
			wf_state_wait(batch, visit, "after", at);
			break;
		case WF_EVENT_UNTIL:
			if (!clock_until(event->until, &scope, &at, &fault))
				return wf_outcome_fault(batch, visit, &fault);
			wf_state_wait(batch, visit, "until", at);
			break;
		default:
			wf_state_wait(batch, visit, "callback", 0);
			break;
	}
	return NULL;
}

/* Has its time come, as seen by this batch? */
static bool
is_due(WfBatch *batch, WfVisit *visit)
{
	return !visit->ended && visit->due_at != 0 && visit->due_at <= batch->now;
}

void
wf_engine_due(WfBatch *batch, WfVisit *visit)
{
	WfVisit    *next = NULL;

	if (!is_due(batch, visit))
		return;
	if (visit->has_callback)
		next = wf_outcome_callback(batch, visit);
	else if (visit->state == WF_STATE_READY)
		next = wf_move_begin(batch, visit);
	else if (visit->state == WF_STATE_WAITING)
		next = wf_outcome_success(batch, visit);
	else
		return;
	wf_move_on(batch, visit->instance, next);
}

void
wf_engine_enter(WfBatch *batch, WfVisit *visit)
{
	wf_engine_due(batch, visit);
}

void
wf_engine_deadline(WfBatch *batch, WfVisit *visit)
{
	WfFault		fault = {.code = "TIMED_OUT", .message = "the step's timeout has passed"};
	Jsonb	   *error;
	MemoryContext old;

	if (visit->ended || visit->has_callback || visit->deadline == 0 ||
		visit->deadline > batch->now || visit->state == WF_STATE_INCIDENT)
		return;
	old = MemoryContextSwitchTo(batch->context);
	error = wf_engine_error(&fault, visit->attempt);
	MemoryContextSwitchTo(old);
	wf_move_on(batch, visit->instance, wf_outcome_bad(batch, visit, WF_OUTCOME_TIMED_OUT, error));
}
