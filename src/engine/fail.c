/*
 * fail.c
 *		A visit comes to a bad outcome: a handler of its step runs, or one of a scope around it, or it
 *		becomes an incident.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/event.h"
#include "engine/operations.h"
#include "engine/token.h"

/* A timeout, or an error thrown, of the process as a whole that nothing catches: the instance is aborted. */
static void
abort_instance(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	char *reason = wf_jsonb_get_text(error, "message");

	if (reason == NULL)
		reason = pstrdup(wf_outcome_name(outcome));
	wf_token_end(batch, visit, outcome, error);
	wf_push_close(batch, visit->instance, WF_STATUS_ABORTED, reason, error);
}

/* The step itself does not catch what became of it: a scope around it does, or nobody. */
static void
fail_outwards(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	const WfEntry *handler = NULL;
	bool		   ending;
	WfVisit		  *scope = wf_token_catch_around(visit, outcome, error, &handler, &ending);

	if (scope != NULL || ending)
	{
		visit->outcome = outcome;
		visit->error = error;
		visit->docs.result = wf_token_result(batch, visit, outcome, error);
		/* first, since the scope is left when its last token has ended */
		if (scope != NULL)
			wf_token_caught(batch, scope, handler, wf_event_caught(visit, batch->now), NULL);
		wf_token_end(batch, visit, outcome, error);
	}
	else if (wf_state_is_process(visit) && outcome == WF_OUTCOME_TIMED_OUT)
		abort_instance(batch, visit, outcome, error);
	else if (visit->state != WF_STATE_INCIDENT)
		wf_token_become_incident(batch, visit, outcome, error);
}

void
wf_op_fail(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	MemoryContext  old = MemoryContextSwitchTo(batch->context);
	const WfEntry *handler;

	/* what lives in a scope, or was called, ends first */
	if (visit->tokens.n > 0 || wf_state_awaits_child(visit))
		wf_push_interrupt(batch, visit, outcome, error);
	else if ((handler = wf_token_catch(visit, outcome, error)) == NULL)
		fail_outwards(batch, visit, outcome, error);
	else if (wf_token_has_room(batch, visit, handler))
	{
		visit->docs.result = NULL;
		wf_token_end(batch, visit, outcome, error);
		wf_token_follow(batch, visit, &handler->next, wf_event_caught(visit, batch->now));
	}
	MemoryContextSwitchTo(old);
}
