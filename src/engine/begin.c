/*
 * begin.c
 *		A token has entered a step: its visit begins, unless something prevents it.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/action.h"
#include "engine/answer.h"
#include "engine/call.h"
#include "engine/condition.h"
#include "engine/offer.h"
#include "engine/operations.h"
#include "engine/scope.h"
#include "engine/send.h"
#include "engine/token.h"
#include "shmem/wakeups.h"

/*
 * The step limit: a token that makes so many steps without a wait, a request or a statement would
 * go on for ever, and fill the disk.
 */
#define MOST_STEPS 100000
/* So many steps at most are made in a transaction for handlers of what may not begin. */
#define MOST_UNBEGUN 10000

/*
 * Make the visit an incident at the step limit. Its handlers do not run, since they may be the
 * reason.
 */
static void
exceed_step_limit(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfFault		  fault = {0};

	wf_fault(&fault, WF_CODE_MOVE, "the token went through %d steps without a wait, a request or a statement",
			 MOST_STEPS);
	wf_token_become_incident(batch, visit, WF_OUTCOME_SYSTEM_ERROR, wf_engine_error(&fault, visit->attempt));
	MemoryContextSwitchTo(old);
}

/*
 * End a visit before it begins, since its scope ends early, or its instance. Its handler runs only a limited
 * number of times in a row: handlers may lead in a circle of steps none of which may begin.
 */
static void
leave_unbegun(WfBatch *batch, WfVisit *visit)
{
	WfInstance *instance = visit->instance;
	bool		handled = visit->memory.unbegun++ < instance->process->def->nsteps && instance->entered < MOST_UNBEGUN;

	wf_token_cancelled(batch, visit, wf_token_ending_error(batch, visit), handled);
}

void
wf_op_enter(WfBatch *batch, WfVisit *visit)
{
	WfInstance *instance = visit->instance;

	if (wf_state_is_ending(visit))
	{
		leave_unbegun(batch, visit);
		return;
	}
	visit->memory.unbegun = 0;
	if (visit->steps_without_wait >= MOST_STEPS)
	{
		if (visit->memory.arriving)
			wf_scope_pass(visit);
		exceed_step_limit(batch, visit);
	}
	else if (visit->memory.arriving)
		wf_push(batch, visit, WF_ARRIVE);
	else if (wf_state_is_process(visit))
	{
		/* its first step is to be there even if it is suspended: its number may be known outside */
		wf_state_set_suspended(batch, visit, instance->status == WF_STATUS_SUSPENDED);
		wf_token_begin(batch, visit);
	}
	else
		wf_token_begin_in_turn(batch, visit);
}

/*
 * Set the visit's deadline and the times of its handlers. Returns false with *fault if these give
 * no time.
 */
static bool
set_clocks(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	WfVariables variables;

	if (visit->def->timeout.present)
	{
		wf_engine_variables(visit, &variables);
		if (!wf_clock_after(visit, &visit->def->timeout, &variables, batch->now, &visit->clocks.deadline, fault))
			return false;
		visit->changed = true;
	}
	return wf_clock_plan_handlers(batch, visit, fault);
}

/* Begin the scope that the visit is: a token enters its first step. */
static void
enter_scope(WfBatch *batch, WfVisit *visit)
{
	const WfStepList *list = wf_scope_list(visit->instance, visit);
	int				  first = visit->memory.first_step != NULL ? visit->memory.first_step->index : list->start;

	(void) wf_token_enter(batch, visit->instance, visit, visit, first, visit->caught, visit->memory.first_inside);
}

static void
carry_out_send(WfBatch *batch, WfVisit *visit)
{
	WfFault fault = {0};

	if (wf_send(batch, visit, &fault) && wf_answer_save(batch, visit, &fault))
		wf_push(batch, visit, WF_OPEN);
	else
		wf_push_fault(batch, visit, &fault);
}

static void
carry_out_call(WfBatch *batch, WfVisit *visit)
{
	WfFault fault = {0};

	if (!wf_call_begin(batch, visit, &fault))
		wf_push_fault(batch, visit, &fault);
}

/*
 * A visit begins with its clocks. At a join that is when the first token comes; when the join goes on, its action
 * begins.
 */
static WfBegun
begin(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	bool stands = wf_scope_stands(visit);
	bool has_stood = wf_scope_has_stood(visit);
	bool interrupted = false;

	if (!has_stood && !set_clocks(batch, visit, fault))
		return WF_BEGUN_FAULT;
	/* one whose end is known already subscribes to nothing any more, and offers nothing */
	if (visit->def->nsubscribed > 0 && !has_stood && !wf_has_accepted(visit) &&
		(!wf_offer_handlers(batch, visit, fault) || !wf_condition_open_handlers(batch, visit, &interrupted, fault)))
		return WF_BEGUN_FAULT;
	if (interrupted)
		return WF_BEGUN_UNDER_WAY;
	if (!stands)
		return wf_actions[visit->def->action].begin(batch, visit, fault);
	wf_state_stand(batch, visit, WF_WAITS_FOR_JOIN);
	wf_scope_judge_soon(batch, visit->instance, visit->scope);
	return WF_BEGUN_UNDER_WAY;
}

void
wf_op_begin(WfBatch *batch, WfVisit *visit)
{
	WfFault fault = {0};
	WfBegun begun = WF_BEGUN_FAULT;

	if (visit->def == NULL)
		wf_fault(&fault, WF_CODE_MOVE, "version %d of the process has no step \"%s\"",
				 visit->instance->process->version, visit->step);
	else if (wf_state_is_ending(visit))
	{
		leave_unbegun(batch, visit);
		return;
	}
	else
		begun = begin(batch, visit, &fault);
	if (begun == WF_BEGUN_FAULT)
		wf_push_fault(batch, visit, &fault);
	else if (begun == WF_BEGUN_DONE)
		wf_push(batch, visit, WF_OPEN);
	else if (begun == WF_BEGUN_INSIDE)
		enter_scope(batch, visit);
	else if (begun == WF_BEGUN_ITEMS)
		wf_push(batch, visit, WF_ITEMS);
	else if (begun == WF_BEGUN_SEND)
		carry_out_send(batch, visit);
	else if (begun == WF_BEGUN_CALL)
		carry_out_call(batch, visit);
}
