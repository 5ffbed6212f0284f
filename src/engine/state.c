/*
 * state.c
 *		The only place where a visit changes its state, and with it which worker has to look at it,
 *		and when.
 *
 * Callers are the operations of the agenda and the entry points of control.c; all work on a batch
 * whose instance is locked.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "debug.h"
#include "engine/on_behalf.h"
#include "engine/state.h"
#include "shmem/wakeups.h"
#include "store/executor_work.h"
#include "store/subscription.h"
#include "store/warn_waiting.h"

#define S(state) (1 << WF_STATE_##state)
/*
 * From which states a visit can come to each. A visit that is ready, pauses or is being cancelled
 * may come to the same state again, for another reason.
 */
pg_attribute_unused() static const int predecessors[] = {
	[WF_STATE_READY] = S(READY) | S(WAITING) | S(INCIDENT),
	[WF_STATE_CALLING] = S(READY),
	[WF_STATE_RETRYING] = S(CALLING) | S(RETRYING),
	[WF_STATE_WAITING] = S(READY) | S(CALLING) | S(RETRYING),
	[WF_STATE_CANCELLING] = S(CALLING) | S(RETRYING) | S(WAITING) | S(CANCELLING),
	[WF_STATE_INCIDENT] = S(READY) | S(CALLING) | S(RETRYING) | S(WAITING) | S(CANCELLING),
};

static void
set_state(WfVisit *visit, WfState state, char *queue, TimestampTz due_at)
{
	WF_ASSERT(!visit->ended);
	WF_ASSERT(predecessors[state] & (1 << visit->state));
	visit->state = state;
	visit->queue = queue;
	visit->due_at = due_at;
	visit->waits_for = WF_WAITS_FOR_NOTHING;
	visit->waiting_since = 0;
	visit->clocks.heartbeat_deadline = 0;
	if (!wf_has_accepted(visit))
		visit->clocks.warn_at = 0; /* else it is of the time since that came */
	visit->changed = true;
}

/* Remove all times of a visit: no timer does anything with it any more. */
static void
stop_clocks(WfVisit *visit)
{
	visit->clocks = (WfClocks){0};
}

/* No event of the visit can happen any more, and no handler of it can begin. */
static void
unsubscribe(WfBatch *batch, WfVisit *visit)
{
	if (visit->def == NULL || visit->def->nsubscribed > 0)
		wf_subscriptions_drop(batch, visit);
}

/* An attached row may show the visit. Of many items it shows none, and nobody looks through all of them for it. */
static void
show(WfVisit *visit)
{
	visit->instance->show_changed |= visit->item == WF_NO_ITEM;
}

static char *
copy_queue_name(WfBatch *batch, const char *name)
{
	return MemoryContextStrdup(batch->context, name);
}

/*
 * The queue in which executors find a visit. Each process has one of its own, since executors are
 * shared out among the owners of processes.
 */
char *
wf_state_executor_queue(WfBatch *batch, const WfVisit *visit)
{
	return copy_queue_name(batch, wf_executor_queue(visit->instance->process->process_id));
}

/* The action is due. It is sent only once this is durable. */
void
wf_state_call(WfBatch *batch, WfVisit *visit, char *queue)
{
	set_state(visit, WF_STATE_CALLING, queue, batch->now);
	wf_on_behalf_due(batch, visit);
	visit->steps_without_wait = 0;
	batch->needs_sync_commit = true;
}

/* A worker moves the visit on, in a transaction of its own. */
void
wf_state_ready(WfBatch *batch, WfVisit *visit, char *queue)
{
	set_state(visit, WF_STATE_READY, queue, batch->now);
	wf_on_behalf_due(batch, visit);
	batch->needs_sync_commit = true;
}

/* Pause before the next attempt. */
void
wf_state_pause(WfBatch *batch, WfVisit *visit, TimestampTz until)
{
	set_state(visit, WF_STATE_RETRYING, visit->queue, until);
}

/* Warn if the visit stands as it does for too long. */
static void
warn_later(WfBatch *batch, WfVisit *visit)
{
	if (wf_warn_after(visit->def) > 0)
		visit->clocks.warn_at = TimestampTzPlusMilliseconds(batch->now, wf_warn_after(visit->def));
}

