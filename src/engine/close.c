/*
 * close.c
 *		An instance is to end before its tokens do: all visits that live in it are interrupted.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/operations.h"
#include "engine/suspend.h"

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
	return visit->def == NULL || !visit->def->ignore_cancel;
}

/*
 * Cancel an instance. Once no visit lives in it, it ends as aborted, with `error`, or with one that
 * tells the reason.
 */
void
wf_op_close(WfBatch *batch, WfInstance *instance, const char *reason, Jsonb *error)
{
	bool	  again = instance->cancel_reason != NULL;
	ListCell *lc;

	wf_batch_load_all_visits(batch, instance);
	if (instance->status == WF_STATUS_SUSPENDED)
		wf_resume(batch, instance);
	if (!again)
	{
		instance->cancel_reason = MemoryContextStrdup(batch->context, reason != NULL ? reason : "");
		instance->error = error;
	}
	instance->changed = true;
	foreach (lc, instance->visits)
	{
		WfVisit *visit = lfirst(lc);

		if (is_cancelled(visit, again))
			wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, wf_cancel_error(batch, instance->cancel_reason));
	}
}
