/*
 * move.c
 *		The path of a token: into a step, through what needs nobody else, to where it rests.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "engine/internal.h"
#include "http/server.h"
#include "shmem/shmem.h"
#include "store/privilege.h"

/* A loop of steps that need nobody is cut into transactions of that many steps. */
#define STEPS_PER_TRANSACTION 1000
/* … and each version of the data stays in memory until the end of the batch. */
#define BYTES_PER_TRANSACTION (32 * 1024 * 1024)
/* What goes on for so long without a wait, a call or a statement goes on for ever, and fills the disk. */
#define MOST_STEPS 100000

static char *
queue_name(WfBatch *batch, const char *name)
{
	return MemoryContextStrdup(batch->context, name);
}

WfVisit *
wf_move_enter(WfBatch *batch, WfInstance *instance, int step, Jsonb *caught, int64 id)
{
	WfVisit    *visit = wf_batch_new_visit(batch, instance, &instance->process->def->steps[step], id);

	visit->caught = caught;
	visit->restless = instance->restless + instance->entered;
	instance->tokens++;
	instance->entered++;
	return visit;
}

/* Named, or the one that covers a URL made of data. */
char *
wf_move_http_queue(WfBatch *batch, WfVisit *visit, const WfHttpAction *http, WfFault *fault)
{
	WfScope		scope;
	StringInfoData url;
	const WfServer *server;

	if (http->server != NULL)
		return MemoryContextStrdup(batch->context, psprintf(WF_QUEUE_HTTP "%s", http->server));
	wf_engine_scope(visit, &scope);
	initStringInfo(&url);
	if (!wf_template_text(http->url, &scope, WF_TEXT_URL, &url, fault))
		return NULL;
	server = wf_server_covering(url.data,
								wf_process_owner(visit->instance->process->process_id));
	if (server == NULL)
	{
		wf_fault(fault, WF_CODE_REQUEST, "no server that the process owner may use covers the URL");
		return NULL;
	}
	return MemoryContextStrdup(batch->context, psprintf(WF_QUEUE_HTTP "%s", server->name));
}

static WfVisit *
begin_action(WfBatch *batch, WfVisit *visit)
{
	WfFault		fault = {0};
	WfScope		scope;
	char	   *queue;

	switch (visit->def->action)
	{
		case WF_ACTION_NONE:
			break;
		case WF_ACTION_SET:
			wf_engine_scope(visit, &scope);
			if (!wf_data_apply(batch, visit, visit->def->set, &scope, &fault))
				return wf_outcome_fault(batch, visit, &fault);
			break;
		case WF_ACTION_HTTP:
			queue = wf_move_http_queue(batch, visit, visit->def->http, &fault);
			if (queue == NULL)
				return wf_outcome_fault(batch, visit, &fault);
			wf_state_call(batch, visit, queue);
			return NULL;
		case WF_ACTION_SQL:
		case WF_ACTION_NOTIFY:
			wf_state_call(batch, visit, wf_state_executor_queue(batch, visit));
			return NULL;
	}
	return wf_wait_open(batch, visit);
}

/* Begin a step whose turn it is, whatever its `async` says. */
WfVisit *
wf_move_begin(WfBatch *batch, WfVisit *visit)
{
	WfFault		fault = {0};
	WfScope		scope;

	if (visit->def == NULL)
	{
		wf_fault(&fault, WF_CODE_MOVE, "version %d of the process has no step \"%s\"",
				 visit->instance->process->version, visit->step);
		return wf_outcome_fault(batch, visit, &fault);
	}
	if (visit->def->timeout.present)
	{
		wf_engine_scope(visit, &scope);
		if (!wf_clock_after(visit, &visit->def->timeout, &scope, batch->now, &visit->deadline, &fault))
			return wf_outcome_fault(batch, visit, &fault);
		visit->changed = true;
	}
	if (!wf_handler_plan(batch, visit, &fault))
		return wf_outcome_fault(batch, visit, &fault);
	return begin_action(batch, visit);
}

