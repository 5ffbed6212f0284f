/*
 * fail.c
 *		A visit comes to a bad outcome: its step's handler goes on, or it stands as an incident.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/operations.h"
#include "engine/token.h"

/* Nobody has to mend it: a person, or the process itself, has given the instance up. */
static bool
is_cancelled_with_its_instance(const WfVisit *visit)
{
	return visit->instance->cancel_reason != NULL &&
		   (visit->def == NULL || !visit->def->ignore_cancel);
}

void
wf_op_fail(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	const WfEntry *handler = wf_token_catch(visit, outcome, error);

	if (handler != NULL || is_cancelled_with_its_instance(visit))
	{
		visit->docs.result = NULL;
		wf_token_end(batch, visit, outcome, error);
		if (handler != NULL)
			wf_token_follow(batch, visit, &handler->next, wf_caught(visit));
	}
	else if (visit->state != WF_STATE_INCIDENT)
		wf_token_stand(batch, visit, outcome, error);
	MemoryContextSwitchTo(old);
}
