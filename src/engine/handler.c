/*
 * handler.c
 *		Handlers of clocks: `catch` entries that begin after a while, or at a time, while the visit lives.
 *
 * Their times are worked out once, when the visit is begun, and stand in its row until each has begun: the data, and
 * what "tomorrow" means, may be others when one is looked at.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/internal.h"

static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || b == 0 ? Max(a, b) : Min(a, b);
}

/* What is next, of those that have not begun. */
static void
look_ahead(WfVisit *visit)
{
	visit->handler_at = 0;
	visit->interrupt_at = 0;
	for (int i = 0; visit->handler_times != NULL && i < visit->def->ncatches; i++)
	{
		TimestampTz at = visit->handler_times[i];

		visit->handler_at = earlier(visit->handler_at, at);
		if (visit->def->catches[i].interrupt)
			visit->interrupt_at = earlier(visit->interrupt_at, at);
	}
	visit->changed = true;
}

/* Work out when they begin: from its entry, or, of an incident that is taken up again, from now. */
bool
wf_handler_plan(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	const WfStep *def = visit->def;
	TimestampTz from = visit->again ? batch->now : visit->entered_at;
	TimestampTz *times = NULL;
	WfScope		scope;

	for (int i = 0; i < def->ncatches; i++)
	{
		const WfEvent *event = &def->catches[i].event;

		if (event->kind == WF_EVENT_NONE)
			continue;
		if (times == NULL)
		{
			times = MemoryContextAllocZero(batch->context, sizeof(TimestampTz) * def->ncatches);
			wf_engine_scope(visit, &scope);
		}
		if (!wf_clock_event(visit, event, &scope, from, &times[i], fault))
			return false;
	}
	if (times == NULL)
		return true;
	visit->handler_times = times;
	look_ahead(visit);
	return true;
}

/* Its `save`, which sees what the handler's steps will see as $caught. */
static bool
save(WfBatch *batch, WfVisit *visit, const WfCatch *handler, WfFault *fault)
{
	WfScope		scope;

	if (handler->save == NULL)
		return true;
	wf_engine_scope(visit, &scope);
	scope.caught = wf_outcome_caught(visit);
	scope.error = visit->error;
	return wf_data_apply(batch, visit, handler->save, &scope, fault);
}

/* Its token is one more, or takes the place of the visit's. */
static void
begin(WfBatch *batch, WfVisit *visit, int index)
{
	const WfCatch *handler = &visit->def->catches[index];
	WfInstance *instance = visit->instance;
	WfFault		fault = {.code = "INTERRUPTED", .message = "a handler of the step interrupted it"};
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb	   *error = wf_engine_error(&fault, visit->attempt);
	WfVisit    *next;

	if (handler->interrupt)
	{
		visit->cancel_handler = index + 1;
		next = wf_cancel_visit(batch, visit, WF_OUTCOME_CANCELLED, error);
	}
	else if (!save(batch, visit, handler, &fault))
		next = wf_outcome_fault(batch, visit, &fault);
	else
		next = wf_move_enter(batch, instance, handler->next, wf_outcome_caught(visit), 0);
	MemoryContextSwitchTo(old);
	wf_move_on(batch, instance, next);
}

/* The first of them, if that is not after `until`, or -1; at the same time one that ends the visit comes last. */
static int
first(const WfVisit *visit, TimestampTz until)
{
	const TimestampTz *times = visit->handler_times;
	const WfCatch *catches = visit->def->catches;
	int			found = -1;

	for (int i = 0; times != NULL && i < visit->def->ncatches; i++)
	{
		if (times[i] == 0 || times[i] > until)
			continue;
		if (found < 0 || times[i] < times[found] ||
			(times[i] == times[found] && catches[found].interrupt && !catches[i].interrupt))
			found = i;
	}
	return found;
}

static bool
is_interrupted(const WfVisit *visit)
{
	return visit->ended || visit->state == WF_STATE_CANCELLING || visit->state == WF_STATE_INCIDENT;
}

/* Begin those whose time has come by then, in the order of their times. False if one has interrupted the visit. */
bool
wf_handler_fire(WfBatch *batch, WfVisit *visit, TimestampTz until)
{
	int			index;

	while (visit->def != NULL && (index = first(visit, until)) >= 0)
	{
		visit->handler_times[index] = 0;
		begin(batch, visit, index);
		if (is_interrupted(visit))
			return false;
	}
	look_ahead(visit);
	return true;
}

/* The visit that it interrupted has come to its end. */
WfVisit *
wf_handler_take_over(WfBatch *batch, WfVisit *visit)
{
	const WfCatch *handler = &visit->def->catches[visit->cancel_handler - 1];
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfFault		fault = {0};
	bool		saved;

	wf_outcome_interrupt(visit);
	saved = save(batch, visit, handler, &fault);
	MemoryContextSwitchTo(old);
	return saved ? wf_outcome_interrupted(batch, visit, handler->next) : wf_outcome_fault(batch, visit, &fault);
}
