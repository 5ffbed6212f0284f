/*
 * interrupt.c
 *		Interrupting a visit: because of its instance's end, a timeout, a missing heartbeat, a
 *		handler, or an operator.
 *
 * If its step says how, a service that was called is asked to stop. That has three phases, each of
 * which can be the last: `await` the answer that may still come, so that $reply is known; `send`
 * the cancel request; then `confirm`: wait for the callback that it provokes, up to the step's
 * cancel timeout. For a visit that takes no callback the second is `tell`, and is the last. Whatever
 * the service does, the outcome is the one with which the interruption began. A visit that has called another
 * instance waits, in the phase `child`, for the end of that.
 *
 * A visit that has accepted what ends it, and whose action takes longer than it may, is interrupted with SUCCESS: what was
 * accepted counts when these phases are over.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/answer.h"
#include "engine/call.h"
#include "engine/handler.h"
#include "engine/interrupt.h"
#include "engine/operations.h"
#include "engine/token.h"
#include "shmem/wakeups.h"
#include "store/executor_work.h"

#define CONFIRM_DEFAULT_MS 30000

static char *
server_queue_name(WfBatch *batch, const char *name)
{
	return MemoryContextStrdup(batch->context, name);
}

/* Does the visit take a callback that confirms its cancel? An entry of `first_of` that was not opened takes none. */
static bool
takes_confirmation(const WfVisit *visit)
{
	if (wf_has_accepted(visit))
		return false;
	if (visit->state == WF_STATE_WAITING)
		return (visit->waits_for & WF_WAITS_FOR_CALLBACK) != 0;
	return wf_step_callback_entry(visit->def) >= 0 && !wf_state_is_phase(visit, WF_CANCEL_TELL);
}

static void
await_confirmation(WfBatch *batch, WfVisit *visit)
{
	const WfDuration *timeout = &visit->def->cancel->timeout;
	TimestampTz		  until = TimestampTzPlusMilliseconds(batch->now, CONFIRM_DEFAULT_MS);
	WfFault			  ignored = {0};
	WfVariables		  variables;

	if (visit->cancel.outcome == WF_OUTCOME_DIED || !takes_confirmation(visit))
	{
		wf_push(batch, visit, WF_FINISH_CANCEL);
		return;
	}
	wf_engine_variables(visit, &variables);
	if (timeout->present)
		(void) wf_clock_after(visit, timeout, &variables, batch->now, &until, &ignored);
	wf_state_cancel(batch, visit, WF_CANCEL_CONFIRM, server_queue_name(batch, WF_QUEUE_TIMER), until);
}

/* Was the status 2xx, though the body may not be what its type says? */
static bool
is_2xx(const WfAnswer *answer)
{
	return answer->reply != NULL && (answer->fault.code == NULL || answer->fault.http_status / 100 == 2);
}

/*
 * What the cancel request was answered: the body; {error, body} if that is no success, {error} if
 * there is no answer. A step that keeps no reply keeps no such body either.
 */
static Jsonb *
cancel_response(WfBatch *batch, const WfVisit *visit, const WfAnswer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	bool		  has_body = answer->reply != NULL && !visit->def->forgets_reply;
	Jsonb		 *body = has_body ? wf_jsonb_get(answer->reply, "body") : NULL;
	Jsonb		 *response = body;
	WfField		  fields[2];

	if (answer->fault.code != NULL && !is_2xx(answer))
	{
		memset(fields, 0, sizeof(fields));
		fields[0] = (WfField){.key = "error", .jsonb = wf_engine_error(&answer->fault, 1)};
		fields[1] = (WfField){.key = "body", .jsonb = body};
		response = wf_jsonb_object(fields, has_body ? 2 : 1);
	}
	MemoryContextSwitchTo(old);
	return response;
}

/*
 * Make the cancel request due (phase `send`, or `tell` if its answer is the end of it). Without a
 * server it has failed, like one that is answered with an error.
 */
static void
ask(WfBatch *batch, WfVisit *visit)
{
	const WfHttpAction *http = visit->def->cancel->http;
	WfAnswer			answer = {0};
	char *queue = wf_action_http_queue(batch, visit, http->url != NULL ? http : visit->def->http, &answer.fault);

	if (queue == NULL)
	{
		visit->cancel.response = cancel_response(batch, visit, &answer);
		visit->docs.changed = true;
		await_confirmation(batch, visit);
		return;
	}
	wf_state_cancel(batch, visit, takes_confirmation(visit) ? WF_CANCEL_SEND : WF_CANCEL_TELL, queue, batch->now);
}

/* Is there a service that has to be asked to stop? */
static bool
asks(const WfVisit *visit)
{
	if (!wf_action_can_stop(visit) || visit->waits_for == WF_WAITS_FOR_JOIN)
		return false;
	return visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING || visit->state == WF_STATE_WAITING;
}

/* That the action of a visit was given up, and its event counts, is in its attempts, since its outcome does not tell. */
static void
note_given_up(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfFault		  fault = {.code = wf_error_code(visit->error), .message = wf_jsonb_get_text(visit->error, "message")};

	MemoryContextSwitchTo(old);
	wf_answer_note_failed(batch, visit, &fault);
}