/* Wait for events, the first clock of which strikes at due_at; 0: none does. */
void
wf_state_wait(WfBatch *batch, WfVisit *visit, WfWaitsFor waits_for, TimestampTz due_at)
{
	set_state(visit, WF_STATE_WAITING, due_at != 0 ? copy_queue_name(batch, WF_QUEUE_TIMER) : NULL, due_at);
	visit->steps_without_wait = 0;
	visit->waits_for = waits_for;
	visit->waiting_since = batch->now;
	wf_on_behalf_drop(batch, visit);
	if ((waits_for & WF_WAITS_FOR_CALLBACK) != 0)
		warn_later(batch, visit);
	show(visit);
	batch->needs_sync_commit = true;
}

/* Wait for other tokens: at a join, for those inside the scope that the visit is, or of the instance that it has called. */
void
wf_state_stand(WfBatch *batch, WfVisit *visit, WfWaitsFor waits_for)
{
	/* a join that goes on in the same batch has its clocks and subscriptions */
	visit->again = false;
	set_state(visit, WF_STATE_WAITING, NULL, 0);
	visit->waits_for = waits_for;
	visit->waiting_since = batch->now;
	if (waits_for == WF_WAITS_FOR_EACH)
		wf_on_behalf_due(batch, visit);
	else
		wf_on_behalf_drop(batch, visit);
}

/* What the visit has waited for has come: at a join it is ready for its action, after a call that is done. */
void
wf_state_go_on(WfVisit *visit)
{
	WF_ASSERT(visit->waits_for == WF_WAITS_FOR_JOIN || visit->waits_for == WF_WAITS_FOR_CALL);
	set_state(visit, WF_STATE_READY, NULL, 0);
}

/* More items are to be begun: in another transaction, or (not due) once one of those under way has ended. */
void
wf_state_next_items(WfBatch *batch, WfVisit *visit, bool due)
{
	WF_ASSERT(visit->waits_for == WF_WAITS_FOR_EACH);
	if (due == (visit->queue != NULL))
		return;
	visit->queue = due ? copy_queue_name(batch, WF_QUEUE_MOVE) : NULL;
	visit->due_at = due ? batch->now : 0;
	visit->changed = true;
	batch->needs_sync_commit = true;
}

/* The visit has waited for too long: warn once. */
void
wf_state_warned(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	visit->clocks.warn_at = 0;
	visit->changed = true;
	if (wf_warn_after(visit->def) > 0)
		batch->warnings = lappend(batch->warnings, visit);
	MemoryContextSwitchTo(old);
}

/*
 * Keep an accepted event until no request is in flight. The end of the visit is known, but the
 * dispatcher has to find out whether a reply may still come; `move` is the queue in which it does.
 * The visit of a SQL step stays in its queue, since an executor knows that of a statement; that of a call waits for the end
 * of its child. From now on no timer and no retry touches the visit.
 */
void
wf_state_keep_accepted(WfBatch *batch, WfVisit *visit)
{
	stop_clocks(visit);
	wf_on_behalf_sent(batch, visit);
	wf_on_behalf_onwards(batch, visit);
	visit->changed = true;
	batch->needs_sync_commit = true;
	if (wf_state_awaits_child(visit))
		return;
	if (!wf_is_executor_queue(visit->queue))
		visit->queue = copy_queue_name(batch, WF_QUEUE_MOVE);
	visit->due_at = batch->now;
}

/*
 * Accept a callback, or a person's call, as the end of the visit, at once or later; `error` NULL: a
 * success.
 */
void
wf_state_accept(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	WF_ASSERT(!wf_has_accepted(visit));
	visit->accepted = WF_ACCEPTED_CALLBACK;
	visit->docs.callback = data;
	visit->docs.callback_error = error;
	visit->completed_by = GetUserNameFromId(batch->caller, false);
	visit->webhook = batch->webhook;
	visit->docs.changed = true;
	visit->changed = true;
	batch->needs_sync_commit = true; /* the caller was told `true`, which must not be lost */
	unsubscribe(batch, visit);
	MemoryContextSwitchTo(old);
}

/*
 * Accept the event of an entry for which the visit waits as its end, at once or later. `role`, who has sent it, is
 * copied; NULL: nobody has.
 */
void
wf_state_accept_event(WfBatch *batch, WfVisit *visit, int entry, Jsonb *event, const char *role)
{
	WF_ASSERT(!wf_has_accepted(visit) && entry < visit->def->nwaits);
	visit->accepted = entry + 1;
	visit->docs.event = event;
	if (role != NULL)
		visit->completed_by = MemoryContextStrdup(batch->context, role);
	visit->docs.changed = true;
	visit->changed = true;
	batch->needs_sync_commit = true; /* its sender was told so */
	unsubscribe(batch, visit);
}

