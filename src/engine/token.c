/*
 * token.c
 *		Tokens come and go: visits are entered, end, or become incidents.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "engine/action.h"
#include "engine/event.h"
#include "engine/scope.h"
#include "engine/subscribe.h"
#include "engine/token.h"
#include "shmem/settings.h"
#include "shmem/wakeups.h"
#include "store/item.h"

/* A loop of steps without wait is cut into transactions of so many steps, */
#define STEPS_PER_TRANSACTION 1000
/* and of so many bytes of data: what somebody may refer to stays in memory until the end of the batch. */
#define BYTES_PER_TRANSACTION (32 * 1024 * 1024)
/*
 * Each transaction that changes the data stores all of them anew. If they are large, more steps share that: as many again for
 * each so many bytes, up to so often.
 */
#define BYTES_PER_SHARE (64 * 1024)
#define MOST_SHARES		4

/* Let a token enter a step. Steps without wait are counted for each token. */
WfVisit *
wf_token_enter(WfBatch *batch, WfInstance *instance, WfVisit *scope, const WfVisit *from, int step, Jsonb *caught,
			   int64 id)
{
	WfVisit *visit = wf_batch_new_visit(batch, instance, &instance->process->def->steps[step], id);

	visit->scope = scope;
	visit->scope_id = scope != NULL ? scope->id : 0;
	visit->item = scope != NULL ? scope->item : WF_NO_ITEM;
	visit->caught = caught;
	if (from != NULL)
	{
		visit->steps_without_wait = from->steps_without_wait + 1;
		visit->memory.unbegun = from->memory.unbegun;
		if (from->scope == scope)
			visit->late = wf_scope_late_after(batch, from, visit->def);
	}
	visit->memory.arriving = visit->def->join.kind != WF_JOIN_NONE;
	wf_scope_add(batch, visit);
	instance->entered++;
	wf_push(batch, visit, WF_ENTER);
	return visit;
}

WfVisit *
wf_token_start(WfBatch *batch, WfInstance *instance, const WfStep *step, int64 id)
{
	const WfDefinition *def = instance->process->def;
	bool				is_scope = def->start == def->process_step;
	int					start = step == NULL || is_scope ? def->start : step->index;
	WfVisit			   *first = wf_token_enter(batch, instance, NULL, NULL, start, NULL, is_scope ? 0 : id);

	if (is_scope)
	{
		first->memory.first_inside = id;
		first->memory.first_step = step;
	}
	return first;
}

void
wf_token_follow(WfBatch *batch, const WfVisit *from, const WfTargets *targets, Jsonb *caught)
{
	for (int i = 0; i < targets->n; i++)
		(void) wf_token_enter(batch, from->instance, from->scope, from, targets->steps[i], caught, 0);
}

bool
wf_token_room(const WfVisit *visit, int more, WfFault *fault)
{
	const WfTokens *tokens = wf_scope_tokens(visit->instance, visit->scope);

	if (more <= 0 || tokens->n + more <= wf_setting_max_tokens)
		return true;
	return wf_fault(fault, WF_CODE_MOVE, "there would be %d tokens, more than workflow.max_tokens allows",
					tokens->n + more);
}

static int
steps_per_transaction(const WfInstance *instance)
{
	int shares = instance->data_changed ? 1 + (int) (VARSIZE(instance->data) / BYTES_PER_SHARE) : 1;

	return STEPS_PER_TRANSACTION * Min(shares, MOST_SHARES);
}

bool
wf_token_is_cut(const WfInstance *instance)
{
	return instance->entered > steps_per_transaction(instance) || instance->grown > BYTES_PER_TRANSACTION;
}

bool
wf_token_is_half_cut(const WfInstance *instance)
{
	return instance->entered >= steps_per_transaction(instance) / 2 || instance->grown > BYTES_PER_TRANSACTION / 2;
}

void
wf_token_cut(WfInstance *instance)
{
	instance->entered = STEPS_PER_TRANSACTION * MOST_SHARES + 1;
}

