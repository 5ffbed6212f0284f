/*
 * control.c
 *		Entry points of the engine: starts, answers, timers, and what operators do.
 *
 * Each checks whether the event still applies to the visit, pushes the operations that follow from
 * it, and runs the agenda to its end.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/answer.h"
#include "engine/call.h"
#include "engine/engine.h"
#include "engine/event.h"
#include "engine/handler.h"
#include "engine/interrupt.h"
#include "engine/on_behalf.h"
#include "engine/scope.h"
#include "engine/silence.h"
#include "engine/suspend.h"
#include "engine/token.h"

static Jsonb *
data_of(const WfStart *start)
{
	Jsonb *defaults = start->process->def->data;

	return JB_ROOT_COUNT(defaults) == 0 ? start->data : wf_jsonb_merge(defaults, start->data);
}

void
wf_engine_require_data(const WfStart *start)
{
	if (start->data != NULL)
		wf_data_require_fit(data_of(start));
}

WfInstance *
wf_engine_start(WfBatch *batch, const WfStart *start)
{
	WfInstance	 *instance = wf_batch_new_instance(batch, start->process, start->instance);
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	instance->business_key = start->business_key;
	instance->attachment = start->attachment;
	instance->rerun_of = start->rerun_of;
	if (start->traceparent != NULL)
		instance->traceparent = pstrdup(start->traceparent);
	if (start->suspended)
		instance->status = WF_STATUS_SUSPENDED;
	if (start->data != NULL)
		instance->data = data_of(start);
	if (!start->any_size)
		wf_data_require_fit(instance->data);
	MemoryContextSwitchTo(old);
	wf_token_start(batch, instance, start->step, start->visit)->steps_without_wait = start->steps;
	wf_agenda_run(batch, instance);
	return instance;
}

/* ---- answers ---- */

void
wf_engine_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	if (visit->ended)
		return;
	wf_on_behalf_follow(batch, visit);
	wf_answer_keep_cookies(batch, visit, answer);
	if (visit->state == WF_STATE_CANCELLING)
		wf_interrupt_answer(batch, visit, answer);
	else if (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING)
		wf_answer_apply(batch, visit, answer);
	else
	{
		wf_on_behalf_end(batch);
		return;
	}
	wf_agenda_run(batch, visit->instance);
}

void
wf_engine_lost_attempt(WfBatch *batch, WfVisit *visit, TimestampTz started_at)
{
	wf_answer_note_lost(batch, visit, started_at);
}

void
wf_engine_postpone(WfBatch *batch, WfVisit *visit, TimestampTz until)
{
	wf_state_postpone(batch, visit, until);
}

bool
wf_engine_names(const WfVisit *visit, const WfFault *fault)
{
	return wf_answer_is_named(visit, fault);
}

/* The pause after visits in a scope could not be interrupted. */
#define INSIDE_PAUSE_MS 60000

/* Forget the documents of a visit, which may be more than a row can hold. */
static void
drop_documents(WfVisit *visit)
{
	visit->docs = (WfDocuments){.has_reply = visit->docs.has_reply, .result = visit->docs.result, .changed = true};
	visit->cancel.response = NULL;
	visit->changed = true;
}

static bool
lives(WfBatch *batch, int64 instance)
{
	WfLiving *living;

	return wf_batch_instance(batch, instance) != NULL || wf_batch_living(&instance, 1, &living) > 0;
}

void
wf_engine_fail(WfBatch *batch, WfVisit *visit, const WfFault *fault, WfFailing failing)
{
	if (visit->ended || visit->state == WF_STATE_INCIDENT)
		return;
	wf_on_behalf_follow(batch, visit);
	/* what it was to be told of a child that has ended is lost */
	if (wf_state_awaits_child(visit) && !lives(batch, visit->child) && wf_call_give_up(batch, visit))
	{
		wf_agenda_run(batch, visit->instance);
		return;
	}
	if (failing == WF_FAIL_ACTION && wf_has_accepted(visit) && visit->state != WF_STATE_CANCELLING)
	{
		/* its request could not be made, or the reply not be handled: the event counts all the same */
		if (wf_state_acts_first(visit) && visit->state != WF_STATE_READY && visit->def->action == WF_ACTION_HTTP)
			wf_answer_note_failed(batch, visit, fault);
		wf_state_keep_accepted(batch, visit);
		wf_on_behalf_end(batch);
		return;
	}
	/* what could not be interrupted in a scope is tried again, after a while */
	if (wf_state_is_phase(visit, WF_CANCEL_INSIDE))
	{
		wf_state_postpone(batch, visit, TimestampTzPlusMilliseconds(batch->now, INSIDE_PAUSE_MS));
		wf_on_behalf_end(batch);
		return;
	}
	if (failing == WF_FAIL_BARE)
		drop_documents(visit);
	if (wf_interrupt_is_sending_cancel(visit))
		wf_interrupt_answer(batch, visit, &(WfAnswer){.fault = *fault});
	else
		wf_push_fault(batch, visit, fault);
	wf_agenda_run(batch, visit->instance);
}