/*
 * What was accepted has to wait for the action, which is still to be done, with all its attempts, or for the end of a child:
 * the visit stays in its queue, and its clocks go on, lest it wait for ever.
 */
void
wf_state_keep_for_action(WfBatch *batch, WfVisit *visit)
{
	WF_ASSERT(wf_state_awaits_action(visit));
	/* what a visit has that is to begin is for that */
	if (visit->state != WF_STATE_READY)
		wf_on_behalf_onwards(batch, visit);
	warn_later(batch, visit);
	batch->needs_sync_commit = true;
}

/* Accept the first time for which the visit waits as its end. */
void
wf_state_strike(WfVisit *visit)
{
	WF_ASSERT(!wf_has_accepted(visit) && visit->state == WF_STATE_WAITING);
	visit->accepted = wf_clock_first_of_wait(visit) + 1;
	visit->changed = true;
}

static void
forget_accepted(WfVisit *visit)
{
	visit->accepted = WF_ACCEPTED_NOTHING;
	visit->completed_by = NULL;
	visit->webhook = false;
}

/* What interrupts a visit lets it send its cancel request, however long it awaits an answer before. */
static void
keep_for_cancel(WfBatch *batch, WfVisit *visit, WfCancelPhase phase, bool begins)
{
	if (phase == WF_CANCEL_INSIDE)
		wf_on_behalf_onwards(batch, visit);
	else if (phase == WF_CANCEL_CHILD || phase == WF_CANCEL_CONFIRM)
		wf_on_behalf_sent(batch, visit);
	else if (begins)
		wf_on_behalf_cancel(batch, visit);
}

/* Cancel the visit: see the phases in engine/interrupt.c. */
void
wf_state_cancel(WfBatch *batch, WfVisit *visit, WfCancelPhase phase, char *queue, TimestampTz due_at)
{
	bool begins = visit->state != WF_STATE_CANCELLING;

	set_state(visit, WF_STATE_CANCELLING, queue, due_at);
	visit->cancel.phase = phase;
	keep_for_cancel(batch, visit, phase, begins);
	visit->waiting_since = batch->now;
	stop_clocks(visit);
	unsubscribe(batch, visit);
	show(visit);
	batch->needs_sync_commit = true;
}

/* Suspend the visit, or resume it. */
void
wf_state_set_suspended(WfBatch *batch, WfVisit *visit, bool suspended)
{
	visit->suspended = suspended;
	visit->changed = true;
	if (visit->def == NULL || (visit->def->noffered > 0 && wf_step_entry(visit->def, WF_EVENT_TOPIC) >= 0))
		visit->instance->holds_work = true;
}

/* Look at the visit again at `until`, in the same state. */
void
wf_state_postpone(WfBatch *batch, WfVisit *visit, TimestampTz until)
{
	visit->due_at = until;
	visit->changed = true;
}

/* Let an executor go on with the visit, in the same state. */
void
wf_state_hand_over(WfBatch *batch, WfVisit *visit)
{
	visit->queue = wf_state_executor_queue(batch, visit);
	visit->due_at = batch->now;
	visit->changed = true;
}

/*
 * Count an incident, or one less, for the items that it is in, of lists in each other. An item that is no scope is the
 * incident itself.
 */
static void
count_incident(WfVisit *visit, int by)
{
	for (; visit->scope != NULL; visit = visit->scope)
	{
		int64 before = 0;

		if (!wf_is_item(visit))
			continue;
		if (wf_state_is_scope(visit))
		{
			before = by > 0 ? visit->items.stuck : visit->items.stuck - 1;
			visit->items.stuck += by;
			visit->changed = true;
		}
		if (before > 0)
			continue;
		visit->scope->items.stuck += by;
		visit->scope->changed = true;
		WF_ASSERT(visit->scope->items.stuck >= 0);
	}
}

void
wf_state_incident(WfBatch *batch, WfVisit *visit)
{
	WfInstance	 *instance = visit->instance;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	set_state(visit, WF_STATE_INCIDENT, NULL, 0);
	wf_on_behalf_drop(batch, visit);
	visit->waiting_since = batch->now;
	visit->docs.changed = true;
	stop_clocks(visit);
	unsubscribe(batch, visit);
	/*
	 * an incident forgets the rest of its cancelling, but for cancel_outcome, which says that the
	 * service may have been asked to stop
	 */
	visit->cancel.phase = WF_CANCEL_NONE;
	visit->cancel.handler = 0;
	forget_accepted(visit);
	visit->docs.event = NULL; /* it is in the result */
	instance->incidents++;
	count_incident(visit, 1);
	if (instance->status == WF_STATUS_ACTIVE)
		instance->status = WF_STATUS_FAILED;
	instance->changed = true;
	instance->show_changed = true;
	batch->incidents = lappend(batch->incidents, visit);
	MemoryContextSwitchTo(old);
}

