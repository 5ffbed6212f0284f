/*
 * agenda.c
 *		What is still to be done in a batch: the only place where operations are run, and where it
 *		is decided, once nothing is left to be done in an instance, whether that has ended.
 *
 * Operations run in the order in which they were pushed, but for those that begin items of lists: these come when nothing
 * else is left to be done, so that items go on as far as they can before further ones begin. All of them belong to one instance: each
 * entry point of the engine runs the agenda to its end. Then those begin, one after the other, that were called, and those
 * go on that have called what has ended.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "debug.h"
#include "engine/call.h"
#include "engine/condition.h"
#include "engine/on_behalf.h"
#include "engine/operations.h"

/* The queue of operations of a batch, in its memory. */
struct WfAgenda
{
	WfOperation *items;
	int			 first;
	int			 n; /* index behind the last operation */
	int			 allocated;
	List		*lists; /* of WfVisit: those of which items are to be begun */
};

#define FIRST_SIZE 16

static WfAgenda *
agenda_of(WfBatch *batch)
{
	if (batch->agenda == NULL)
	{
		batch->agenda = MemoryContextAllocZero(batch->context, sizeof(WfAgenda));
		batch->agenda->items = MemoryContextAlloc(batch->context, sizeof(WfOperation) * FIRST_SIZE);
		batch->agenda->allocated = FIRST_SIZE;
	}
	return batch->agenda;
}

static void
push_items(WfBatch *batch, WfAgenda *agenda, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	agenda->lists = list_append_unique_ptr(agenda->lists, visit);
	MemoryContextSwitchTo(old);
}

static void
push(WfBatch *batch, const WfOperation *operation)
{
	WfAgenda *agenda = agenda_of(batch);

	if (operation->kind == WF_ITEMS)
	{
		push_items(batch, agenda, operation->visit);
		return;
	}
	if (agenda->n == agenda->allocated)
	{
		agenda->allocated *= 2;
		agenda->items = repalloc_huge(agenda->items, sizeof(WfOperation) * agenda->allocated);
	}
	agenda->items[agenda->n++] = *operation;
}

void
wf_push(WfBatch *batch, WfVisit *visit, WfOperationKind kind)
{
	push(batch, &(WfOperation){.kind = kind, .visit = visit, .instance = visit->instance});
}

void
wf_push_fail(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	push(batch, &(WfOperation){.kind = WF_FAIL,
							   .visit = visit,
							   .instance = visit->instance,
							   .outcome = outcome,
							   .error = error});
}

static Jsonb *
error_of_fault(WfBatch *batch, const WfVisit *visit, const WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *error = wf_engine_error(fault, visit->attempt);

	MemoryContextSwitchTo(old);
	return error;
}

void
wf_push_fault(WfBatch *batch, WfVisit *visit, const WfFault *fault)
{
	wf_push_fail(batch, visit, WF_OUTCOME_SYSTEM_ERROR, error_of_fault(batch, visit, fault));
}

void
wf_push_interrupt(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	push(batch, &(WfOperation){.kind = WF_INTERRUPT,
							   .visit = visit,
							   .instance = visit->instance,
							   .outcome = outcome,
							   .error = error});
}

/* An event that was accepted says that the action is over. */
void
wf_push_break(WfBatch *batch, WfVisit *visit, const WfFault *fault)
{
	if (wf_has_accepted(visit))
		wf_push_fault(batch, visit, fault);
	else
		wf_push_interrupt(batch, visit, WF_OUTCOME_SYSTEM_ERROR, error_of_fault(batch, visit, fault));
}

void
wf_push_handler(WfBatch *batch, WfVisit *visit, const WfEntry *handler, Jsonb *error, Jsonb *caught, Jsonb *event)
{
	push(batch, &(WfOperation){.kind = WF_INTERRUPT,
							   .visit = visit,
							   .instance = visit->instance,
							   .outcome = WF_OUTCOME_CANCELLED,
							   .error = error,
							   .handler = handler - visit->def->entries + 1,
							   .caught = caught,
							   .event = event});
}

void
wf_push_judge(WfBatch *batch, WfInstance *instance, WfVisit *scope)
{
	push(batch, &(WfOperation){.kind = WF_JUDGE, .instance = instance, .visit = scope});
}

void
wf_push_close(WfBatch *batch, WfInstance *instance, WfStatus ending, const char *reason, Jsonb *error)
{
	push(batch,
		 &(WfOperation){.kind = WF_CLOSE, .instance = instance, .ending = ending, .reason = reason, .error = error});
}