void
wf_engine_hand_over(WfBatch *batch, WfVisit *visit)
{
	if (!visit->ended && visit->state != WF_STATE_INCIDENT)
		wf_state_hand_over(batch, visit);
}

static void
replace_data(WfBatch *batch, WfInstance *instance, Jsonb *data)
{
	wf_data_replace(instance, data);
	instance->judges_conditions = true;
	instance->data_steps = 0;
	wf_agenda_run(batch, instance);
}

static Jsonb *
merge(WfBatch *batch, const WfInstance *instance, Jsonb *changes)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *data = wf_jsonb_merge(instance->data, changes);

	MemoryContextSwitchTo(old);
	return data;
}

void
wf_engine_set_data(WfBatch *batch, WfInstance *instance, Jsonb *changes)
{
	Jsonb *data = merge(batch, instance, changes);

	wf_data_require_fit(data);
	replace_data(batch, instance, data);
}

bool
wf_engine_try_data(WfBatch *batch, WfInstance *instance, Jsonb *changes, WfFault *fault)
{
	Jsonb *data = merge(batch, instance, changes);

	if (!wf_data_fits(data, fault))
		return false;
	replace_data(batch, instance, data);
	return true;
}

/* ---- what was called ---- */

void
wf_engine_ended(WfBatch *batch, WfVisit *visit, const WfEnded *ended)
{
	wf_on_behalf_follow(batch, visit);
	wf_call_ended(batch, visit, ended);
	wf_agenda_run(batch, visit->instance);
}

void
wf_engine_escalated(WfBatch *batch, WfVisit *visit, const WfEscalation *escalation)
{
	wf_call_escalated(batch, visit, escalation);
	wf_agenda_run(batch, visit->instance);
}

/* ---- clocks ---- */

/* Has the visit's due time come, as of this batch? */
static bool
is_due_visit(WfBatch *batch, WfVisit *visit)
{
	return !visit->ended && visit->due_at != 0 && visit->due_at <= batch->now;
}

static bool
waits_for_clock(const WfVisit *visit)
{
	return visit->state == WF_STATE_WAITING && (visit->waits_for & WF_WAITS_FOR_CLOCKS) != 0 && visit->due_at != 0 &&
		   !wf_has_accepted(visit);
}

static bool
is_before(TimestampTz at, TimestampTz other)
{
	return at != 0 && at <= other;
}

/*
 * Workers may be late, so that several clocks of a visit have struck: the first one counts. Is one of a handler, the timeout or the
 * heartbeat before that of its wait, or at the same time?
 */
static bool
alarm_is_first(const WfVisit *visit)
{
	return is_before(visit->clocks.deadline, visit->due_at) ||
		   is_before(visit->clocks.heartbeat_deadline, visit->due_at) ||
		   is_before(visit->clocks.next_handler, visit->due_at);
}

/* Is that of its wait before timeout and heartbeat? */
static bool
wait_is_first(const WfBatch *batch, const WfVisit *visit)
{
	return waits_for_clock(visit) && visit->due_at <= batch->now && !is_before(visit->clocks.deadline, visit->due_at) &&
		   !is_before(visit->clocks.heartbeat_deadline, visit->due_at);
}