static void
one_incident_less(WfVisit *visit)
{
	WfInstance *instance = visit->instance;

	count_incident(visit, -1);
	instance->incidents--;
	if (instance->incidents == 0 && instance->status == WF_STATUS_FAILED)
		instance->status = WF_STATUS_ACTIVE;
	instance->changed = true;
	instance->show_changed = true;
}

/* Record an incident that is over, with its error. */
void
wf_state_record_incident(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfAttempt	 *attempt;

	attempt = palloc0(sizeof(WfAttempt));
	attempt->visit = visit;
	attempt->attempt = visit->attempt;
	attempt->started_at = visit->waiting_since;
	attempt->error = visit->error;
	attempt->incident = true;
	attempt->ended_with = batch->call;
	attempt->ended_by = batch->caller;
	batch->attempts = lappend(batch->attempts, attempt);
	MemoryContextSwitchTo(old);
}

/* Resolve an incident: the visit is ready again. */
void
wf_state_resolve_incident(WfBatch *batch, WfVisit *visit)
{
	WfInstance *instance = visit->instance;

	if (visit->state != WF_STATE_INCIDENT)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " is no incident", instance->id, visit->id),
				errdetail("It is in state \"%s\".", wf_state_name(visit->state)),
				errhint("See the view workflow.incidents."));
	wf_state_record_incident(batch, visit);
	set_state(visit, WF_STATE_READY, NULL, 0);
	visit->outcome = WF_OUTCOME_NONE;
	visit->cancel = (WfCancelling){0};
	visit->docs.changed = true;
	visit->error = NULL;
	visit->docs.result = NULL;
	one_incident_less(visit);
}

/*
 * Forget what a resolved incident did before, so that its action begins as if it had never been
 * tried.
 */
void
wf_state_begin_again(WfVisit *visit)
{
	WF_ASSERT(visit->state == WF_STATE_READY);
	visit->attempt = 0;
	visit->child = 0;
	visit->steps_without_wait = 0;
	visit->docs = (WfDocuments){.changed = true};
	forget_accepted(visit);
	visit->memory = (WfInMemory){0};
	visit->again = true;
}

/* Complete a resolved incident as a success, with the data that a person gave. */
void
wf_state_skip(WfBatch *batch, WfVisit *visit, Jsonb *data)
{
	WF_ASSERT(visit->state == WF_STATE_READY);
	wf_state_accept(batch, visit, data, NULL);
	visit->memory.skipped = true;
}

/* The visit is one of another version now: it stays in its state, perhaps with other events, and elsewhere. */
void
wf_state_carry(WfBatch *batch, WfVisit *visit, WfWaitsFor waits_for, char *queue, TimestampTz due_at)
{
	if (visit->waits_for != waits_for)
		visit->instance->show_changed = true;
	visit->waits_for = waits_for;
	visit->queue = queue;
	visit->due_at = due_at;
	visit->memory.carried = true;
	visit->changed = true;
	batch->needs_sync_commit = true;
}

void
wf_state_end(WfBatch *batch, WfVisit *visit)
{
	Assert(!visit->ended);
	if (visit->state == WF_STATE_INCIDENT)
		one_incident_less(visit);
	/* an attached row may show the number of a visit that takes callbacks before it waits */
	if (visit->state == WF_STATE_WAITING || (visit->def != NULL && wf_step_callback_entry(visit->def) >= 0))
		show(visit);
	unsubscribe(batch, visit);
	wf_on_behalf_drop(batch, visit);
	visit->ended = true;
	visit->ended_at = batch->now;
}

/* The token of a visit that has not begun ends in a join, where another one stands. */
void
wf_state_absorb(WfVisit *visit)
{
	WF_ASSERT(visit->is_new && visit->state == WF_STATE_READY);
	visit->memory.absorbed = true;
	visit->ended = true;
}

/* ---- questions ---- */

/*
 * A step with ignore_cancel, and what is in a scope with it, goes on while what is around it ends.
 */
bool
wf_state_is_ending(const WfVisit *visit)
{
	for (; visit->scope != NULL; visit = visit->scope)
	{
		if (visit->def != NULL && visit->def->ignore_cancel)
			return false;
		if (visit->scope->state == WF_STATE_CANCELLING)
			return true;
	}
	return visit->instance->ending != WF_STATUS_ACTIVE && (visit->def == NULL || !visit->def->ignore_cancel);
}

