/*
 * clocks.c
 *		When something happens to a visit: the times of its step's entries, of timeouts and
 *		heartbeats.
 *
 * The times of entries are computed once, those of handlers when the visit begins, those of waits
 * when it begins to wait. They are stored in its row until each has come: data, and what "tomorrow"
 * means, may have changed by the time one is looked at.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "engine/clocks.h"
#include "model/guard.h"
#include "model/zone.h"

/* A time that is to be computed, from a text that data gave or from a constant. */
typedef struct Clock
{
	const char	   *until;	  /* a timestamp, or */
	const char	   *interval; /* an interval, or */
	const Interval *constant;
	int64			times; /* so many times the interval; 0: once */
	TimestampTz		from;
	TimestampTz		at; /* the result */
} Clock;

static Datum
read_clock_text(PGFunction input, const char *text)
{
	return DirectFunctionCall3(input, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static void
work_out_clock(void *arg)
{
	Clock		   *clock = arg;
	const Interval *interval = clock->constant;

	if (clock->until != NULL)
	{
		clock->at = DatumGetTimestampTz(read_clock_text(timestamptz_in, clock->until));
		return;
	}
	if (interval == NULL)
		interval = DatumGetIntervalP(read_clock_text(interval_in, clock->interval));
	if (clock->times > 1)
		interval = DatumGetIntervalP(
			DirectFunctionCall2(interval_mul, IntervalPGetDatum(interval), Float8GetDatum((double) clock->times)));
	clock->at = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(clock->from), IntervalPGetDatum(interval)));
}

static bool
work_out_caught(Clock *clock, TimestampTz *at, WfFault *fault)
{
	const char *message;

	if (!wf_guard_run(work_out_clock, clock, &message))
		return wf_fault(fault, WF_CODE_TEMPLATE, "%s", message);
	if (TIMESTAMP_NOT_FINITE(clock->at))
		return wf_fault(fault, WF_CODE_TEMPLATE, "a clock cannot be infinite");
	*at = Max(clock->at, 1); /* 0 means no time, and 2000 is long past */
	return true;
}

/* Compute the time in the time zone of the process, whoever moves the token. */
static bool
work_out_as_defined(const WfProcess *process, Clock *clock, TimestampTz *at, WfFault *fault)
{
	int	 level;
	bool ok;

	if (clock->constant != NULL && clock->constant->day == 0 && clock->constant->month == 0)
		return work_out_caught(clock, at, fault);
	level = wf_zone_enter(process->timezone);
	ok = work_out_caught(clock, at, fault);
	wf_zone_leave(level);
	return ok;
}

static bool
clock_after_times(WfVisit *visit, const WfDuration *duration, int64 times, const WfVariables *variables,
				  TimestampTz from, TimestampTz *at, WfFault *fault)
{
	Clock		   clock = {.times = times, .from = from};
	StringInfoData text;

	if (duration->tmpl == NULL)
		clock.constant = &duration->interval;
	else
	{
		initStringInfo(&text);
		if (!wf_template_text(duration->tmpl, variables, WF_TEXT_KEY, &text, fault))
			return false;
		clock.interval = text.data;
	}
	return work_out_as_defined(visit->instance->process, &clock, at, fault);
}

bool
wf_clock_after(WfVisit *visit, const WfDuration *duration, const WfVariables *variables, TimestampTz from,
			   TimestampTz *at, WfFault *fault)
{
	return clock_after_times(visit, duration, 1, variables, from, at, fault);
}

static bool
clock_until(WfVisit *visit, const WfTemplate *tmpl, const WfVariables *variables, TimestampTz *at, WfFault *fault)
{
	Clock		   clock = {0};
	StringInfoData text;

	initStringInfo(&text);
	if (!wf_template_text(tmpl, variables, WF_TEXT_KEY, &text, fault))
		return false;
	clock.until = text.data;
	return work_out_as_defined(visit->instance->process, &clock, at, fault);
}

bool
wf_clock_due(WfVisit *visit, const char *text, TimestampTz from, TimestampTz *at, WfFault *fault)
{
	Clock	time = {.until = text};
	Clock	after = {.interval = text, .from = from};
	WfFault ignored = {0};

	if (work_out_as_defined(visit->instance->process, &time, at, &ignored) ||
		work_out_as_defined(visit->instance->process, &after, at, &ignored))
		return true;
	return wf_fault(fault, WF_CODE_TEMPLATE, "\"%s\" is neither an interval nor a timestamp", text);
}