/*
 * From now on messages and signals can happen to the visit: to its handlers as soon as its token has come, those for which
 * it waits before its action is due, since they may come before that is answered; at a join when that goes on. Returns
 * false if a key cannot be worked out: the visit fails.
 */
static bool
subscribe(WfBatch *batch, WfVisit *visit)
{
	const WfStep *def = visit->def;
	WfFault		  fault = {0};

	if (def == NULL || def->nsubscribed == 0 ||
		wf_subscribe(batch, visit, wf_scope_stands(visit) ? def->nwaits : 0,
					 wf_scope_has_stood(visit) ? def->nwaits : def->nentries, &fault))
		return true;
	wf_push_fault(batch, visit, &fault);
	return false;
}

void
wf_token_begin(WfBatch *batch, WfVisit *visit)
{
	if (subscribe(batch, visit))
		wf_push(batch, visit, WF_BEGIN);
}

void
wf_token_defer(WfBatch *batch, WfVisit *visit, const char *queue)
{
	wf_state_ready(batch, visit, MemoryContextStrdup(batch->context, queue));
	wf_state_set_suspended(batch, visit, visit->instance->status == WF_STATUS_SUSPENDED);
	(void) subscribe(batch, visit);
}

void
wf_token_begin_in_turn(WfBatch *batch, WfVisit *visit)
{
	if (visit->def != NULL && wf_step_by_executor(visit->def))
		wf_token_defer(batch, visit, wf_state_executor_queue(batch, visit));
	else if (visit->instance->status == WF_STATUS_SUSPENDED || wf_token_is_cut(visit->instance))
		wf_token_defer(batch, visit, WF_QUEUE_MOVE);
	else
		wf_token_begin(batch, visit);
}

void
wf_token_absorb(WfBatch *batch, WfVisit *visit)
{
	wf_state_absorb(visit);
	wf_scope_remove(batch, visit);
}

/* `response`: what the event brought that ended the visit, or else what the action was answered. */
static Jsonb *
response_of(const WfVisit *visit, Jsonb *initial)
{
	if (visit->accepted == WF_ACCEPTED_CALLBACK)
		return visit->docs.callback;
	if (!wf_has_accepted(visit) || !wf_event_in_result(visit))
		return initial;
	return visit->docs.event != NULL ? wf_jsonb_get(visit->docs.event, "data") : NULL;
}

/* $reply of an action whose reply is an object with more than what it was asked for; that of others is all of it. */
static Jsonb *
initial_response(const WfVisit *visit)
{
	const char *key;

	if (wf_state_is_scope(visit))
		return visit->local;
	if (visit->docs.reply == NULL || visit->def == NULL)
		return NULL;
	key = wf_actions[visit->def->action].reply_key;
	return key != NULL ? wf_jsonb_get(visit->docs.reply, key) : visit->docs.reply;
}

/* The result, with an initial response that is NULL if it is not to be kept. Keys in the order of jsonb need no sorting. */
static Jsonb *
make_result(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error, Jsonb *initial)
{
	bool	called_back = visit->accepted == WF_ACCEPTED_CALLBACK;
	WfField fields[7];

	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "error", .jsonb = error};
	fields[1] =
		(WfField){.key = "event", .jsonb = wf_event_of_result(visit, batch->now), .omit = !wf_event_in_result(visit)};
	fields[2] = (WfField){.key = "status", .kind = WF_FIELD_TEXT, .text = wf_outcome_name(outcome)};
	fields[3] = (WfField){.key = "response", .jsonb = response_of(visit, initial)};
	fields[4] = (WfField){.key = "cancel_response", .jsonb = visit->cancel.response};
	fields[5] = (WfField){.key = "initial_response", .jsonb = initial};
	fields[6] = (WfField){.key = "callback_response", .jsonb = called_back ? visit->docs.callback : NULL};
	return wf_jsonb_object(fields, lengthof(fields));
}

static bool
forgets_reply(const WfVisit *visit)
{
	return visit->def != NULL && visit->def->forgets_reply;
}

Jsonb *
wf_token_result(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	return make_result(batch, visit, outcome, error, forgets_reply(visit) ? NULL : initial_response(visit));
}

