/*
 * cancel.c
 *		Interrupting a visit: by its instance's end, a timeout, silence, an operator.
 *
 * A visit that has called out asks the outside system to stop, if its step says how. In three phases, each of which can
 * be the last: `await` the answer that may still be under way, so that $reply is known; `send` the cancel request;
 * then `confirm`, up to the step's cancel timeout, for the callback that it provokes. Whatever the outside does, the outcome
 * is the one that the interruption began with.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/internal.h"
#include "shmem/shmem.h"

#define CONFIRM_DEFAULT_MS 30000

static bool
is_phase(const WfVisit *visit, const char *phase)
{
	return visit->cancel_phase != NULL && strcmp(visit->cancel_phase, phase) == 0;
}

/* The end: with what the callback brought, if one came. */
static WfVisit *
conclude(WfBatch *batch, WfVisit *visit)
{
	visit->cancel_phase = NULL;
	if (visit->cancel_handler > 0)
		return wf_handler_take_over(batch, visit);
	if (visit->cancel_outcome == WF_OUTCOME_CANCELLED)
		return wf_outcome_cancelled(batch, visit, visit->error, !visit->instance->ended);
	return wf_outcome_bad(batch, visit, visit->cancel_outcome, visit->error);
}

static WfVisit *
await_confirmation(WfBatch *batch, WfVisit *visit)
{
	const WfDuration *timeout = &visit->def->cancel->timeout;
	TimestampTz until = TimestampTzPlusMilliseconds(batch->now, CONFIRM_DEFAULT_MS);
	WfFault		ignored = {0};
	WfScope		scope;

	if (visit->has_callback || visit->cancel_outcome == WF_OUTCOME_DIED ||
		visit->def->wait.kind != WF_EVENT_CALLBACK)
		return conclude(batch, visit);
	wf_engine_scope(visit, &scope);
	if (timeout->present)
		(void) wf_clock_after(visit, timeout, &scope, batch->now, &until, &ignored);
	wf_state_cancel(batch, visit, WF_CANCEL_CONFIRM,
					MemoryContextStrdup(batch->context, WF_QUEUE_TIMER), until);
	return NULL;
}

/* Said yes, though its body may not be readable as what it is said to be. */
static bool
is_2xx(const WfAnswer *answer)
{
	return answer->reply != NULL && (answer->fault.code == NULL || answer->fault.http_status / 100 == 2);
}

/* What the cancel request was answered; {error, body} if that is no success, {error} if there is no answer. */
static Jsonb *
cancel_response(WfBatch *batch, const WfAnswer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb	   *body = answer->reply != NULL ? wf_jsonb_get(answer->reply, "body") : NULL;
	Jsonb	   *response = body;
	WfField		fields[2];

	if (answer->fault.code != NULL && !is_2xx(answer))
	{
		memset(fields, 0, sizeof(fields));
		fields[0] = (WfField){.key = "error", .jsonb = wf_engine_error(&answer->fault, 1)};
		fields[1] = (WfField){.key = "body", .jsonb = body};
		response = wf_jsonb_object(fields, answer->reply != NULL ? 2 : 1);
	}
	MemoryContextSwitchTo(old);
	return response;
}

/* The cancel request is due. If it has no address it has failed, like one that is answered with an error. */
static WfVisit *
ask(WfBatch *batch, WfVisit *visit)
{
	const WfHttpAction *http = visit->def->cancel->http;
	WfAnswer	answer = {0};
	char	   *queue = wf_move_http_queue(
		batch, visit, http->url != NULL ? http : visit->def->http, &answer.fault);

	if (queue == NULL)
	{
		visit->cancel_response = cancel_response(batch, &answer);
		visit->docs_changed = true;
		return await_confirmation(batch, visit);
	}
	wf_state_cancel(batch, visit, WF_CANCEL_SEND, queue, batch->now);
	return NULL;
}

static bool
can_ask(const WfVisit *visit)
{
	return visit->def != NULL && visit->def->cancel != NULL && visit->def->action == WF_ACTION_HTTP;
}

/* Whatever the outside says after that, it was told to stop. */
bool
wf_cancel_has_asked(const WfVisit *visit)
{
	return visit->cancel_outcome != WF_OUTCOME_NONE && can_ask(visit);
}

/* Is there somebody to be asked to stop? */
static bool
asks(const WfVisit *visit)
{
	if (!can_ask(visit))
		return false;
	return visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING ||
		   visit->state == WF_STATE_WAITING;
}

/* Interrupt a living visit with CANCELLED, TIMED_OUT or DIED. One that is being cancelled already stays what it is. */
WfVisit *
wf_cancel_visit(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	bool		in_flight = visit->state != WF_STATE_WAITING;

	if (visit->state == WF_STATE_CANCELLING)
		return NULL;
	if (visit->state == WF_STATE_INCIDENT)
		wf_state_put_on_record(batch, visit);
	visit->cancel_outcome = outcome;
	visit->error = error;
	visit->changed = true;
	if (!asks(visit))
		return conclude(batch, visit);
	if (!in_flight)
		return ask(batch, visit);
	wf_state_cancel(batch, visit, WF_CANCEL_AWAIT,
					MemoryContextStrdup(batch->context, WF_QUEUE_MOVE), batch->now);
	return NULL;
}

/* A worker looks at a visit that is being cancelled: nothing is in flight, or nothing has come. */
WfVisit *
wf_cancel_due(WfBatch *batch, WfVisit *visit)
{
	if (is_phase(visit, WF_CANCEL_AWAIT))
		return ask(batch, visit);
	return is_phase(visit, WF_CANCEL_CONFIRM) ? conclude(batch, visit) : NULL;
}

/* Is the cancel request due, or under way? */
bool
wf_cancel_is_asking(const WfVisit *visit)
{
	return visit->state == WF_STATE_CANCELLING && is_phase(visit, WF_CANCEL_SEND);
}

/* What the handlers may need is kept; what cannot be is no reason to stop now. */
static void
save_reply(WfBatch *batch, WfVisit *visit)
{
	WfFault		ignored = {0};
	WfScope		scope;

	if (visit->def->save_reply == NULL)
		return;
	wf_engine_scope(visit, &scope);
	(void) wf_data_apply(batch, visit, visit->def->save_reply, &scope, &ignored);
}

/* An answer came: to the action, or to the cancel request. A failed cancel request changes no outcome. */
WfVisit *
wf_cancel_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	visit->changed = true;
	visit->docs_changed = true;
	if (is_phase(visit, WF_CANCEL_AWAIT))
	{
		visit->attempt++;
		visit->reply = answer->reply;
		visit->has_reply = answer->reply != NULL;
		if (answer->fault.code == NULL)
			save_reply(batch, visit);
		return ask(batch, visit);
	}
	if (!is_phase(visit, WF_CANCEL_SEND))
		return NULL;
	visit->cancel_response = cancel_response(batch, answer);
	return await_confirmation(batch, visit);
}

/* The callback that confirms it, or one that was on its way. */
WfVisit *
wf_cancel_callback(WfBatch *batch, WfVisit *visit)
{
	visit->has_callback = true;
	visit->docs_changed = true;
	visit->changed = true;
	batch->makes_due = true;
	if (!is_phase(visit, WF_CANCEL_CONFIRM))
		return NULL;
	if (!visit->held)
		return conclude(batch, visit);
	/* once it is resumed */
	wf_state_cancel(batch, visit, WF_CANCEL_CONFIRM,
					MemoryContextStrdup(batch->context, WF_QUEUE_TIMER), batch->now);
	return NULL;
}
