/*
 * wait.c
 *		The action of a visit, if any, is done: it waits for its step's event, or goes on.
 */
#include "postgres.h"

#include "engine/operations.h"

static bool
wait_for_clock(WfBatch *batch, WfVisit *visit, const WfScope *scope, WfFault *fault)
{
	const WfEvent *event = &visit->def->wait;
	TimestampTz at = 0;

	if (!wf_clock_event(visit, event, scope, batch->now, &at, fault))
		return false;
	wf_state_wait(batch, visit, event->kind == WF_EVENT_AFTER ? WF_WAITS_FOR_AFTER : WF_WAITS_FOR_UNTIL, at);
	return true;
}

static bool
wait_for_callback(WfBatch *batch, WfVisit *visit, const WfScope *scope, WfFault *fault)
{
	TimestampTz at = 0;

	if (!wf_clock_silence(batch, visit, scope, &at, fault))
		return false;
	wf_state_wait(batch, visit, WF_WAITS_FOR_CALLBACK, 0);
	visit->clocks.silence_at = at;
	return true;
}

void
wf_op_open(WfBatch *batch, WfVisit *visit)
{
	const WfEvent *event = &visit->def->wait;
	WfFault		fault = {0};
	WfScope		scope;
	bool		answer = event->kind != WF_EVENT_NONE;
	bool		ok = true;

	wf_engine_scope(visit, &scope);
	if (answer && event->when != NULL)
		ok = wf_predicate_eval(event->when, &scope, &answer, &fault);
	if (ok && !answer)
	{
		wf_push(batch, visit, WF_LEAVE);
		return;
	}
	if (ok && event->kind == WF_EVENT_CALLBACK)
		ok = wait_for_callback(batch, visit, &scope, &fault);
	else if (ok)
		ok = wait_for_clock(batch, visit, &scope, &fault);
	if (!ok)
		wf_push_fault(batch, visit, &fault);
}
