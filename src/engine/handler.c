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
	if (visit->docs.result != NULL)
		variables.result = wf_token_result_at_hand(batch, visit, WF_OUTCOME_CANCELLED, visit->error);
	variables.caught = caught;
	variables.event = wf_jsonb_get(caught, "event");
	variables.error = visit->error;
	return wf_data_apply(batch, visit, handler->save, &variables, fault);
}

/* Which event begins a handler beside the visit, for those who ask where its tokens came from. */
static Jsonb *
begun_by(const WfVisit *visit, const WfEntry *handler, Jsonb *caught)
{
	Jsonb  *event = wf_jsonb_get(caught, "event");
	WfField fields[] = {
		{.key = "visit", .kind = WF_FIELD_INT, .number = visit->id},
		{.key = "kind", .kind = WF_FIELD_TEXT, .text = wf_event_kind_name(handler->event.kind)},
		{.key = "name", .jsonb = event != NULL ? wf_jsonb_get(event, "name") : NULL},
		{.key = "key", .jsonb = event != NULL ? wf_jsonb_get(event, "key") : NULL},
	};

	return wf_jsonb_object(fields, lengthof(fields));
}

/* New tokens enter the handler's steps, beside the visit. Returns false with *fault if that cannot be. */
static bool
begin_beside(WfBatch *batch, WfVisit *visit, const WfEntry *handler, Jsonb *caught, WfFault *fault)
{
	Jsonb *by;

	if (!wf_token_room(visit, handler->next.n, fault) || !save_caught(batch, visit, handler, caught, fault))
		return false;
	by = begun_by(visit, handler, caught);
	for (int i = 0; i < handler->next.n; i++)
		wf_token_enter(batch, visit->instance, visit->scope, visit, handler->next.steps[i], caught, 0)->begun_by = by;
	return true;
}

/* A handler cannot begin: that is a failure of its visit, whose result says by which event. */
static void
note_failed(WfVisit *visit, Jsonb *event)
{
	if (wf_has_accepted(visit))
		return; /* what it had accepted is lost with it, and is told instead */
	visit->docs.event = event;
	visit->docs.changed = true;
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

bool
wf_handler_try(WfBatch *batch, WfVisit *visit, int entry, Jsonb *event, int steps, WfFault *fault)
{
	const WfEntry *handler = &visit->def->entries[entry];
	int			   own_steps = visit->steps_without_wait;
	WfFault		   why = {.code = "INTERRUPTED"};
	MemoryContext  old = MemoryContextSwitchTo(batch->context);
	bool		   begun = true;

	why.message = psprintf("a handler of the %s interrupted it%s", wf_state_is_process(visit) ? "process" : "step",
						   by_event(&handler->event));
	visit->steps_without_wait = Max(own_steps, steps);
	if (handler->interrupt && wf_has_accepted(visit))
		wf_push_interrupt(batch, visit, WF_OUTCOME_SUCCESS, wf_engine_error(&why, visit->attempt));
	else if (handler->interrupt)
		wf_push_handler(batch, visit, handler, wf_engine_error(&why, visit->attempt), NULL, event);
	else
	{
		begun = begin_beside(batch, visit, handler, wf_caught(visit, event), fault);
		visit->steps_without_wait = own_steps;
		if (!begun)
			note_failed(visit, event);
	}
	MemoryContextSwitchTo(old);
	return begun;
}

void
wf_handler_begin(WfBatch *batch, WfVisit *visit, int entry, Jsonb *event, int steps)
{
	WfFault fault = {0};

	if (!wf_handler_try(batch, visit, entry, event, steps, &fault))
		wf_push_break(batch, visit, &fault);
}

void
wf_handler_escalate(WfBatch *batch, WfVisit *visit, WfVisit *scope, const WfEntry *handler, Jsonb *event)
{
	Jsonb  *caught = wf_caught(visit, event);
	int		own_steps = scope->steps_without_wait;
	WfFault fault = {0};

	scope->steps_without_wait = Max(own_steps, visit->steps_without_wait);
	if (handler->interrupt)
	{
		scope->memory.is_caught = true;
		wf_token_caught(batch, scope, handler, caught, event);
	}
	else
	{
		if (!begin_beside(batch, scope, handler, caught, &fault))
		{
			note_failed(scope, event);
			wf_push_break(batch, scope, &fault);
		}
		scope->steps_without_wait = own_steps;
	}
}

/* $caught of the handler for which a visit was interrupted: what a scope has caught is in its row. */
static Jsonb *
caught_of(WfVisit *visit, const WfEntry *handler)
{
	if (handler->event.kind == WF_EVENT_NONE || handler->event.kind == WF_EVENT_ESCALATION)
		return visit->caught;
	return wf_caught(visit, visit->docs.event);
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