void
wf_engine_due(WfBatch *batch, WfVisit *visit)
{
	if (!is_due_visit(batch, visit) || visit->suspended)
		return;
	if (waits_for_clock(visit) && alarm_is_first(visit))
	{
		wf_engine_alarm(batch, visit);
		if (!is_due_visit(batch, visit) || !waits_for_clock(visit))
			return;
	}
	wf_on_behalf_follow(batch, visit);
	if (visit->state == WF_STATE_CANCELLING)
		wf_interrupt_due(batch, visit);
	else if (wf_has_accepted(visit) && (!wf_state_acts_first(visit) || wf_state_is_ending(visit)))
		wf_push(batch, visit, WF_HAPPEN);
	/* A loop that was cut, or a resumed visit, goes on. */
	else if (visit->state == WF_STATE_READY)
		wf_push(batch, visit, WF_BEGIN);
	/* what is around it ends, and has not come to it yet */
	else if (wf_state_is_ending(visit))
		wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, wf_token_ending_error(batch, visit));
	else if (visit->state == WF_STATE_WAITING && (visit->waits_for & WF_WAITS_FOR_CLOCKS) != 0)
	{
		wf_state_strike(visit);
		wf_push(batch, visit, WF_HAPPEN);
	}
	else if (visit->state == WF_STATE_WAITING && visit->waits_for == WF_WAITS_FOR_EACH)
		wf_push(batch, visit, WF_ITEMS);
	else
	{
		wf_on_behalf_end(batch);
		return;
	}
	wf_agenda_run(batch, visit->instance);
}

/* The clock of a handler strikes. */
static void
begin_handler(WfBatch *batch, WfVisit *visit, int entry)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *event = wf_event_of_clock(visit, entry);
	WfFault		  fault = {0};

	if (visit->def->entries[entry].event.kind != WF_EVENT_EVERY)
		wf_clock_begin_handler(visit, entry);
	else if (!wf_clock_beat(batch, visit, entry, &fault))
		wf_push_break(batch, visit, &fault);
	if (fault.code == NULL)
		wf_handler_begin(batch, visit, entry, event, 0);
	MemoryContextSwitchTo(old);
}

static bool
is_interrupted(const WfVisit *visit)
{
	return visit->ended || visit->state == WF_STATE_CANCELLING || visit->state == WF_STATE_INCIDENT;
}

/*
 * Begin the handlers whose times have come, in the order of these; workers may be late, so several
 * may be due. Returns false if one of them has interrupted the visit.
 */
static bool
outlives_handlers(WfBatch *batch, WfVisit *visit)
{
	TimestampTz until = batch->now;
	int			entry;

	if (visit->clocks.next_handler == 0 || visit->clocks.next_handler > batch->now || visit->def == NULL)
		return true;
	if (visit->clocks.deadline != 0)
		until = Min(until, visit->clocks.deadline - 1);
	if (visit->clocks.heartbeat_deadline != 0)
		until = Min(until, visit->clocks.heartbeat_deadline - 1);
	if (waits_for_clock(visit))
		until = Min(until, visit->due_at);
	while ((entry = wf_clock_next_handler(visit, until)) >= 0)
	{
		begin_handler(batch, visit, entry);
		wf_agenda_run(batch, visit->instance);
		if (is_interrupted(visit))
			return false;
	}
	return true;
}

/*
 * A timer has come: that of a handler, of the timeout, of the heartbeat, or of the warning. If the visit's event came in
 * time, and waits for the action, that is given up, and the event counts.
 */
void
wf_engine_alarm(WfBatch *batch, WfVisit *visit)
{
	WfFault		  fault = {.code = "TIMED_OUT", .message = "the step's timeout has passed"};
	WfOutcome	  outcome = WF_OUTCOME_TIMED_OUT;
	MemoryContext old;

	if (visit->ended || visit->suspended || (wf_has_accepted(visit) && !wf_state_awaits_action(visit)) ||
		visit->state == WF_STATE_INCIDENT || wf_state_is_ending(visit))
		return;
	if (!outlives_handlers(batch, visit))
		return;
	if (wait_is_first(batch, visit))
	{
		wf_engine_due(batch, visit);
		return;
	}
	if (wf_state_is_process(visit))
		fault.message = "the timeout of the process has passed";
	if (visit->clocks.deadline == 0 || visit->clocks.deadline > batch->now)
	{
		if (visit->clocks.heartbeat_deadline == 0 || visit->clocks.heartbeat_deadline > batch->now)
		{
			if (visit->clocks.warn_at != 0 && visit->clocks.warn_at <= batch->now)
				wf_state_warned(batch, visit);
			return;
		}
		if (wf_silence_outlives(batch, visit))
			return;
		outcome = WF_OUTCOME_DIED;
		fault.code = "DIED";
		fault.message = "nothing was heard of the outside for longer than the step's heartbeat";
	}
	if (wf_has_accepted(visit))
		outcome = WF_OUTCOME_SUCCESS;
	old = MemoryContextSwitchTo(batch->context);
	wf_push_interrupt(batch, visit, outcome, wf_engine_error(&fault, visit->attempt));
	MemoryContextSwitchTo(old);
	wf_agenda_run(batch, visit->instance);
}

