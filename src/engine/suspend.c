/*
 * suspend.c
 *		Suspending an instance, and resuming it, with what it has called.
 */
#include "postgres.h"

#include "engine/call.h"
#include "engine/silence.h"
#include "engine/suspend.h"

void
wf_suspend(WfBatch *batch, WfInstance *instance, bool with_caller)
{
	ListCell *lc;

	if (instance->status == WF_STATUS_SUSPENDED)
	{
		/* from now on it is suspended for itself */
		if (!with_caller && instance->with_caller)
		{
			instance->with_caller = false;
			instance->changed = true;
		}
		return;
	}
	wf_batch_load_all_visits(batch, instance);
	foreach (lc, instance->visits)
	{
		wf_state_set_suspended(batch, lfirst(lc), true);
		wf_call_order(batch, lfirst(lc), WF_ORDER_SUSPEND);
	}
	instance->status = WF_STATUS_SUSPENDED;
	instance->with_caller = with_caller;
	instance->changed = true;
	instance->show_changed = true;
}

/* Does it wait for the outside, which may be silent for too long, and not for other tokens? */
static bool
listens(const WfVisit *visit)
{
	return visit->state == WF_STATE_WAITING && (visit->waits_for & WF_WAITS_FOR_CALLBACK) != 0 && visit->def != NULL &&
		   !wf_has_accepted(visit);
}

void
wf_resume_called(WfBatch *batch, WfInstance *instance)
{
	ListCell *lc;

	foreach (lc, instance->visits)
		wf_call_order(batch, lfirst(lc), WF_ORDER_RESUME);
}

/*
 * Resume an instance. Timers that came meanwhile are due now; heartbeat deadlines are set anew; conditions are judged,
 * once nothing else is left to be done.
 */
void
wf_resume(WfBatch *batch, WfInstance *instance)
{
	ListCell *lc;

	if (instance->status != WF_STATUS_SUSPENDED)
		return;
	wf_batch_load_all_visits(batch, instance);
	foreach (lc, instance->visits)
	{
		WfVisit *visit = lfirst(lc);

		wf_state_set_suspended(batch, visit, false);
		if (listens(visit))
			wf_clock_listen(batch, visit);
		else
			wf_silence_resume(batch, visit);
	}
	instance->status = instance->incidents > 0 ? WF_STATUS_FAILED : WF_STATUS_ACTIVE;
	instance->with_caller = false;
	instance->resumed = true;
	instance->changed = true;
	instance->show_changed = true;
	instance->judges_conditions = true;
	instance->judges_all = true;
	instance->data_steps = 0;
	batch->needs_sync_commit = true;
}
