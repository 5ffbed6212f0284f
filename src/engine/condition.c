/*
 * condition.c
 *		Conditions for which visits and their handlers wait.
 *
 * They are judged when they open, and whenever nothing is left to be done in an instance whose data have changed, so that
 * they see no state in the middle of a move: all of them in the order in which they were opened, and again until none
 * happens any more. A handler's happens when it comes to hold. One that cannot be judged fails its own visit.
 *
 * A token that goes on by a condition has made one step more without a wait than the one that has changed the data: so two that
 * make each other's conditions hold come to the step limit.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/condition.h"
#include "engine/event.h"
#include "engine/handler.h"
#include "store/subscription.h"

/* Nothing happens in an instance that is suspended: that is judged when it is resumed. */
static bool
may_judge(const WfInstance *instance)
{
	return instance->status != WF_STATUS_SUSPENDED && !instance->ended;
}

static bool
holds(WfVisit *visit, int entry, bool *answer, WfFault *fault)
{
	WfVariables variables;

	wf_engine_variables(visit, &variables);
	return wf_predicate_eval(visit->def->entries[entry].event.condition, &variables, answer, fault);
}

static Jsonb *
happened_now(WfBatch *batch, const WfVisit *visit)
{
	WfHappening happening = {.kind = WF_EVENT_CONDITION, .at = batch->now};

	return wf_event_document(visit->instance, &happening);
}

/* ---- opening ---- */

bool
wf_condition_open_handlers(WfBatch *batch, WfVisit *visit, bool *interrupted, WfFault *fault)
{
	const WfStep *def = visit->def;

	for (int i = def->nwaits; i < def->nentries && !*interrupted; i++)
	{
		bool answer = false;

		if (def->entries[i].event.kind != WF_EVENT_CONDITION)
			continue;
		if (may_judge(visit->instance) && !holds(visit, i, &answer, fault))
			return false;
		wf_subscription_add(batch, visit, i, NULL)->met = answer;
		if (!answer)
			continue;
		if (!wf_handler_try(batch, visit, i, happened_now(batch, visit), 0, fault))
			return false;
		*interrupted = def->entries[i].interrupt;
	}
	return true;
}

bool
wf_condition_open_waits(WfBatch *batch, WfVisit *visit, const bool *open, bool *happened, WfFault *fault)
{
	for (int i = 0; i < visit->def->nwaits && !*happened; i++)
	{
		if (visit->def->entries[i].event.kind != WF_EVENT_CONDITION || !open[i])
			continue;
		if (!holds(visit, i, happened, fault))
			return false;
		if (*happened)
			wf_state_accept_event(batch, visit, i, happened_now(batch, visit), NULL);
	}
	return true;
}

void
wf_condition_wait(WfBatch *batch, WfVisit *visit, const bool *open)
{
	for (int i = 0; i < visit->def->nwaits; i++)
		if (visit->def->entries[i].event.kind == WF_EVENT_CONDITION && open[i])
			(void) wf_subscription_add(batch, visit, i, NULL);
}

/* ---- judging ---- */

static void
end_wait(WfBatch *batch, WfVisit *visit, int entry)
{
	wf_state_accept_event(batch, visit, entry, happened_now(batch, visit), NULL);
	visit->steps_without_wait = visit->instance->data_steps + 1;
	wf_push(batch, visit, WF_HAPPEN);
}

/* Returns whether something follows from it. */
static bool
judge(WfBatch *batch, WfSubscription *subscription)
{
	WfVisit *visit = subscription->visit;
	bool	 waits = subscription->entry < visit->def->nwaits;
	bool	 was_met = subscription->met;
	bool	 answer = false;
	WfFault	 fault = {0};

	if (subscription->is_dropped || !wf_state_is_open(visit) || wf_state_is_ending(visit))
		return false;
	if (!holds(visit, subscription->entry, &answer, &fault))
	{
		wf_push_break(batch, visit, &fault);
		return true;
	}
	if (!waits)
		wf_subscription_set_met(batch, subscription, answer);
	if (!answer || was_met)
		return false;
	if (waits)
		end_wait(batch, visit, subscription->entry);
	else
		wf_handler_begin(batch, visit, subscription->entry, happened_now(batch, visit),
						 visit->instance->data_steps + 1);
	return true;
}

/* Go on with the pass through the conditions, from where the last one happened. */
static bool
judge_rest(WfBatch *batch, WfInstance *instance)
{
	while (instance->judged < list_length(instance->conditions))
		if (judge(batch, list_nth(instance->conditions, instance->judged++)))
			return true;
	instance->judged = 0;
	return false;
}

bool
wf_condition_judge(WfBatch *batch, WfInstance *instance)
{
	MemoryContext old;
	bool		  happened;

	if (!instance->process->def->has_conditions || !may_judge(instance))
		return false;
	old = MemoryContextSwitchTo(batch->context);
	happened = instance->judged > 0 && judge_rest(batch, instance);
	while (!happened && instance->judges_conditions)
	{
		instance->judges_conditions = false;
		wf_subscription_read_conditions(batch, instance);
		happened = judge_rest(batch, instance);
	}
	MemoryContextSwitchTo(old);
	return happened;
}
