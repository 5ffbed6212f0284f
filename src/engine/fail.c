/*
 * fail.c
 *		A visit comes to a bad outcome: the handler of its step runs, or it becomes an incident.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/operations.h"
#include "engine/token.h"

/*
 * Was the instance given up, by a person or by the process itself? Then nobody has to resolve an
 * incident.
 */
static bool
is_cancelled_with_its_instance(const WfVisit *visit)
{
	return visit->instance->cancel_reason != NULL && (visit->def == NULL || !visit->def->ignore_cancel);
}

void
wf_op_fail(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	MemoryContext  old = MemoryContextSwitchTo(batch->context);
	const WfEntry *handler = wf_token_catch(visit, outcome, error);

	if (handler != NULL || is_cancelled_with_its_instance(visit))
	{
		visit->docs.result = NULL;
		wf_token_end(batch, visit, outcome, error);
		if (handler != NULL)
			wf_token_follow(batch, visit, &handler->next, wf_caught(visit));
	}
	else if (visit->state != WF_STATE_INCIDENT)
		wf_token_become_incident(batch, visit, outcome, error);
	MemoryContextSwitchTo(old);
}