Jsonb *
wf_token_result_at_hand(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	if (!forgets_reply(visit))
		return visit->docs.result;
	return make_result(batch, visit, outcome, error, initial_response(visit));
}

void
wf_token_end(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	visit->outcome = outcome;
	visit->error = error;
	if (visit->docs.result == NULL)
		visit->docs.result = wf_token_result(batch, visit, outcome, error);
	if (visit->def != NULL && visit->def->action == WF_ACTION_EACH)
		wf_items_drop(batch, visit);
	wf_data_forget_seen(visit);
	wf_state_end(batch, visit);
	wf_scope_remove(batch, visit);
}

void
wf_token_become_incident(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	visit->outcome = outcome;
	visit->error = error;
	visit->docs.result = wf_token_result(batch, visit, outcome, error);
	wf_state_incident(batch, visit);
	/* it leaves its place to another item */
	for (WfVisit *scope = visit->scope; scope != NULL; scope = scope->scope)
		if (wf_has_more_items(scope))
			wf_push(batch, scope, WF_ITEMS);
}

const WfEntry *
wf_token_catch(WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	char *code = wf_error_code(error);
	int	  status = wf_error_status(error);

	if (visit->def == NULL)
		return NULL;
	for (int i = visit->def->nwaits; i < visit->def->nentries; i++)
	{
		const WfEntry *handler = &visit->def->entries[i];

		if (handler->any || (handler->outcomes & (1U << outcome)) != 0)
			return handler;
		for (int c = 0; code != NULL && c < handler->ncodes; c++)
			if (wf_code_names(handler->codes[c], code, status))
				return handler;
	}
	return NULL;
}

bool
wf_token_has_room(WfBatch *batch, WfVisit *visit, const WfEntry *handler)
{
	WfFault		  fault = {0};
	MemoryContext old;

	if (wf_token_room(visit, handler->next.n - 1, &fault))
		return true;
	if (visit->state == WF_STATE_INCIDENT)
		return false;
	old = MemoryContextSwitchTo(batch->context);
	wf_token_become_incident(batch, visit, WF_OUTCOME_SYSTEM_ERROR, wf_engine_error(&fault, visit->attempt));
	MemoryContextSwitchTo(old);
	return false;
}

/* ---- what is around ---- */

WfVisit *
wf_token_catch_around(WfVisit *visit, WfOutcome outcome, Jsonb *error, const WfEntry **handler, bool *ending)
{
	*ending = false;
	for (WfVisit *scope = visit->scope; scope != NULL; scope = scope->scope)
	{
		/*
		 * an instance that ends is judged below, by wf_state_is_ending: the state of its process step says
		 * nothing of that
		 */
		if (wf_state_is_process(scope) && visit->instance->ending != WF_STATUS_ACTIVE)
			break;
		*ending = scope->state == WF_STATE_CANCELLING;
		if (*ending)
			return NULL;
		*handler = wf_token_catch(scope, outcome, error);
		if (*handler != NULL)
			return scope;
	}
	*ending = wf_state_is_ending(visit);
	return NULL;
}

void
wf_token_caught(WfBatch *batch, WfVisit *scope, const WfEntry *handler, Jsonb *caught, Jsonb *event)
{
	WfFault		  fault = {.code = "INTERRUPTED", .message = "a handler of the step caught what happened inside"};
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	if (wf_state_is_process(scope))
		fault.message = "a handler of the process caught what happened in it";
	if (event != NULL)
		fault.message = psprintf("a handler of the %s interrupted it, by the escalation \"%s\"",
								 wf_state_is_process(scope) ? "process" : "step", wf_event_name(event));
	wf_push_handler(batch, scope, handler, wf_engine_error(&fault, scope->attempt), caught, event);
	MemoryContextSwitchTo(old);
}