bool
wf_state_ignores_cancel(const WfVisit *visit)
{
	for (; visit != NULL; visit = visit->scope)
		if (visit->def != NULL && visit->def->ignore_cancel)
			return true;
	return false;
}

bool
wf_state_is_process(const WfVisit *visit)
{
	return visit->def != NULL && visit->def->index == visit->instance->process->def->process_step;
}

bool
wf_state_is_scope(const WfVisit *visit)
{
	return visit->def != NULL && (visit->def->action == WF_ACTION_STEPS || visit->def->action == WF_ACTION_EACH);
}

bool
wf_state_may_be_in_flight(const WfVisit *visit)
{
	return visit->queue != NULL &&
		   (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_READY || visit->state == WF_STATE_RETRYING);
}

bool
wf_state_awaits_child(const WfVisit *visit)
{
	return (visit->waits_for & WF_WAITS_FOR_CALL) != 0 || visit->cancel.phase == WF_CANCEL_CHILD;
}

bool
wf_state_is_phase(const WfVisit *visit, WfCancelPhase phase)
{
	return visit->cancel.phase == phase;
}

bool
wf_state_asks_to_stop(const WfVisit *visit)
{
	return wf_state_is_phase(visit, WF_CANCEL_SEND) || wf_state_is_phase(visit, WF_CANCEL_TELL);
}

bool
wf_state_is_open(const WfVisit *visit)
{
	return !visit->ended && !wf_has_accepted(visit) && visit->state != WF_STATE_CANCELLING;
}

bool
wf_state_is_over(const WfVisit *visit, TimestampTz now)
{
	return (!wf_has_accepted(visit) || wf_state_awaits_action(visit)) && visit->clocks.deadline != 0 &&
		   visit->clocks.deadline <= now;
}

/* Is the visit in the queue of those who do its action? One that was called off is in another (wf_state_keep_accepted). */
static bool
is_in_queue_of_action(const WfVisit *visit)
{
	if (visit->def == NULL || visit->queue == NULL)
		return false;
	if (visit->def->action == WF_ACTION_HTTP)
		return strncmp(visit->queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) == 0;
	return wf_is_executor_queue(visit->queue);
}

/* A callback says that the work is done, or need not be; who sends messages and signals knows nothing of that. */
bool
wf_state_acts_first(const WfVisit *visit)
{
	if (visit->accepted <= WF_ACCEPTED_CALLBACK || visit->docs.has_reply)
		return false;
	if (visit->state == WF_STATE_READY)
		return visit->attempt == 0; /* a call that came to nothing is ready, too */
	return (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING) && is_in_queue_of_action(visit);
}

bool
wf_state_awaits_action(const WfVisit *visit)
{
	return wf_state_acts_first(visit) || (wf_has_accepted(visit) && (visit->waits_for & WF_WAITS_FOR_CALL) != 0);
}

static bool
is_due_now(const WfVisit *visit, TimestampTz now)
{
	return !visit->suspended && visit->def != NULL && visit->due_at != 0 && visit->due_at <= now;
}

/* Is the visit due for its action, and its deadline not over? */
static bool
awaits_answer(const WfVisit *visit, TimestampTz now)
{
	return is_due_now(visit, now) && (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING) &&
		   !wf_state_is_over(visit, now);
}

/*
 * Is the visit's action to be done, once this is committed? It is not if a callback ended the
 * visit, if its deadline has passed, or if what is around it ends.
 */
static bool
is_called_for(const WfVisit *visit, TimestampTz now)
{
	return awaits_answer(visit, now) && (!wf_has_accepted(visit) || wf_state_acts_first(visit)) &&
		   !wf_state_is_ending(visit);
}

bool
wf_state_wants_request(const WfVisit *visit, TimestampTz now)
{
	if (!is_due_now(visit, now) || visit->def->action != WF_ACTION_HTTP)
		return false;
	if (visit->state == WF_STATE_CANCELLING)
		return wf_state_asks_to_stop(visit);
	return is_called_for(visit, now);
}

bool
wf_state_wants_statement(const WfVisit *visit, TimestampTz now, bool was_begun)
{
	return (was_begun ? awaits_answer(visit, now) : is_called_for(visit, now)) && wf_is_executor_queue(visit->queue) &&
		   (visit->def->action == WF_ACTION_SQL || visit->def->action == WF_ACTION_NOTIFY);
}