static void
run_on_visit(WfBatch *batch, const WfOperation *operation, WfVisit *visit)
{
	switch (operation->kind)
	{
		case WF_ENTER:
			wf_op_enter(batch, visit);
			break;
		case WF_ARRIVE:
			wf_op_arrive(batch, visit);
			break;
		case WF_BEGIN:
			wf_op_begin(batch, visit);
			break;
		case WF_OPEN:
			wf_op_open(batch, visit);
			break;
		case WF_HAPPEN:
			wf_op_happen(batch, visit);
			break;
		case WF_LEAVE:
			wf_op_leave(batch, visit);
			break;
		case WF_FAIL:
			wf_op_fail(batch, visit, operation->outcome, operation->error);
			break;
		case WF_INTERRUPT:
			wf_op_interrupt(batch, visit, operation);
			break;
		case WF_FINISH_CANCEL:
			wf_op_finish_cancel(batch, visit);
			break;
		case WF_INTERRUPT_INSIDE:
			wf_op_interrupt_inside(batch, visit);
			break;
		case WF_CONCLUDE:
			wf_op_conclude(batch, visit);
			break;
		case WF_ITEMS:
			wf_op_items(batch, visit);
			break;
		case WF_JUDGE:
		case WF_CLOSE:
			break;
	}
}

static void
run_operation(WfBatch *batch, const WfOperation *operation)
{
	WfVisit *visit = operation->visit;

	if (operation->kind == WF_CLOSE)
		wf_op_close(batch, operation->instance, operation->ending, operation->reason, operation->error);
	else if (operation->kind == WF_JUDGE)
		wf_op_judge(batch, operation->instance, visit);
	else if (!visit->ended)
		run_on_visit(batch, operation, visit);
}

/* ---- the end of an instance ---- */

static void
end_instance(WfBatch *batch, WfInstance *instance, WfStatus status, Jsonb *error)
{
	instance->ended = true;
	instance->status = status;
	instance->error = error;
	instance->ended_at = batch->now;
	instance->changed = true;
	instance->show_changed = true;
}

/* End an instance if no token is left: it is completed, or aborted if something ended it early. */
static void
judge_end(WfBatch *batch, WfInstance *instance)
{
	instance->changed |= wf_tokens_changed(&instance->tokens);
	if (instance->tokens.n > 0)
		return;
	if (instance->ending != WF_STATUS_ABORTED)
		end_instance(batch, instance, WF_STATUS_COMPLETED, NULL);
	else
	{
		instance->cancelled = instance->error == NULL;
		end_instance(batch, instance, WF_STATUS_ABORTED,
					 instance->cancelled ? wf_cancel_error(batch, instance->cancel_reason) : instance->error);
	}
}

/* Take the next operation. Returns false if there is none. */
static bool
next_operation(WfAgenda *agenda, WfOperation *operation)
{
	WfVisit *visit;

	if (agenda->first < agenda->n)
	{
		*operation = agenda->items[agenda->first++];
		return true;
	}
	agenda->first = agenda->n = 0;
	if (agenda->lists == NIL)
		return false;
	visit = linitial(agenda->lists);
	agenda->lists = list_delete_first(agenda->lists);
	*operation = (WfOperation){.kind = WF_ITEMS, .visit = visit, .instance = visit->instance};
	return true;
}

static void
run_operations(WfBatch *batch, WfInstance *instance)
{
	WfAgenda   *agenda = agenda_of(batch);
	WfOperation operation;

	while (next_operation(agenda, &operation))
	{
		WF_ASSERT(operation.instance == instance);
		CHECK_FOR_INTERRUPTS();
		run_operation(batch, &operation);
	}
}

/* Run all operations on an instance. Returns whether it has ended by that. */
static bool
run_instance(WfBatch *batch, WfInstance *instance)
{
	bool had_ended = instance->ended;
	int	 entered = instance->entered;

	do
		run_operations(batch, instance);
	while (wf_condition_judge(batch, instance));
	if (!instance->ended)
		judge_end(batch, instance);
	if (instance->parent != 0 && instance->is_new)
		batch->called_steps += instance->entered - entered;
	return !had_ended && instance->ended;
}

/* The same; when it has ended, the one goes on that has called it in this batch, and so on. */
static void
run_upwards(WfBatch *batch, WfInstance *instance)
{
	while (run_instance(batch, instance))
	{
		instance = wf_call_return(batch, instance);
		if (instance == NULL)
			break;
	}
}

void
wf_agenda_run(WfBatch *batch, WfInstance *instance)
{
	while (instance != NULL)
	{
		run_upwards(batch, instance);
		instance = wf_call_next(batch);
	}
	wf_on_behalf_end(batch);
}
