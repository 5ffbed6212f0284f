/*
 * conclude.c
 *		The end of a scope: it is left when its last token has ended; if it ends early, what lives in
 *		it is interrupted before.
 *
 * A scope that ends early is being cancelled, in phase `inside`. From then on nothing begins in it
 * but steps with ignore_cancel: whatever else a token enters ends at once. What follows, its outcome or
 * its handler, is in its row, as of any visit that is being cancelled.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/operations.h"
#include "engine/token.h"
#include "shmem/wakeups.h"
#include "store/work.h"

/* So many visits are interrupted in a transaction. */
#define MOST_INSIDE 1000

/* The names of the steps directly in a scope that go on while it ends. */
static const char **
steps_that_go_on(const WfVisit *scope, int *n)
{
	const WfDefinition *def = scope->instance->process->def;
	const WfStepList   *list = &def->lists[scope->def->inner];
	const char		  **names = palloc(sizeof(char *) * Max(list->n, 1));

	*n = 0;
	for (int i = list->first; i < list->first + list->n; i++)
		if (def->steps[i].ignore_cancel)
			names[(*n)++] = def->steps[i].name;
	return names;
}

/* Incidents at these steps go on only in an instance that was cancelled: a second cancel ends them. */
static bool
ends_incidents(const WfVisit *scope)
{
	return scope->instance->ending == WF_STATUS_ACTIVE;
}

static bool
is_interrupted_with(const WfVisit *visit, const WfVisit *scope)
{
	bool goes_on = visit->def != NULL && visit->def->ignore_cancel &&
				   (visit->state != WF_STATE_INCIDENT || !ends_incidents(scope));

	return visit->scope == scope && !visit->ended && visit->state != WF_STATE_CANCELLING && !goes_on;
}

static bool
offers_work(const WfDefinition *def)
{
	for (int i = 0; i < def->nsteps; i++)
		if (def->steps[i].noffered > 0 && wf_step_entry(&def->steps[i], WF_EVENT_TOPIC) >= 0)
			return true;
	return false;
}

/* Hold the work of all that lives in a scope, but for what goes on while it ends. */
static void
hold_work(const WfVisit *scope)
{
	const WfDefinition *def = scope->instance->process->def;
	const char		  **names = palloc(sizeof(char *) * Max(def->nsteps, 1));
	int					n = 0;

	for (int i = 0; i < def->nsteps; i++)
		if (def->steps[i].ignore_cancel)
			names[n++] = def->steps[i].name;
	wf_works_hold_inside(scope, names, n);
}

void
wf_op_interrupt_inside(WfBatch *batch, WfVisit *scope)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	int			  n;
	const char	**names = steps_that_go_on(scope, &n);
	bool		  more = wf_batch_load_inside(batch, scope, names, n, ends_incidents(scope), MOST_INSIDE);
	ListCell	 *lc;

	foreach (lc, scope->instance->visits)
	{
		WfVisit *visit = lfirst(lc);

		if (is_interrupted_with(visit, scope))
			wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, wf_token_ending_error(batch, visit));
	}
	/* the rest in another transaction; nobody fetches its work meanwhile */
	if (more && scope->queue == NULL && offers_work(scope->instance->process->def))
		hold_work(scope);
	if (more)
		wf_state_cancel(batch, scope, WF_CANCEL_INSIDE, pstrdup(WF_QUEUE_MOVE), batch->now);
	else if (scope->queue != NULL)
		wf_state_cancel(batch, scope, WF_CANCEL_INSIDE, NULL, 0);
	MemoryContextSwitchTo(old);
}

void
wf_op_conclude(WfBatch *batch, WfVisit *scope)
{
	bool interrupted = scope->cancel.outcome != WF_OUTCOME_NONE;

	/* one that is interrupted without tokens finishes that by itself */
	if (scope->tokens.n > 0 || (interrupted && scope->state != WF_STATE_CANCELLING))
		return;
	if (scope->state == WF_STATE_CANCELLING)
		wf_push(batch, scope, WF_FINISH_CANCEL);
	else if (wf_state_is_ending(scope))
		wf_push_interrupt(batch, scope, WF_OUTCOME_CANCELLED, wf_token_ending_error(batch, scope));
	else if (wf_has_more_items(scope))
		return;
	else if (scope->memory.cancelled_inside != NULL)
		wf_push_interrupt(batch, scope, WF_OUTCOME_CANCELLED, scope->memory.cancelled_inside);
	else
	{
		scope->steps_without_wait = scope->tokens.last_steps;
		wf_push(batch, scope, WF_LEAVE);
	}
}