Jsonb *
wf_token_ending_error(WfBatch *batch, const WfVisit *visit)
{
	const WfInstance *instance = visit->instance;

	if (instance->ending == WF_STATUS_COMPLETED)
		return wf_cancel_error(batch, "the process has ended");
	if (instance->ending == WF_STATUS_ABORTED)
		return wf_cancel_error(batch, instance->cancel_reason);
	for (const WfVisit *scope = visit->scope; scope != NULL; scope = scope->scope)
		if (scope->state == WF_STATE_CANCELLING || scope->memory.has_enough)
			return wf_cancel_error(batch, wf_state_is_process(scope)
											  ? "the process ends"
											  : psprintf("what is in step \"%s\" ends with it", scope->step));
	return wf_cancel_error(batch, NULL);
}

/* ---- cancelled ---- */

/* The reason with which an instance ends that loses its last token by a cancelled visit. */
static char *
cancelled_alone(WfVisit *visit, Jsonb *error)
{
	Jsonb	  *message = error != NULL ? wf_jsonb_get(error, "message") : NULL;
	char	  *what = psprintf("visit " INT64_FORMAT "_" INT64_FORMAT " was cancelled", visit->instance->id, visit->id);
	JsonbValue value;

	if (message == NULL || !JsonbExtractScalar(&message->root, &value) || value.type != jbvString ||
		value.val.string.len == 0)
		return what;
	/* for a scope, the message already names the visit inside that was cancelled last */
	if (visit->memory.cancelled_inside != NULL)
		return pnstrdup(value.val.string.val, value.val.string.len);
	return psprintf("%s: %.*s", what, value.val.string.len, value.val.string.val);
}

static bool
was_moved(Jsonb *error)
{
	char *code = wf_error_code(error);

	return code != NULL && strcmp(code, WF_CODE_MOVED) == 0;
}

/*
 * The last token of a scope was cancelled by hand, and none has ended by its own route: so is the scope
 * cancelled, and the instance.
 */
static void
cancel_around(WfBatch *batch, WfVisit *visit, Jsonb *error)
{
	WfInstance *instance = visit->instance;

	if (visit->scope != NULL)
		visit->scope->memory.cancelled_inside = wf_cancel_error(batch, cancelled_alone(visit, error));
	else if (instance->ending == WF_STATUS_ACTIVE)
	{
		instance->ending = WF_STATUS_ABORTED;
		instance->cancel_reason = cancelled_alone(visit, error);
	}
}

/* The process as a scope was cancelled: so is the instance, with what its handlers have begun. */
static void
call_off(WfBatch *batch, WfVisit *visit, Jsonb *error)
{
	if (visit->instance->ending == WF_STATUS_ACTIVE)
		wf_push_close(batch, visit->instance, WF_STATUS_ABORTED, cancelled_alone(visit, error), NULL);
}

/* End a visit as CANCELLED. */
void
wf_token_cancelled(WfBatch *batch, WfVisit *visit, Jsonb *error, bool handled)
{
	MemoryContext  old = MemoryContextSwitchTo(batch->context);
	WfTokens	  *tokens = wf_scope_tokens(visit->instance, visit->scope);
	bool		   moved = was_moved(error);
	WfFault		   fault = {0};
	const WfEntry *handler = !handled || moved ? NULL : wf_token_catch(visit, WF_OUTCOME_CANCELLED, error);

	/* what ends anyway cannot wait for somebody to resolve an incident */
	if (handler != NULL && wf_state_is_ending(visit) && !wf_token_room(visit, handler->next.n - 1, &fault))
		handler = NULL;
	if (handler != NULL && !wf_token_has_room(batch, visit, handler))
	{
		MemoryContextSwitchTo(old);
		return;
	}
	visit->docs.result = NULL;
	wf_token_end(batch, visit, WF_OUTCOME_CANCELLED, error);
	if (handler != NULL)
		wf_token_follow(batch, visit, &handler->next, wf_event_caught(visit, batch->now));
	else if (wf_state_is_process(visit) && !moved)
		call_off(batch, visit, error);
	/* also if it was moved: then the token has ended elsewhere meanwhile */
	else if (tokens->n == 0 && !tokens->reached_end && (visit->scope == NULL || !wf_has_more_items(visit->scope)))
		cancel_around(batch, visit, error);
	MemoryContextSwitchTo(old);
}