/* The instance is being cancelled: only steps that ignore that are begun. */
static bool
may_begin(const WfVisit *visit)
{
	return visit->instance->cancel_reason == NULL || visit->def->ignore_cancel;
}

static void
go_in_circles(WfBatch *batch, WfVisit *visit)
{
	WfFault		fault = {0};

	wf_fault(&fault, WF_CODE_MOVE, "the token went through %d steps without a wait, a request or a statement", MOST_STEPS);
	wf_outcome_stuck(batch, visit, &fault);
}

/* Where it was left, a loop goes on. */
WfVisit *
wf_move_take_up(WfBatch *batch, WfVisit *visit)
{
	visit->instance->restless = visit->restless + 1;
	return wf_move_begin(batch, visit);
}

static WfVisit *
begin_or_leave(WfBatch *batch, WfVisit *visit)
{
	WfInstance *instance = visit->instance;

	if (visit->restless >= MOST_STEPS)
		go_in_circles(batch, visit);
	else if (instance->status == WF_STATUS_SUSPENDED)
	{
		wf_state_ready(batch, visit, visit->def->async ? wf_state_executor_queue(batch, visit)
													   : queue_name(batch, WF_QUEUE_MOVE));
		wf_state_hold(batch, visit, true);
	}
	else if (visit->def->async)
		wf_state_ready(batch, visit, wf_state_executor_queue(batch, visit));
	else if (instance->entered > STEPS_PER_TRANSACTION || instance->grown > BYTES_PER_TRANSACTION)
		wf_state_ready(batch, visit, queue_name(batch, WF_QUEUE_MOVE));
	else
		return wf_move_begin(batch, visit);
	return NULL;
}

/* No token is left: it is complete, or it was cancelled. */
static void
end_by_itself(WfBatch *batch, WfInstance *instance)
{
	const char *reason = instance->cancel_reason;
	WfFault		why = {.code = "CANCELLED", .message = reason != NULL && reason[0] != '\0' ? reason : NULL};
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	if (reason != NULL)
		wf_move_end_instance(batch, instance, WF_STATUS_ABORTED,
							 instance->error != NULL ? instance->error : wf_engine_error(&why, 0));
	else
		wf_move_end_instance(batch, instance, WF_STATUS_COMPLETED, NULL);
	MemoryContextSwitchTo(old);
}

/* Begin `visit`, and what comes of it, until the token rests; then see whether the instance has ended. */
void
wf_move_on(WfBatch *batch, WfInstance *instance, WfVisit *visit)
{
	int			unbegun = 0; /* in a row */

	while (visit != NULL && !instance->ended)
	{
		CHECK_FOR_INTERRUPTS();
		if (may_begin(visit))
		{
			unbegun = 0;
			visit = begin_or_leave(batch, visit);
		}
		else
		{
			/* handlers that lead in a circle of steps none of which may begin lead nowhere */
			bool		handled = unbegun++ < instance->process->def->nsteps;

			visit = wf_outcome_cancelled(batch, visit, wf_control_cancel_error(batch, instance->cancel_reason),
										 handled);
		}
	}
	if (instance->ended)
		return;
	if (instance->tokens == 0)
		end_by_itself(batch, instance);
	else if (instance->tokens != instance->stored_tokens)
		instance->changed = true;
}

/* End an instance; what still lives in it is cancelled. */
void
wf_move_end_instance(WfBatch *batch, WfInstance *instance, WfStatus status, Jsonb *error)
{
	if (instance->ended)
		return;
	instance->ended = true;
	if (instance->tokens > 0)
	{
		ListCell   *lc;

		wf_batch_load_all_visits(batch, instance);
		foreach (lc, instance->visits)
		{
			WfVisit    *visit = lfirst(lc);

			if (!visit->ended)
				(void) wf_outcome_cancelled(batch, visit, NULL, false);
		}
	}
	instance->status = status;
	instance->error = error;
	instance->ended_at = batch->now;
	instance->changed = true;
	instance->show_changed = true;
}