/* ---- operators ---- */

void
wf_engine_cancel(WfBatch *batch, WfInstance *instance, const char *reason)
{
	wf_push_close(batch, instance, WF_STATUS_ABORTED, reason, NULL);
	wf_agenda_run(batch, instance);
}

void
wf_engine_cancel_visit(WfBatch *batch, WfVisit *visit, const char *reason)
{
	wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, wf_cancel_error(batch, reason));
	wf_agenda_run(batch, visit->instance);
}

void
wf_engine_suspend(WfBatch *batch, WfInstance *instance, bool with_caller)
{
	wf_suspend(batch, instance, with_caller);
}

void
wf_engine_resume(WfBatch *batch, WfInstance *instance)
{
	if (instance->status == WF_STATUS_SUSPENDED)
	{
		wf_resume(batch, instance);
		wf_resume_called(batch, instance);
	}
	wf_agenda_run(batch, instance);
}

void
wf_engine_retry(WfBatch *batch, WfVisit *visit, bool new_key)
{
	wf_state_resolve_incident(batch, visit);
	wf_state_begin_again(visit);
	if (new_key)
		wf_batch_make_key(&visit->key);
	wf_token_begin_in_turn(batch, visit);
	wf_agenda_run(batch, visit->instance);
}

/* A step with `first_of` goes where the event leads that has happened. */
static void
require_way(const WfVisit *visit)
{
	if (!wf_event_leads_on(visit))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("step \"%s\" does not say where to go on without an event", visit->step),
				errdetail("Its \"first_of\" has no callback, and none of its events has happened."),
				errhint("Move the visit to the step at which it is to go on: workflow.move."));
}

void
wf_engine_skip(WfBatch *batch, WfVisit *visit, Jsonb *data)
{
	require_way(visit);
	wf_state_resolve_incident(batch, visit);
	wf_state_skip(batch, visit, data);
	wf_push(batch, visit, WF_HAPPEN);
	wf_agenda_run(batch, visit->instance);
}

static Jsonb *
moved_error(WfBatch *batch, const char *to)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfFault		  why = {.code = WF_CODE_MOVED, .message = psprintf("moved to step \"%s\"", to)};
	Jsonb		 *error = wf_engine_error(&why, 0);

	MemoryContextSwitchTo(old);
	return error;
}

/*
 * The visit at the step that a token has entered: where it ended in a join, the one that stands or stood there; NULL if
 * it was too late for that.
 */
static WfVisit *
visit_entered(WfBatch *batch, WfVisit *next)
{
	WfInstance *instance = next->instance;
	WfVisit	   *found = NULL;
	ListCell   *lc;

	if (!next->memory.absorbed)
		return next;
	if (wf_scope_join(next)->standing != 0)
		wf_batch_load_visits(batch, &instance->id, &wf_scope_join(next)->standing, 1);
	foreach (lc, instance->visits)
	{
		WfVisit *visit = lfirst(lc);

		if (visit->def == next->def && visit->scope == next->scope && !visit->memory.absorbed)
			found = visit;
	}
	return wf_scope_is_late(next, next->def->join.slot) ? NULL : found;
}

WfVisit *
wf_engine_move_visit(WfBatch *batch, WfVisit *visit, int to)
{
	const WfStep *step = &visit->instance->process->def->steps[to];
	WfVisit		 *next;

	/* first, so that it does not stand any more at a join to which it is moved */
	wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, moved_error(batch, step->name));
	next = wf_token_enter(batch, visit->instance, visit->scope, visit, to, visit->caught, 0);
	next->steps_without_wait = 0; /* a person let it go on */
	wf_agenda_run(batch, visit->instance);
	return visit_entered(batch, next);
}
