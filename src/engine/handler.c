/*
 * handler.c
 *		Handlers of clocks: `catch` entries that begin after a while, or at a time, while the visit lives.
 *
 * Their times are worked out from the visit's entry whenever they are needed; the row holds only the next one. Those
 * before it have begun.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/internal.h"

static bool
strikes_at(WfVisit *visit, const WfCatch *handler, TimestampTz *at, WfFault *fault)
{
	WfScope		scope;

	wf_engine_scope(visit, &scope);
	return wf_clock_event(visit, &handler->event, &scope, visit->entered_at, at, fault);
}

/* Find the next one that strikes at that time or after it. */
bool
wf_handler_plan(WfBatch *batch, WfVisit *visit, TimestampTz after, WfFault *fault)
{
	visit->handler_at = 0;
	for (int i = 0; i < visit->def->ncatches; i++)
	{
		const WfCatch *handler = &visit->def->catches[i];
		TimestampTz at;

		if (handler->event.kind == WF_EVENT_NONE)
			continue;
		if (!strikes_at(visit, handler, &at, fault))
			return false;
		if (at < after)
			continue;
		if (visit->handler_at == 0 || at < visit->handler_at)
			visit->handler_at = at;
	}
	if (visit->handler_at != 0)
		visit->changed = true;
	return true;
}

/* Its token is one more, or takes the place of the visit's. True if the visit was interrupted. */
static bool
begin(WfBatch *batch, WfVisit *visit, int index)
{
	const WfCatch *handler = &visit->def->catches[index];
	WfInstance *instance = visit->instance;
	WfFault		fault = {.code = "INTERRUPTED", .message = "a handler of the step interrupted it"};
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb	   *error = wf_engine_error(&fault, visit->attempt);
	WfVisit    *next;
	WfScope		scope;

	wf_engine_scope(visit, &scope);
	if (handler->save != NULL && !wf_data_apply(batch, visit, handler->save, &scope, &fault))
		next = wf_outcome_fault(batch, visit, &fault);
	else if (handler->interrupt)
	{
		visit->cancel_handler = index + 1;
		next = wf_cancel_visit(batch, visit, WF_OUTCOME_CANCELLED, error);
	}
	else
		next = wf_move_enter(batch, instance, handler->next, wf_outcome_caught(visit), 0);
	MemoryContextSwitchTo(old);
	wf_move_on(batch, instance, next);
	return visit->ended || visit->state == WF_STATE_CANCELLING ||
		   visit->state == WF_STATE_INCIDENT;
}

/* Those that have struck since the last look, in the order of the definition. */
void
wf_handler_fire(WfBatch *batch, WfVisit *visit)
{
	TimestampTz from = visit->handler_at;
	WfFault		fault = {0};

	for (int i = 0; i < visit->def->ncatches; i++)
	{
		TimestampTz at;

		if (visit->def->catches[i].event.kind == WF_EVENT_NONE)
			continue;
		if (!strikes_at(visit, &visit->def->catches[i], &at, &fault))
		{
			wf_move_on(batch, visit->instance, wf_outcome_fault(batch, visit, &fault));
			return;
		}
		if (at >= from && at <= batch->now && begin(batch, visit, i))
			return;
	}
	if (!wf_handler_plan(batch, visit, batch->now + 1, &fault))
		wf_move_on(batch, visit->instance, wf_outcome_fault(batch, visit, &fault));
	visit->changed = true;
}

/* The visit that it interrupted has come to its end. */
WfVisit *
wf_handler_take_over(WfBatch *batch, WfVisit *visit)
{
	return wf_outcome_interrupted(batch, visit,
								  visit->def->catches[visit->cancel_handler - 1].next);
}