/* When the time of an event comes, counted `from` there. */
static bool
clock_event(WfVisit *visit, const WfEvent *event, const WfVariables *variables, TimestampTz from, TimestampTz *at,
			WfFault *fault)
{
	if (event->kind != WF_EVENT_UNTIL)
		return wf_clock_after(visit, &event->after, variables, from, at, fault);
	return clock_until(visit, event->until, variables, at, fault);
}

int
wf_clock_first_of_wait(const WfVisit *visit)
{
	const TimestampTz *times = visit->clocks.clock_times;
	int				   first = 0;

	for (int i = 1; times != NULL && i < visit->def->nwaits; i++)
	{
		if (times[i] != 0 && (times[first] == 0 || times[i] < times[first]))
			first = i;
	}
	return first;
}

static TimestampTz *
no_times(WfBatch *batch, const WfVisit *visit)
{
	return MemoryContextAllocZero(batch->context, sizeof(TimestampTz) * wf_step_nclocks(visit->def));
}

/*
 * Compute the times for which the visit waits, counted from now, those of open entries. *at is the first of them; 0: it
 * waits for none.
 */
bool
wf_clock_plan_wait(WfBatch *batch, WfVisit *visit, const WfVariables *variables, const bool *open, TimestampTz *at,
				   WfFault *fault)
{
	*at = 0;
	for (int i = 0; i < visit->def->nwaits; i++)
	{
		const WfEvent *event = &visit->def->entries[i].event;
		TimestampTz	   time;

		if (!wf_is_clock(event->kind) || !open[i])
			continue;
		if (!clock_event(visit, event, variables, batch->now, &time, fault))
			return false;
		if (visit->clocks.clock_times == NULL)
			visit->clocks.clock_times = no_times(batch, visit);
		visit->clocks.clock_times[i] = time;
		*at = wf_earlier(*at, time);
	}
	return true;
}

/* The heartbeat deadline, counted from now; 0 if the step has no heartbeat. */
bool
wf_clock_heartbeat_deadline(WfBatch *batch, WfVisit *visit, const WfVariables *variables, TimestampTz *at,
							WfFault *fault)
{
	*at = 0;
	if (!visit->def->heartbeat.present)
		return true;
	if (!wf_clock_after(visit, &visit->def->heartbeat, variables, batch->now, at, fault))
		return false;
	if (*at < batch->now)
		return wf_fault(fault, WF_CODE_TEMPLATE, "a heartbeat cannot be negative");
	return true;
}

/*
 * Set the heartbeat deadline anew. If it cannot be computed any more, since data have changed, it
 * stays as it was.
 */
void
wf_clock_listen(WfBatch *batch, WfVisit *visit)
{
	WfFault		ignored = {0};
	WfVariables variables;
	TimestampTz at;

	wf_engine_variables(visit, &variables);
	if (wf_clock_heartbeat_deadline(batch, visit, &variables, &at, &ignored))
		visit->clocks.heartbeat_deadline = at;
}

/* ---- handlers ---- */

void
wf_clock_look_ahead(WfVisit *visit)
{
	const WfStep *def = visit->def;

	visit->clocks.next_handler = 0;
	visit->clocks.next_interrupt = 0;
	for (int i = def->nwaits; visit->clocks.clock_times != NULL && i < def->nentries; i++)
	{
		TimestampTz at = visit->clocks.clock_times[i];

		visit->clocks.next_handler = wf_earlier(visit->clocks.next_handler, at);
		if (def->entries[i].interrupt)
			visit->clocks.next_interrupt = wf_earlier(visit->clocks.next_interrupt, at);
	}
	visit->changed = true;
}

/* ---- beats ---- */

/* Handlers do not begin more often. */
#define SHORTEST_BEAT_US 10000

/* So many beats are looked at: the first is a guess, which is close unless an interval goes back and forth. */
#define MOST_TRIES 1000

static bool
is_long_enough(TimestampTz from, TimestampTz at, WfFault *fault)
{
	if (at - from >= SHORTEST_BEAT_US)
		return true;
	return wf_fault(fault, WF_CODE_TEMPLATE, "\"every\" is shorter than %d ms", SHORTEST_BEAT_US / 1000);
}

/*
 * Compute the last beat of a repeating entry, the first of which is planned already. It is a time, since the interval
 * may change; what is too far away never comes.
 */
static bool
plan_last_beat(WfVisit *visit, int entry, const WfVariables *variables, TimestampTz from, TimestampTz *times,
			   WfFault *fault)
{
	const WfEvent *event = &visit->def->entries[entry].event;
	WfFault		   ignored = {0};

	if (event->times > 0)
		(void) clock_after_times(visit, &event->after, event->times, variables, from,
								 &times[wf_clock_last_beat(visit->def, entry)], &ignored);
	return is_long_enough(from, times[entry], fault);
}

