/*
 * wait.c
 *		The action of a visit, if any, is done: the visit waits for the events of its step, or
 *		leaves.
 */
#include "postgres.h"

#include "engine/condition.h"
#include "engine/event.h"
#include "engine/offer.h"
#include "engine/operations.h"
#include "store/subscription.h"

/* What of a step is waited for. */
typedef struct Opening
{
	WfVariables variables;
	bool	   *open; /* by entry */
	WfWaitsFor	kinds;
} Opening;

/* Judge `when` of each entry. */
static bool
choose_entries(const WfStep *def, Opening *opening, WfFault *fault)
{
	for (int i = 0; i < def->nwaits; i++)
	{
		const WfEvent *event = &def->entries[i].event;

		opening->open[i] = true;
		if (event->when != NULL && !wf_predicate_eval(event->when, &opening->variables, &opening->open[i], fault))
			return false;
		if (opening->open[i])
			opening->kinds |= wf_event_waits_for(event->kind);
	}
	return true;
}

/* What could happen from the begin of the visit on, and is not waited for after all, happens no more. */
static void
drop_others(WfBatch *batch, WfVisit *visit, const Opening *opening)
{
	for (int i = 0; i < visit->def->nwaits; i++)
	{
		WfEventKind kind = visit->def->entries[i].event.kind;

		if (!opening->open[i] && (kind == WF_EVENT_MESSAGE || kind == WF_EVENT_SIGNAL))
			wf_subscription_drop(batch, visit, i);
	}
}

/* Begin to wait: from now on the clocks and conditions can happen, too. */
static bool
wait_for_events(WfBatch *batch, WfVisit *visit, const Opening *opening, WfFault *fault)
{
	TimestampTz due_at;
	TimestampTz heartbeat_deadline = 0;

	if (!wf_clock_plan_wait(batch, visit, &opening->variables, opening->open, &due_at, fault))
		return false;
	if ((opening->kinds & WF_WAITS_FOR_CALLBACK) != 0 &&
		!wf_clock_heartbeat_deadline(batch, visit, &opening->variables, &heartbeat_deadline, fault))
		return false;
	if ((opening->kinds & (WF_WAITS_FOR_TASK | WF_WAITS_FOR_TOPIC)) != 0 &&
		!wf_offer_waits(batch, visit, &opening->variables, opening->open, fault))
		return false;
	wf_state_wait(batch, visit, opening->kinds, due_at);
	visit->clocks.heartbeat_deadline = heartbeat_deadline;
	if ((opening->kinds & WF_WAITS_FOR_CONDITION) != 0)
		wf_condition_wait(batch, visit, opening->open);
	return true;
}

/* Open the chosen entries. Of the conditions, the first one that holds happens at once. */
static bool
open_entries(WfBatch *batch, WfVisit *visit, const Opening *opening, WfFault *fault)
{
	bool happened = false;

	if (opening->kinds == WF_WAITS_FOR_NOTHING)
	{
		wf_push(batch, visit, WF_LEAVE);
		return true;
	}
	drop_others(batch, visit, opening);
	if ((opening->kinds & WF_WAITS_FOR_CONDITION) != 0 &&
		!wf_condition_open_waits(batch, visit, opening->open, &happened, fault))
		return false;
	if (!happened)
		return wait_for_events(batch, visit, opening, fault);
	wf_push(batch, visit, WF_HAPPEN);
	return true;
}

void
wf_op_open(WfBatch *batch, WfVisit *visit)
{
	bool	only;
	Opening opening = {.open = &only};
	WfFault fault = {0};

	if (visit->state == WF_STATE_INCIDENT)
		return;
	if (visit->def->nwaits == 0 || wf_has_accepted(visit))
	{
		wf_push(batch, visit, visit->def->nwaits == 0 ? WF_LEAVE : WF_HAPPEN);
		return;
	}
	if (visit->def->nwaits > 1)
		opening.open = MemoryContextAlloc(batch->context, sizeof(bool) * visit->def->nwaits);
	wf_engine_variables(visit, &opening.variables);
	if (!choose_entries(visit->def, &opening, &fault) || !open_entries(batch, visit, &opening, &fault))
		wf_push_break(batch, visit, &fault);
}
