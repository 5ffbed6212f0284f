/*
 * close.c
 *		An instance is to end before its tokens do: all visits that live in it are interrupted.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/call.h"
#include "engine/operations.h"
#include "engine/suspend.h"
#include "engine/token.h"

/*
 * Is the visit interrupted? Steps with ignore_cancel go on. A second cancel ends only incidents,
 * which nobody wants to resolve any more.
 */
static bool
is_cancelled(const WfVisit *visit, bool again)
{
	if (visit->ended)
		return false;
	if (again)
		return visit->state == WF_STATE_INCIDENT;
	return !wf_state_ignores_cancel(visit);
}

/*
 * What the visit has called is told to end when the visit is interrupted. It may have been told before, and have incidents of its own,
 * or be suspended with its caller.
 */
static void
tell_child(WfBatch *batch, const WfVisit *visit, bool again, bool was_suspended)
{
	if (visit->ended)
		return;
	if (again && wf_state_is_phase(visit, WF_CANCEL_CHILD))
		wf_call_order(batch, visit, WF_ORDER_CANCEL);
	else if (was_suspended && (wf_state_is_phase(visit, WF_CANCEL_CHILD) || !is_cancelled(visit, again)))
		wf_call_order(batch, visit, WF_ORDER_RESUME);
}

/*
 * End an instance early. Once no visit lives in it, it has the status `ending`: completed; or aborted,
 * with `error`, or with one that tells the reason. The first end stays.
 */
void
wf_op_close(WfBatch *batch, WfInstance *instance, WfStatus ending, const char *reason, Jsonb *error)
{
	bool	  again = instance->ending != WF_STATUS_ACTIVE;
	bool	  was_suspended = instance->status == WF_STATUS_SUSPENDED;
	ListCell *lc;

	wf_batch_load_all_visits(batch, instance);
	if (was_suspended)
		wf_resume(batch, instance);
	if (!again)
	{
		instance->ending = ending;
		if (ending == WF_STATUS_ABORTED)
			instance->cancel_reason = MemoryContextStrdup(batch->context, reason != NULL ? reason : "");
		instance->error = error;
	}
	instance->changed = true;
	foreach (lc, instance->visits)
	{
		WfVisit *visit = lfirst(lc);

		tell_child(batch, visit, again, was_suspended);
		if (is_cancelled(visit, again))
			wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, wf_token_ending_error(batch, visit));
	}
}