/*
 * The first beat after now, of those that are counted from the last one; intervals that are made of days or months differ in
 * length.
 */
static bool
first_beat_after_now(WfBatch *batch, WfVisit *visit, const WfDuration *every, const WfVariables *variables,
					 TimestampTz last, TimestampTz *next, WfFault *fault)
{
	int64		n = (batch->now - last) / (*next - last) + 1;
	int			tries = 0;
	TimestampTz before;

	do
	{
		if (tries++ == MOST_TRIES)
			return wf_fault(fault, WF_CODE_TEMPLATE, "\"every\" has no beat after now");
		if (!clock_after_times(visit, every, n++, variables, last, next, fault))
			return false;
	} while (*next <= batch->now);
	for (n -= 2; n > 0 && tries++ < MOST_TRIES; n--)
	{
		if (!clock_after_times(visit, every, n, variables, last, &before, fault))
			return false;
		if (before <= batch->now)
			break;
		*next = before;
	}
	return true;
}

/*
 * Compute when a handler that repeats begins again, since one of its beats has come; beats that were missed are one with that.
 */
bool
wf_clock_beat(WfBatch *batch, WfVisit *visit, int entry, WfFault *fault)
{
	const WfDuration *every = &visit->def->entries[entry].event.after;
	TimestampTz		 *times = visit->clocks.clock_times;
	TimestampTz		  end = times[wf_clock_last_beat(visit->def, entry)];
	TimestampTz		  last = times[entry];
	TimestampTz		  next;
	WfVariables		  variables;

	wf_clock_begin_handler(visit, entry);
	wf_engine_variables(visit, &variables);
	if (!wf_clock_after(visit, every, &variables, last, &next, fault) || !is_long_enough(last, next, fault))
		return false;
	if (next <= batch->now && !first_beat_after_now(batch, visit, every, &variables, last, &next, fault))
		return false;
	times[entry] = end == 0 || next <= end ? next : 0;
	wf_clock_look_ahead(visit);
	return true;
}

bool
wf_clock_plan_entry(WfVisit *visit, int entry, const WfVariables *variables, TimestampTz from, TimestampTz *times,
					WfFault *fault)
{
	const WfEvent *event = &visit->def->entries[entry].event;

	return clock_event(visit, event, variables, from, &times[entry], fault) &&
		   (event->kind != WF_EVENT_EVERY || plan_last_beat(visit, entry, variables, from, times, fault));
}

int
wf_clock_last_beat(const WfStep *step, int entry)
{
	return step->nentries + step->entries[entry].beat;
}

/*
 * Compute when handlers begin: counted from the entry of the visit, or, for an incident that is
 * tried again, from now.
 */
bool
wf_clock_plan_handlers(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	const WfStep *def = visit->def;
	TimestampTz	  from = visit->again ? batch->now : visit->entered_at;
	TimestampTz	 *times = NULL;
	WfVariables	  variables;

	for (int i = def->nwaits; i < def->nentries; i++)
	{
		const WfEvent *event = &def->entries[i].event;

		if (!wf_is_clock(event->kind))
			continue;
		if (times == NULL)
		{
			times = no_times(batch, visit);
			wf_engine_variables(visit, &variables);
		}
		if (!wf_clock_plan_entry(visit, i, &variables, from, times, fault))
			return false;
	}
	if (times == NULL)
		return true;
	visit->clocks.clock_times = times;
	wf_clock_look_ahead(visit);
	return true;
}

/*
 * The first handler with a time that is not after `until`, or -1. Of those with the same time, one
 * that interrupts the visit comes last.
 */
int
wf_clock_next_handler(const WfVisit *visit, TimestampTz until)
{
	const TimestampTz *times = visit->clocks.clock_times;
	const WfEntry	  *entries = visit->def->entries;
	int				   found = -1;

	for (int i = visit->def->nwaits; times != NULL && i < visit->def->nentries; i++)
	{
		if (times[i] == 0 || times[i] > until)
			continue;
		if (found < 0 || times[i] < times[found] ||
			(times[i] == times[found] && entries[found].interrupt && !entries[i].interrupt))
			found = i;
	}
	return found;
}

void
wf_clock_begin_handler(WfVisit *visit, int entry)
{
	visit->clocks.clock_times[entry] = 0;
	wf_clock_look_ahead(visit);
}
