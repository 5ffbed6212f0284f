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
save_caught(WfBatch *batch, WfVisit *visit, const WfEntry *handler, WfFault *fault)
{
	WfVariables variables;

	if (handler->save == NULL)
		return true;
	wf_engine_variables(visit, &variables);
	variables.caught = wf_caught(visit);
	variables.error = visit->error;
	return wf_data_apply(batch, visit, handler->save, &variables, fault);
}

void
wf_handler_begin(WfBatch *batch, WfVisit *visit, int entry)
{
	const WfEntry *handler = &visit->def->entries[entry];
	WfFault		   fault = {.code = "INTERRUPTED", .message = "a handler of the step interrupted it"};
	MemoryContext  old = MemoryContextSwitchTo(batch->context);

	if (handler->interrupt)
	{
		visit->cancel.handler = entry + 1;
		wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, wf_engine_error(&fault, visit->attempt));
	}
	else if (!save_caught(batch, visit, handler, &fault))
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

	visit->docs.result = wf_token_result(visit, WF_OUTCOME_CANCELLED, visit->error);
	if (save_caught(batch, visit, handler, &fault))
	{
		wf_token_end(batch, visit, WF_OUTCOME_CANCELLED, visit->error);
		wf_token_follow(batch, visit, &handler->next, wf_caught(visit));
	}
	else
		wf_push_fault(batch, visit, &fault);
	MemoryContextSwitchTo(old);
}
