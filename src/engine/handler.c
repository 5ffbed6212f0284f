/*
 * handler.c
 *		Handlers by events: their begin.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/event.h"
#include "engine/handler.h"
#include "engine/token.h"

/* Run the handler's `save`, which sees as $caught what the handler's steps will see, and the event as $event, too. */
static bool
save_caught(WfBatch *batch, WfVisit *visit, const WfEntry *handler, Jsonb *caught, WfFault *fault)
{
	WfVariables variables;

	if (handler->save == NULL)
		return true;
	wf_engine_variables(visit, &variables);
	variables.caught = caught;
	variables.event = wf_jsonb_get(caught, "event");
	variables.error = visit->error;
	return wf_data_apply(batch, visit, handler->save, &variables, fault);
}

/* A new token enters the handler's steps, beside the visit, which fails if that cannot be. */
static void
begin_beside(WfBatch *batch, WfVisit *visit, const WfEntry *handler, Jsonb *caught)
{
	WfFault fault = {0};

	if (!wf_token_room(visit, handler->next.n, &fault) || !save_caught(batch, visit, handler, caught, &fault))
		wf_push_fault(batch, visit, &fault);
	else
		wf_token_follow(batch, visit, &handler->next, caught);
}

/* What interrupts, unless it is a clock. */
static const char *
by_event(const WfEvent *event)
{
	if (wf_is_clock(event->kind))
		return "";
	if (event->name == NULL)
		return psprintf(", by a %s", wf_event_kind_name(event->kind));
	return psprintf(", by the %s \"%s\"", wf_event_kind_name(event->kind), event->name);
}

void
wf_handler_begin(WfBatch *batch, WfVisit *visit, int entry, Jsonb *event, int steps)
{
	const WfEntry *handler = &visit->def->entries[entry];
	int			   own_steps = visit->steps_without_wait;
	WfFault		   fault = {.code = "INTERRUPTED"};
	MemoryContext  old = MemoryContextSwitchTo(batch->context);

	fault.message = psprintf("a handler of the %s interrupted it%s", wf_state_is_process(visit) ? "process" : "step",
							 by_event(&handler->event));
	visit->steps_without_wait = Max(own_steps, steps);
	if (handler->interrupt)
		wf_push_handler(batch, visit, handler, wf_engine_error(&fault, visit->attempt), NULL, event);
	else
	{
		begin_beside(batch, visit, handler, wf_event_caught(visit, event));
		visit->steps_without_wait = own_steps;
	}
	MemoryContextSwitchTo(old);
}

void
wf_handler_escalate(WfBatch *batch, WfVisit *visit, WfVisit *scope, const WfEntry *handler, Jsonb *event)
{
	Jsonb *caught = wf_event_caught(visit, event);
	int	   own_steps = scope->steps_without_wait;

	scope->steps_without_wait = Max(own_steps, visit->steps_without_wait);
	if (handler->interrupt)
		wf_token_caught(batch, scope, handler, caught, event);
	else
	{
		begin_beside(batch, scope, handler, caught);
		scope->steps_without_wait = own_steps;
	}
}

/* $caught of the handler for which a visit was interrupted: what a scope has caught is in its row. */
static Jsonb *
caught_of(WfVisit *visit, const WfEntry *handler)
{
	if (handler->event.kind == WF_EVENT_NONE || handler->event.kind == WF_EVENT_ESCALATION)
		return visit->caught;
	return wf_event_caught(visit, visit->docs.event);
}

/*
 * Run the handler of a visit that was interrupted. The result is set first, so that it is known if
 * something fails after that.
 */
void
wf_handler_take_over(WfBatch *batch, WfVisit *visit)
{
	const WfEntry *handler = &visit->def->entries[visit->cancel.handler - 1];
	MemoryContext  old = MemoryContextSwitchTo(batch->context);
	WfFault		   fault = {0};
	Jsonb		  *caught;

	visit->docs.result = wf_token_result(batch, visit, WF_OUTCOME_CANCELLED, visit->error);
	caught = caught_of(visit, handler);
	if (wf_token_has_room(batch, visit, handler))
	{
		if (save_caught(batch, visit, handler, caught, &fault))
		{
			wf_token_end(batch, visit, WF_OUTCOME_CANCELLED, visit->error);
			wf_token_follow(batch, visit, &handler->next, caught);
		}
		else
			wf_push_fault(batch, visit, &fault);
	}
	MemoryContextSwitchTo(old);
}
