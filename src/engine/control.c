/*
 * control.c
 *		Entry points of the engine: starts, answers, callbacks, timers, and what operators do.
 *
 * Each checks whether the event still applies to the visit, pushes the operations that follow from
 * it, and runs the agenda to its end.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/answer.h"
#include "engine/engine.h"
#include "engine/handler.h"
#include "engine/interrupt.h"
#include "engine/scope.h"
#include "engine/suspend.h"
#include "engine/token.h"

/* Enter the first step; `visit` is the number of the visit there, inside the process as a scope. */
static void
enter_start(WfBatch *batch, WfInstance *instance, int64 visit)
{
	const WfDefinition *def = instance->process->def;
	bool				is_scope = def->start == def->process_step;
	WfVisit			   *first = wf_token_enter(batch, instance, NULL, NULL, def->start, NULL, is_scope ? 0 : visit);

	if (is_scope)
		first->memory.first_inside = visit;
}

WfInstance *
wf_engine_start(WfBatch *batch, const WfStart *start)
{
	WfInstance	 *instance = wf_batch_new_instance(batch, start->process, start->instance);
	WfDefinition *def = start->process->def;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	instance->business_key = start->business_key;
	instance->attachment = start->attachment;
	if (start->suspended)
		instance->status = WF_STATUS_SUSPENDED;
	if (start->data != NULL)
		instance->data = JB_ROOT_COUNT(def->data) == 0 ? start->data : wf_jsonb_merge(def->data, start->data);
	wf_data_require_fit(instance->data);
	MemoryContextSwitchTo(old);
	enter_start(batch, instance, start->visit);
	wf_agenda_run(batch, instance);
	return instance;
}

/* ---- answers ---- */

void
wf_engine_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	if (visit->ended)
		return;
	wf_answer_keep_cookies(batch, visit, answer);
	if (visit->state == WF_STATE_CANCELLING)
		wf_interrupt_answer(batch, visit, answer);
	else if (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING)
		wf_answer_apply(batch, visit, answer);
	else
		return;
	wf_agenda_run(batch, visit->instance);
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

void
wf_engine_fail(WfBatch *batch, WfVisit *visit, const WfFault *fault, WfFailing failing)
{
	if (visit->ended || visit->state == WF_STATE_INCIDENT)
		return;
	if (failing == WF_FAIL_ACTION && wf_has_accepted(visit) && visit->state != WF_STATE_CANCELLING)
	{
		wf_state_keep_callback(batch, visit);
		return;
	}
	/* what could not be interrupted in a scope is tried again, after a while */
	if (wf_state_is_phase(visit, WF_CANCEL_INSIDE))
	{
		wf_state_postpone(batch, visit, TimestampTzPlusMilliseconds(batch->now, INSIDE_PAUSE_MS));
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

void
wf_engine_set_data(WfBatch *batch, WfInstance *instance, Jsonb *changes)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *data;

	data = wf_jsonb_merge(instance->data, changes);
	wf_data_require_fit(data);
	wf_data_replace(instance, data);
	MemoryContextSwitchTo(old);
}

/* ---- callbacks ---- */

static const char *
hint_for_callback(const WfVisit *visit)
{
	if (wf_state_is_scope(visit))
		return "It ends with the steps in it: complete those, see the view workflow.waiting.";
	if (visit->waits_for == WF_WAITS_FOR_JOIN)
		return "It waits for other tokens to join it.";
	return "A step takes callbacks if it has \"wait\": true.";
}

static void
refuse_callback(WfVisit *visit)
{
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " does not wait for a callback", visit->instance->id,
				   visit->id),
			errdetail("It is in state \"%s\" at step \"%s\".", wf_state_name(visit->state), visit->step),
			errhint("%s", hint_for_callback(visit)));
}

/*
 * Does the visit take a callback? Any incident can be completed by hand, whatever its step waits
 * for.
 */
bool
wf_engine_takes_callback(const WfVisit *visit)
{
	return visit->state == WF_STATE_INCIDENT ||
		   (visit->def != NULL && !wf_scope_stands(visit) && wf_step_waits_for(visit->def) == WF_EVENT_CALLBACK);
}

/*
 * Is a callback too late for an incident? It is if the service has called back before, or was asked
 * to stop. An administrator may still complete the former by hand; for the latter there is skip.
 */
static bool
is_late_for_incident(const WfVisit *visit, bool by_hand)
{
	bool called_back = visit->docs.callback != NULL || visit->docs.callback_error != NULL;

	/* one that stands at a join has called nobody yet */
	bool asked = wf_action_has_sent_cancel(visit) && !wf_scope_stands(visit);

	return asked || (called_back && !by_hand);
}

