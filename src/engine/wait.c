/*
 * wait.c
 *		The action of a visit, if any, is done: the visit waits for the event of its step, or
 *		leaves.
 */
#include "postgres.h"

#include "engine/operations.h"

static const WfWaitsFor waits_for[] = {
	[WF_EVENT_NONE] = WF_WAITS_FOR_NOTHING,
	[WF_EVENT_CALLBACK] = WF_WAITS_FOR_CALLBACK,
	[WF_EVENT_AFTER] = WF_WAITS_FOR_AFTER,
	[WF_EVENT_UNTIL] = WF_WAITS_FOR_UNTIL,
};

/* Begin to wait: from now on the events of the step can happen. */
static bool
open_entries(WfBatch *batch, WfVisit *visit, const WfVariables *variables, WfFault *fault)
{
	WfEventKind kind = wf_step_waits_for(visit->def);
	TimestampTz due_at;
	TimestampTz heartbeat_deadline = 0;

	if (!wf_clock_plan_wait(batch, visit, variables, &due_at, fault))
		return false;
	if (kind == WF_EVENT_CALLBACK && !wf_clock_heartbeat_deadline(batch, visit, variables, &heartbeat_deadline, fault))
		return false;
	wf_state_wait(batch, visit, waits_for[kind], due_at);
	visit->clocks.heartbeat_deadline = heartbeat_deadline;
	return true;
}

void
wf_op_open(WfBatch *batch, WfVisit *visit)
{
	const WfPredicate *when = visit->def->nwaits > 0 ? visit->def->entries[0].event.when : NULL;
	WfFault			   fault = {0};
	WfVariables		   variables;
	bool			   answer = visit->def->nwaits > 0;
	bool			   ok = true;

	wf_engine_variables(visit, &variables);
	if (when != NULL)
		ok = wf_predicate_eval(when, &variables, &answer, &fault);
	if (ok && !answer)
	{
		wf_push(batch, visit, WF_LEAVE);
		return;
	}
	if (ok)
		ok = open_entries(batch, visit, &variables, &fault);
	if (!ok)
		wf_push_fault(batch, visit, &fault);
}
