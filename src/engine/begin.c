/*
 * begin.c
 *		A token has entered a step: its visit begins, unless something prevents it.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/action.h"
#include "engine/operations.h"
#include "engine/token.h"
#include "shmem/wakeups.h"

/* A loop of steps without wait is cut into transactions of so many steps, */
#define STEPS_PER_TRANSACTION 1000
/* and of so many bytes of data: each version stays in memory until the end of the batch. */
#define BYTES_PER_TRANSACTION (32 * 1024 * 1024)
/*
 * The step limit: a token that makes so many steps without a wait, a request or a statement would
 * go on for ever, and fill the disk.
 */
#define MOST_STEPS 100000

static char *
move_queue(WfBatch *batch)
{
	return MemoryContextStrdup(batch->context, WF_QUEUE_MOVE);
}

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
 * End a visit whose instance is being cancelled, before it begins. Its handler runs only a limited
 * number of times in a row: handlers may lead in a circle of steps none of which may begin.
 */
static void
leave_unbegun(WfBatch *batch, WfVisit *visit)
{
	WfInstance *instance = visit->instance;
	bool		handled = visit->memory.unbegun++ < instance->process->def->nsteps;

	wf_token_cancelled(batch, visit, wf_cancel_error(batch, instance->cancel_reason), handled);
}

void
wf_op_enter(WfBatch *batch, WfVisit *visit)
{
	WfInstance *instance = visit->instance;

	if (instance->cancel_reason != NULL && !visit->def->ignore_cancel)
	{
		leave_unbegun(batch, visit);
		return;
	}
	visit->memory.unbegun = 0;
	if (visit->steps_without_wait >= MOST_STEPS)
		exceed_step_limit(batch, visit);
	else if (instance->status == WF_STATUS_SUSPENDED)
	{
		wf_state_ready(batch, visit, visit->def->async ? wf_state_executor_queue(batch, visit) : move_queue(batch));
		wf_state_set_suspended(batch, visit, true);
	}
	else if (visit->def->async)
		wf_state_ready(batch, visit, wf_state_executor_queue(batch, visit));
	else if (instance->entered > STEPS_PER_TRANSACTION || instance->grown > BYTES_PER_TRANSACTION)
		wf_state_ready(batch, visit, move_queue(batch));
	else
		wf_push(batch, visit, WF_BEGIN);
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

void
wf_op_begin(WfBatch *batch, WfVisit *visit)
{
	WfFault fault = {0};
	WfBegun begun = WF_BEGUN_FAULT;

	if (visit->def == NULL)
		wf_fault(&fault, WF_CODE_MOVE, "version %d of the process has no step \"%s\"",
				 visit->instance->process->version, visit->step);
	else if (set_clocks(batch, visit, &fault))
		begun = wf_actions[visit->def->action].begin(batch, visit, &fault);
	if (begun == WF_BEGUN_FAULT)
		wf_push_fault(batch, visit, &fault);
	else if (begun == WF_BEGUN_DONE)
		wf_push(batch, visit, WF_OPEN);
}
