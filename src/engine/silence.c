/*
 * silence.c
 *		How long a worker may be silent that has fetched the work of a visit.
 *
 * Whoever fetches locks no instance, so nothing in the row of a visit says that its work was fetched: the row of the
 * work does. That a heartbeat is to be counted from then on comes as a delivery.
 */
#include "postgres.h"

#include "engine/silence.h"
#include "store/work.h"

/* Is it a worker whose silence counts? That of a callback counts from the begin of the wait. */
static bool
listens_to_worker(const WfVisit *visit)
{
	return visit->state == WF_STATE_WAITING && (visit->waits_for & WF_WAITS_FOR_TOPIC) != 0 &&
		   (visit->waits_for & WF_WAITS_FOR_CALLBACK) == 0 && visit->def != NULL && visit->def->heartbeat.present &&
		   !wf_has_accepted(visit);
}

static void
set_deadline(WfVisit *visit, TimestampTz deadline)
{
	visit->clocks.heartbeat_deadline = deadline;
	visit->changed = true;
}

/* The end of the silence that is allowed to who has fetched the work of the visit; 0: nobody has. */
static TimestampTz
deadline_of_fetch(WfBatch *batch, WfVisit *visit)
{
	WfWork		work = wf_work_read(visit->instance->id, visit->id);
	WfFault		ignored = {0};
	WfVariables variables;
	TimestampTz at;

	if (!wf_work_is_taken(&work, batch->now))
		return 0;
	wf_engine_variables(visit, &variables);
	return wf_clock_after(visit, &visit->def->heartbeat, &variables, work.fetched_at, &at, &ignored) ? at : 0;
}

/*
 * Told a moment after the fetch; or much later, since the instance was suspended or locked, and its worker may have been heard of meanwhile:
 * so the silence counts from now.
 */
void
wf_silence_begin(WfBatch *batch, WfVisit *visit)
{
	if (!listens_to_worker(visit) || deadline_of_fetch(batch, visit) == 0)
		return;
	wf_clock_listen(batch, visit);
	visit->changed = true;
}

bool
wf_silence_outlives(WfBatch *batch, WfVisit *visit)
{
	TimestampTz deadline;

	if (!listens_to_worker(visit))
		return false;
	deadline = deadline_of_fetch(batch, visit);
	if (deadline != 0 && deadline <= visit->clocks.heartbeat_deadline)
		return false;
	set_deadline(visit, deadline);
	return true;
}

bool
wf_silence_carry(WfBatch *batch, WfVisit *visit, bool same, const WfVariables *variables, TimestampTz *deadline,
				 WfFault *fault)
{
	WfWork work;

	*deadline = visit->def->heartbeat.present ? visit->clocks.heartbeat_deadline : 0;
	if (same || !visit->def->heartbeat.present)
		return true;
	work = wf_work_read(visit->instance->id, visit->id);
	*deadline = 0;
	return !wf_work_is_taken(&work, batch->now) ||
		   wf_clock_heartbeat_deadline(batch, visit, variables, deadline, fault);
}

void
wf_silence_resume(WfBatch *batch, WfVisit *visit)
{
	if (listens_to_worker(visit) && visit->clocks.heartbeat_deadline != 0)
		wf_clock_listen(batch, visit);
}

void
wf_silence_end(WfVisit *visit)
{
	if (listens_to_worker(visit) && visit->clocks.heartbeat_deadline != 0)
		set_deadline(visit, 0);
}
