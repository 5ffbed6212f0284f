/*
 * wait.c
 *		Standing still: events, and the clocks that end a wait.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "engine/internal.h"
#include "model/guard.h"
#include "model/zone.h"
#include "shmem/shmem.h"

/* A clock as it is worked out: the text that data gave, or the constant. */
typedef struct Clock
{
	const char *until;	  /* a timestamp, or */
	const char *interval; /* an interval, or */
	const Interval *constant;
	TimestampTz from;
	TimestampTz at; /* the answer */
} Clock;

static Datum
read_text(PGFunction input, const char *text)
{
	return DirectFunctionCall3(input, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

static void
work_out(void *arg)
{
	Clock	   *clock = arg;
	const Interval *interval = clock->constant;

	if (clock->until != NULL)
	{
		clock->at = DatumGetTimestampTz(read_text(timestamptz_in, clock->until));
		return;
	}
	if (interval == NULL)
		interval = DatumGetIntervalP(read_text(interval_in, clock->interval));
	clock->at = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														TimestampTzGetDatum(clock->from),
														IntervalPGetDatum(interval)));
}

static bool
work_out_caught(Clock *clock, TimestampTz *at, WfFault *fault)
{
	const char *message;

	if (!wf_guard_run(work_out, clock, &message))
		return wf_fault(fault, WF_CODE_TEMPLATE, "%s", message);
	if (TIMESTAMP_NOT_FINITE(clock->at))
		return wf_fault(fault, WF_CODE_TEMPLATE, "a clock cannot be infinite");
	*at = Max(clock->at, 1); /* zero means none, and 2000 is long past */
	return true;
}

/* Whoever moves the token: a process reads its clocks the way its author's session did. */
static bool
work_out_as_defined(const WfProcess *process, Clock *clock, TimestampTz *at, WfFault *fault)
{
	int			level;
	bool		ok;

	if (clock->constant != NULL && clock->constant->day == 0 && clock->constant->month == 0)
		return work_out_caught(clock, at, fault);
	level = wf_zone_enter(process->timezone);
	ok = work_out_caught(clock, at, fault);
	wf_zone_leave(level);
	return ok;
}

bool
wf_clock_after(WfVisit *visit, const WfDuration *duration, const WfScope *scope, TimestampTz from,
			   TimestampTz *at, WfFault *fault)
{
	Clock		clock = {.from = from};
	StringInfoData text;

	if (duration->tmpl == NULL)
		clock.constant = &duration->interval;
	else
	{
		initStringInfo(&text);
		if (!wf_template_text(duration->tmpl, scope, WF_TEXT_KEY, &text, fault))
			return false;
		clock.interval = text.data;
	}
	return work_out_as_defined(visit->instance->process, &clock, at, fault);
}

static bool
clock_until(WfVisit *visit, const WfTemplate *tmpl, const WfScope *scope, TimestampTz *at,
			WfFault *fault)
{
	Clock		clock = {0};
	StringInfoData text;

	initStringInfo(&text);
	if (!wf_template_text(tmpl, scope, WF_TEXT_KEY, &text, fault))
		return false;
	clock.until = text.data;
	return work_out_as_defined(visit->instance->process, &clock, at, fault);
}

/* When the clock of an event strikes, counted `from` there. */
bool
wf_clock_event(WfVisit *visit, const WfEvent *event, const WfScope *scope, TimestampTz from,
			   TimestampTz *at, WfFault *fault)
{
	if (event->kind == WF_EVENT_AFTER)
		return wf_clock_after(visit, &event->after, scope, from, at, fault);
	return clock_until(visit, event->until, scope, at, fault);
}

/* When silence from now on is too long; 0: there is no heartbeat. */
static bool
silence_from_now(WfBatch *batch, WfVisit *visit, const WfScope *scope, TimestampTz *at, WfFault *fault)
{
	*at = 0;
	if (!visit->def->heartbeat.present)
		return true;
	if (!wf_clock_after(visit, &visit->def->heartbeat, scope, batch->now, at, fault))
		return false;
	if (*at < batch->now)
		return wf_fault(fault, WF_CODE_TEMPLATE, "a heartbeat cannot be negative");
	return true;
}

/* Silence counts anew. What cannot be worked out any more, since the data was changed, leaves the clock as it was. */
void
wf_wait_listen(WfBatch *batch, WfVisit *visit)
{
	WfFault		ignored = {0};
	WfScope		scope;
	TimestampTz at;

	wf_engine_scope(visit, &scope);
	if (silence_from_now(batch, visit, &scope, &at, &ignored))
		visit->silence_at = at;
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
		case WF_EVENT_UNTIL:
			if (!wf_clock_event(visit, event, &scope, batch->now, &at, &fault))
				return wf_outcome_fault(batch, visit, &fault);
			wf_state_wait(batch, visit, event->kind == WF_EVENT_AFTER ? "after" : "until", at);
			break;
		default:
			if (!silence_from_now(batch, visit, &scope, &at, &fault))
				return wf_outcome_fault(batch, visit, &fault);
			wf_state_wait(batch, visit, WF_WAITS_CALLBACK, 0);
			visit->silence_at = at;
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

	if (!is_due(batch, visit) || visit->held)
		return;
	if (visit->state == WF_STATE_CANCELLING)
		next = wf_cancel_due(batch, visit);
	else if (visit->has_callback)
		next = wf_outcome_callback(batch, visit);
	else if (visit->state == WF_STATE_READY)
		next = wf_move_take_up(batch, visit);
	else if (visit->state == WF_STATE_WAITING && visit->waits_for != NULL &&
			 strcmp(visit->waits_for, WF_WAITS_CALLBACK) != 0)
		next = wf_outcome_success(batch, visit);
	else
		return;
	wf_move_on(batch, visit->instance, next);
}

/*
 * Handlers begin in the order of their times, as far as the visit has lived that long: nobody may have looked for a
 * while. False if one of them has interrupted it.
 */
static bool
outlives_handlers(WfBatch *batch, WfVisit *visit)
{
	TimestampTz until = batch->now;

	if (visit->handler_at == 0 || visit->handler_at > batch->now)
		return true;
	if (visit->deadline != 0)
		until = Min(until, visit->deadline - 1);
	if (visit->silence_at != 0)
		until = Min(until, visit->silence_at - 1);
	return wf_handler_fire(batch, visit, until);
}

/* A handler, its timeout, or the silence of the outside. */
void
wf_engine_alarm(WfBatch *batch, WfVisit *visit)
{
	WfFault		fault = {.code = "TIMED_OUT", .message = "the step's timeout has passed"};
	WfOutcome	outcome = WF_OUTCOME_TIMED_OUT;
	Jsonb	   *error;
	MemoryContext old;

	if (visit->ended || visit->held || visit->has_callback || visit->state == WF_STATE_INCIDENT)
		return;
	if (!outlives_handlers(batch, visit))
		return;
	if (visit->deadline == 0 || visit->deadline > batch->now)
	{
		if (visit->silence_at == 0 || visit->silence_at > batch->now)
		{
			if (visit->warn_at != 0 && visit->warn_at <= batch->now)
				wf_state_warned(batch, visit);
			return;
		}
		outcome = WF_OUTCOME_DIED;
		fault.code = "DIED";
		fault.message = "nothing was heard of the outside for longer than the step's heartbeat";
	}
	old = MemoryContextSwitchTo(batch->context);
	error = wf_engine_error(&fault, visit->attempt);
	MemoryContextSwitchTo(old);
	wf_move_on(batch, visit->instance, wf_cancel_visit(batch, visit, outcome, error));
}