static void
interrupt(WfBatch *batch, WfVisit *visit, const WfOperation *operation)
{
	bool in_flight = visit->state != WF_STATE_WAITING;

	if (visit->state == WF_STATE_INCIDENT)
		wf_state_record_incident(batch, visit);
	visit->cancel.outcome = operation->outcome;
	visit->cancel.handler = operation->handler;
	visit->error = operation->error;
	if (operation->caught != NULL)
	{
		visit->caught = operation->caught;
		visit->caught_changed = true;
	}
	if (operation->event != NULL)
	{
		visit->docs.event = operation->event;
		visit->docs.changed = true;
	}
	visit->changed = true;
	if (visit->tokens.n > 0)
	{
		wf_state_cancel(batch, visit, WF_CANCEL_INSIDE, NULL, 0);
		wf_push(batch, visit, WF_INTERRUPT_INSIDE);
	}
	else if (wf_state_awaits_child(visit))
	{
		wf_call_order(batch, visit, WF_ORDER_CANCEL);
		wf_state_cancel(batch, visit, WF_CANCEL_CHILD, NULL, 0);
	}
	else if (!asks(visit))
	{
		if (wf_state_acts_first(visit))
			note_given_up(batch, visit);
		wf_push(batch, visit, WF_FINISH_CANCEL);
	}
	else if (in_flight)
		wf_state_cancel(batch, visit, WF_CANCEL_AWAIT, server_queue_name(batch, WF_QUEUE_MOVE), batch->now);
	else
		ask(batch, visit);
}

/*
 * An event came before the action: what has not been begun of that is left out. A request may be in flight; a statement is
 * stopped, as that of any visit that ends.
 */
static void
leave_action_out(WfBatch *batch, WfVisit *visit)
{
	if (wf_state_is_ending(visit) || (visit->state != WF_STATE_READY && !wf_is_executor_queue(visit->queue)))
		wf_state_keep_accepted(batch, visit);
	else
		wf_push(batch, visit, WF_HAPPEN);
}

/*
 * Interrupt with CANCELLED, TIMED_OUT or DIED. A visit that is being cancelled already keeps its
 * outcome. An accepted callback stays the end of its visit: it ends that at once, or, if a request
 * may be in flight, when the dispatcher has looked.
 */
void
wf_op_interrupt(WfBatch *batch, WfVisit *visit, const WfOperation *operation)
{
	/* the first reason stays, also of one that has nothing to end before it ends itself */
	if (visit->state == WF_STATE_CANCELLING ||
		(visit->cancel.outcome != WF_OUTCOME_NONE && visit->state != WF_STATE_INCIDENT))
		return;
	if (!wf_has_accepted(visit) || operation->outcome == WF_OUTCOME_SUCCESS)
		interrupt(batch, visit, operation);
	/* what was accepted is its end, when the instance that it has called has ended */
	else if (wf_state_awaits_child(visit))
		interrupt(batch, visit, &(WfOperation){.outcome = WF_OUTCOME_SUCCESS, .error = operation->error});
	else if (wf_state_acts_first(visit))
		leave_action_out(batch, visit);
	else if (!visit->suspended && !wf_state_may_be_in_flight(visit))
		wf_push(batch, visit, WF_HAPPEN);
}

/* Finish the cancel, with what the confirming callback brought, if one came. */
void
wf_op_finish_cancel(WfBatch *batch, WfVisit *visit)
{
	visit->cancel.phase = WF_CANCEL_NONE;
	if (visit->cancel.handler > 0)
		wf_handler_take_over(batch, visit);
	else if (visit->cancel.outcome == WF_OUTCOME_CANCELLED)
		wf_token_cancelled(batch, visit, visit->error, true);
	/* a scope that a step inside has ended, or a visit whose action was given up */
	else if (visit->cancel.outcome == WF_OUTCOME_SUCCESS)
	{
		visit->error = NULL;
		wf_push(batch, visit, wf_has_accepted(visit) ? WF_HAPPEN : WF_LEAVE);
	}
	else
		wf_push_fail(batch, visit, visit->cancel.outcome, visit->error);
}

/* ---- due times, answers and callbacks of a visit that is being cancelled ---- */

void
wf_interrupt_due(WfBatch *batch, WfVisit *visit)
{
	if (wf_state_is_phase(visit, WF_CANCEL_AWAIT))
		ask(batch, visit);
	else if (wf_state_is_phase(visit, WF_CANCEL_CONFIRM))
		wf_push(batch, visit, WF_FINISH_CANCEL);
	else if (wf_state_is_phase(visit, WF_CANCEL_INSIDE))
		wf_push(batch, visit, WF_INTERRUPT_INSIDE);
}

bool
wf_interrupt_is_sending_cancel(const WfVisit *visit)
{
	return visit->state == WF_STATE_CANCELLING && wf_state_asks_to_stop(visit);
}

void
wf_interrupt_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	WfFault ignored = {0};

	visit->changed = true;
	visit->docs.changed = true;
	if (wf_state_is_phase(visit, WF_CANCEL_AWAIT))
	{
		visit->attempt++;
		visit->docs.reply = answer->reply;
		visit->docs.has_reply = answer->reply != NULL;
		/* what save_reply keeps may be needed by handlers; its faults do not stop the cancelling */
		if (answer->fault.code == NULL)
			(void) wf_answer_save(batch, visit, &ignored);
		ask(batch, visit);
	}
	else if (wf_state_asks_to_stop(visit))
	{
		visit->cancel.response = cancel_response(batch, visit, answer);
		await_confirmation(batch, visit);
	}
}

void
wf_interrupt_callback(WfBatch *batch, WfVisit *visit)
{
	if (!wf_state_is_phase(visit, WF_CANCEL_CONFIRM))
		return;
	if (!visit->suspended)
		wf_push(batch, visit, WF_FINISH_CANCEL);
	/* The callback ends it once the instance is resumed. */
	else
		wf_state_cancel(batch, visit, WF_CANCEL_CONFIRM, server_queue_name(batch, WF_QUEUE_TIMER), batch->now);
}