bool
wf_engine_callback(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error, bool by_hand)
{
	if (wf_has_accepted(visit))
		return false;
	/* what is around it ends, and has not come to it yet */
	if (wf_state_is_ending(visit) && visit->state != WF_STATE_CANCELLING)
		return false;
	if (!wf_engine_takes_callback(visit))
		refuse_callback(visit);
	if (visit->state == WF_STATE_INCIDENT && is_late_for_incident(visit, by_hand))
		return false;
	if (visit->state == WF_STATE_INCIDENT)
		wf_state_resolve_incident(batch, visit);

	wf_state_accept(batch, visit, data, error);
	if (visit->state == WF_STATE_CANCELLING)
		wf_interrupt_callback(batch, visit);
	else if (visit->suspended || wf_state_may_be_in_flight(visit))
		wf_state_keep_callback(batch, visit);
	else
		wf_push(batch, visit, WF_HAPPEN);
	wf_agenda_run(batch, visit->instance);
	return true;
}

bool
wf_engine_wanted(const WfVisit *visit)
{
	if (visit->state == WF_STATE_INCIDENT && is_late_for_incident(visit, false))
		return false;
	return wf_state_is_open(visit) && !wf_state_is_ending(visit);
}

bool
wf_engine_heartbeat(WfBatch *batch, WfVisit *visit, Jsonb *progress)
{
	if (visit->state != WF_STATE_INCIDENT && (wf_state_is_scope(visit) || wf_scope_stands(visit)))
		refuse_callback(visit);
	if (!wf_engine_wanted(visit))
		return false;
	if (visit->state == WF_STATE_WAITING && visit->clocks.heartbeat_deadline != 0)
	{
		wf_clock_listen(batch, visit);
		visit->changed = true;
	}
	if (progress != NULL)
	{
		visit->progress = progress;
		visit->changed = true;
	}
	return true;
}

void
wf_engine_extend(WfBatch *batch, WfVisit *visit, TimestampTz deadline)
{
	visit->clocks.deadline = deadline;
	visit->changed = true;
}

/* ---- clocks ---- */

/* Has the visit's due time come, as of this batch? */
static bool
is_due_visit(WfBatch *batch, WfVisit *visit)
{
	return !visit->ended && visit->due_at != 0 && visit->due_at <= batch->now;
}

void
wf_engine_due(WfBatch *batch, WfVisit *visit)
{
	if (!is_due_visit(batch, visit) || visit->suspended)
		return;
	if (visit->state == WF_STATE_CANCELLING)
		wf_interrupt_due(batch, visit);
	else if (wf_has_accepted(visit))
		wf_push(batch, visit, WF_HAPPEN);
	/* A loop that was cut, or a resumed visit, goes on. */
	else if (visit->state == WF_STATE_READY)
		wf_push(batch, visit, WF_BEGIN);
	/* what is around it ends, and has not come to it yet */
	else if (wf_state_is_ending(visit))
		wf_push_interrupt(batch, visit, WF_OUTCOME_CANCELLED, wf_token_ending_error(batch, visit));
	else if (visit->state == WF_STATE_WAITING && visit->waits_for != WF_WAITS_FOR_NOTHING &&
			 visit->waits_for != WF_WAITS_FOR_CALLBACK)
	{
		wf_state_strike(visit);
		wf_push(batch, visit, WF_HAPPEN);
	}
	else
		return;
	wf_agenda_run(batch, visit->instance);
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
	while ((entry = wf_clock_next_handler(visit, until)) >= 0)
	{
		wf_clock_begin_handler(visit, entry);
		wf_handler_begin(batch, visit, entry);
		wf_agenda_run(batch, visit->instance);
		if (is_interrupted(visit))
			return false;
	}
	return true;
}

/* A timer has come: that of a handler, of the timeout, of the heartbeat, or of the warning. */
void
wf_engine_alarm(WfBatch *batch, WfVisit *visit)
{
	WfFault		  fault = {.code = "TIMED_OUT", .message = "the step's timeout has passed"};
	WfOutcome	  outcome = WF_OUTCOME_TIMED_OUT;
	MemoryContext old;

	if (visit->ended || visit->suspended || wf_has_accepted(visit) || visit->state == WF_STATE_INCIDENT ||
		wf_state_is_ending(visit))
		return;
	if (!outlives_handlers(batch, visit))
		return;
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
		outcome = WF_OUTCOME_DIED;
		fault.code = "DIED";
		fault.message = "nothing was heard of the outside for longer than the step's heartbeat";
	}
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
wf_engine_suspend(WfBatch *batch, WfInstance *instance)
{
	wf_suspend(batch, instance);
}

void
wf_engine_resume(WfBatch *batch, WfInstance *instance)
{
	wf_resume(batch, instance);
}

void
wf_engine_retry(WfBatch *batch, WfVisit *visit, bool new_key)
{
	wf_state_resolve_incident(batch, visit);
	wf_state_begin_again(visit);
	if (new_key)
		wf_batch_make_key(&visit->key);
	wf_push(batch, visit, WF_BEGIN);
	wf_agenda_run(batch, visit->instance);
}

void
wf_engine_skip(WfBatch *batch, WfVisit *visit, Jsonb *data)
{
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
