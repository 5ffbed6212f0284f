/*
 * handler.c
 *		Handlers with times: their begin.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/handler.h"
#include "engine/token.h"

/* Run the handler's `save`, which sees as $caught what the handler's steps will see. */
static bool
save_caught(WfBatch *batch, WfVisit *visit, const WfEntry *handler, Jsonb *caught, WfFault *fault)
{
	WfVariables variables;

	if (handler->save == NULL)
		return true;
	wf_engine_variables(visit, &variables);
	variables.caught = caught;
	variables.error = visit->error;
	return wf_data_apply(batch, visit, handler->save, &variables, fault);
}

void
wf_handler_begin(WfBatch *batch, WfVisit *visit, int entry)
{
	const WfEntry *handler = &visit->def->entries[entry];
	WfFault		   fault = {.code = "INTERRUPTED", .message = "a handler of the step interrupted it"};
	MemoryContext  old = MemoryContextSwitchTo(batch->context);

	if (wf_state_is_process(visit))
		fault.message = "a handler of the process interrupted it";
	if (handler->interrupt)
		wf_push_handler(batch, visit, handler, wf_engine_error(&fault, visit->attempt), NULL);
	else if (!wf_token_room(visit, handler->next.n, &fault) ||
			 !save_caught(batch, visit, handler, wf_caught(visit), &fault))
		wf_push_fault(batch, visit, &fault);
	else
		wf_token_follow(batch, visit, &handler->next, wf_caught(visit));
	MemoryContextSwitchTo(old);
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

	visit->docs.result = wf_token_result(visit, WF_OUTCOME_CANCELLED, visit->error);
	/* what a scope has caught is in its row */
	caught = handler->event.kind != WF_EVENT_NONE ? wf_caught(visit) : visit->caught;
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
