/*
 * control.c
 *		What comes from outside a token's own path: starts, callbacks, and what operators do.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/internal.h"

WfInstance *
wf_engine_start(WfBatch *batch, const WfStart *start)
{
	WfInstance *instance = wf_batch_new_instance(batch, start->process, start->instance);
	WfDefinition *def = start->process->def;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	instance->business_key = start->business_key;
	instance->attachment = start->attachment;
	if (start->suspended)
		instance->status = WF_STATUS_SUSPENDED;
	if (start->data != NULL)
		instance->data = JB_ROOT_COUNT(def->data) == 0 ? start->data
													   : wf_jsonb_merge(def->data, start->data);
	wf_data_require_fit(instance->data);
	MemoryContextSwitchTo(old);
	wf_move_on(batch, instance, wf_move_enter(batch, instance, def->start, NULL, start->visit));
	return instance;
}

static void
refuse_callback(WfVisit *visit)
{
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " does not wait for a callback",
				   visit->instance->id, visit->id),
			errdetail("It is in state \"%s\" at step \"%s\".", wf_state_name(visit->state),
					  visit->step),
			errhint("A step takes callbacks if it has \"wait\": true."));
}

/* The dispatcher may have its request in flight: it alone knows, so it ends the visit. */
static bool
may_be_in_flight(WfVisit *visit)
{
	return visit->queue != NULL &&
		   (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_READY ||
			visit->state == WF_STATE_RETRYING);
}

/* An incident can be completed by hand, whatever its step waits for. */
bool
wf_engine_takes_callback(const WfVisit *visit)
{
	return visit->state == WF_STATE_INCIDENT ||
		   (visit->def != NULL && visit->def->wait.kind == WF_EVENT_CALLBACK);
}

/*
 * The service of an incident has said its word already, or was asked to stop: then what it says is late. A person may still
 * put the former right by completing it; for the latter there is skip.
 */
static bool
is_late_for_incident(const WfVisit *visit, bool by_hand)
{
	bool		called_back = visit->callback != NULL || visit->callback_error != NULL;

	return wf_cancel_has_asked(visit) || (called_back && !by_hand);
}

bool
wf_engine_callback(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error, bool by_hand)
{
	if (visit->has_callback)
		return false;
	if (!wf_engine_takes_callback(visit))
		refuse_callback(visit);
	if (visit->state == WF_STATE_INCIDENT && is_late_for_incident(visit, by_hand))
		return false;
	if (visit->state == WF_STATE_INCIDENT)
		wf_state_mend(batch, visit);

	visit->callback = data;
	visit->callback_error = error;
	wf_state_completed_by(batch, visit);
	batch->makes_due = true; /* a `true` must not be lost */
	if (visit->state == WF_STATE_CANCELLING)
	{
		wf_move_on(batch, visit->instance, wf_cancel_callback(batch, visit));
		return true;
	}
	if (visit->held || may_be_in_flight(visit))
	{
		wf_state_keep_callback(batch, visit);
		return true;
	}
	visit->has_callback = true;
	visit->changed = true;
	wf_move_on(batch, visit->instance, wf_outcome_callback(batch, visit));
	return true;
}

/* What it has been given may be more than a row can hold. */
static void
drop_documents(WfVisit *visit)
{
	visit->reply = NULL;
	visit->callback = NULL;
	visit->callback_error = NULL;
	visit->cancel_response = NULL;
	visit->docs_changed = true;
	visit->changed = true;
}

void
wf_engine_break(WfBatch *batch, WfVisit *visit, const WfFault *fault, WfBreak broken)
{
	WfVisit    *next;

	if (visit->ended || visit->state == WF_STATE_INCIDENT)
		return;
	if (broken == WF_BREAK_ACTION && visit->has_callback && visit->state != WF_STATE_CANCELLING)
	{
		wf_state_keep_callback(batch, visit);
		return;
	}
	if (broken == WF_BREAK_BARE)
		drop_documents(visit);
	if (wf_cancel_is_asking(visit))
		next = wf_cancel_answer(batch, visit, &(WfAnswer){.fault = *fault});
	else
		next = wf_outcome_fault(batch, visit, fault);
	wf_move_on(batch, visit->instance, next);
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
	Jsonb	   *data;

	data = wf_jsonb_merge(instance->data, changes);
	wf_data_require_fit(data);
	wf_data_replace(instance, data);
	MemoryContextSwitchTo(old);
}

/* Why a visit is CANCELLED; NULL or "": no reason was given. */
Jsonb *
wf_control_cancel_error(WfBatch *batch, const char *reason)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfFault		why = {.code = "CANCELLED", .message = reason != NULL && *reason != '\0' ? reason : NULL};
	Jsonb	   *error = wf_engine_error(&why, 0);

	MemoryContextSwitchTo(old);
	return error;
}

/* Steps that ignore it go on; told again, what can only be mended by hand is given up. */
static bool
is_cancelled(const WfVisit *visit, bool again)
{
	if (visit->ended)
		return false;
	if (again)
		return visit->state == WF_STATE_INCIDENT;
	return visit->def == NULL || !visit->def->ignore_cancel;
}

void
wf_engine_cancel(WfBatch *batch, WfInstance *instance, const char *reason)
{
	wf_control_stop(batch, instance, reason, NULL);
}

/* Cancel what lives in it; when nothing does any more it is aborted, with that error, or with one that says the reason. */
void
wf_control_stop(WfBatch *batch, WfInstance *instance, const char *reason, Jsonb *error)
{
	bool		again = instance->cancel_reason != NULL;
	List	   *visits;
	ListCell   *lc;

	wf_batch_load_all_visits(batch, instance);
	if (instance->status == WF_STATUS_SUSPENDED)
		wf_engine_resume(batch, instance);
	if (again)
		reason = instance->cancel_reason;
	else
	{
		instance->cancel_reason = MemoryContextStrdup(batch->context, reason != NULL ? reason : "");
		instance->error = error;
	}
	instance->changed = true;
	visits = list_copy(instance->visits);
	foreach (lc, visits)
	{
		WfVisit    *visit = lfirst(lc);

		if (is_cancelled(visit, again))
			wf_engine_cancel_visit(batch, visit, reason);
	}
}

/* What was accepted as the end of a visit stays its end. */
void
wf_engine_cancel_visit(WfBatch *batch, WfVisit *visit, const char *reason)
{
	WfVisit    *next;

	if (visit->state == WF_STATE_CANCELLING)
		return;
	if (visit->has_callback && (visit->held || may_be_in_flight(visit)))
		return; /* once the reply is there, or nothing is known to be under way */
	if (visit->has_callback)
		next = wf_outcome_callback(batch, visit);
	else
		next = wf_cancel_visit(batch, visit, WF_OUTCOME_CANCELLED, wf_control_cancel_error(batch, reason));
	wf_move_on(batch, visit->instance, next);
}

void
wf_engine_suspend(WfBatch *batch, WfInstance *instance)
{
	ListCell   *lc;

	if (instance->status == WF_STATUS_SUSPENDED)
		return;
	wf_batch_load_all_visits(batch, instance);
	foreach (lc, instance->visits)
		wf_state_hold(batch, lfirst(lc), true);
	instance->status = WF_STATUS_SUSPENDED;
	instance->changed = true;
	instance->show_changed = true;
}

/* Clocks that fell due meanwhile are due; silence begins to count anew. */
void
wf_engine_resume(WfBatch *batch, WfInstance *instance)
{
	ListCell   *lc;

	if (instance->status != WF_STATUS_SUSPENDED)
		return;
	wf_batch_load_all_visits(batch, instance);
	foreach (lc, instance->visits)
	{
		WfVisit    *visit = lfirst(lc);

		wf_state_hold(batch, visit, false);
		if (visit->state == WF_STATE_WAITING && visit->def != NULL && !visit->has_callback)
			wf_wait_listen(batch, visit);
	}
	instance->status = instance->incidents > 0 ? WF_STATUS_FAILED : WF_STATUS_ACTIVE;
	instance->changed = true;
	instance->show_changed = true;
	batch->makes_due = true;
}

bool
wf_engine_wanted(const WfVisit *visit)
{
	bool		cancelled = visit->instance->cancel_reason != NULL &&
						 (visit->def == NULL || !visit->def->ignore_cancel);

	if (visit->state == WF_STATE_INCIDENT && is_late_for_incident(visit, false))
		return false;
	return !visit->ended && !visit->has_callback && visit->state != WF_STATE_CANCELLING && !cancelled;
}

bool
wf_engine_heartbeat(WfBatch *batch, WfVisit *visit, Jsonb *progress)
{
	if (!wf_engine_wanted(visit))
		return false;
	if (visit->state == WF_STATE_WAITING && visit->silence_at != 0)
	{
		wf_wait_listen(batch, visit);
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
	visit->deadline = deadline;
	visit->changed = true;
}

void
wf_engine_retry(WfBatch *batch, WfVisit *visit, bool new_key)
{
	wf_state_mend(batch, visit);
	visit->attempt = 0;
	visit->restless = 0;
	visit->reply = NULL;
	visit->has_reply = false;
	visit->callback = NULL;
	visit->callback_error = NULL;
	visit->has_callback = false;
	visit->completed_by = NULL;
	visit->webhook = false;
	visit->again = true;
	if (new_key)
		wf_batch_make_key(&visit->key);
	wf_move_on(batch, visit->instance, wf_move_begin(batch, visit));
}

void
wf_engine_skip(WfBatch *batch, WfVisit *visit, Jsonb *data)
{
	wf_state_mend(batch, visit);
	visit->callback = data;
	visit->callback_error = NULL;
	wf_state_completed_by(batch, visit);
	visit->has_callback = true;
	visit->skipped = true;
	wf_move_on(batch, visit->instance, wf_outcome_callback(batch, visit));
}

static Jsonb *
moved_error(WfBatch *batch, const char *to)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfFault		why = {.code = WF_CODE_MOVED, .message = psprintf("moved to step \"%s\"", to)};
	Jsonb	   *error = wf_engine_error(&why, 0);

	MemoryContextSwitchTo(old);
	return error;
}

/* Its end is not known yet. */
static bool
can_leave(const WfVisit *visit)
{
	return !visit->ended && !visit->has_callback && visit->state != WF_STATE_CANCELLING;
}

/* The new token comes first, so that the instance does not end for want of one. */
WfVisit *
wf_engine_move(WfBatch *batch, WfInstance *instance, const char *from, int to)
{
	WfVisit    *next = NULL;
	List	   *visits;
	ListCell   *lc;

	wf_batch_load_all_visits(batch, instance);
	visits = list_copy(instance->visits);
	foreach (lc, visits)
	{
		WfVisit    *visit = lfirst(lc);

		if (strcmp(visit->step, from) != 0 || !can_leave(visit))
			continue;
		if (next == NULL)
			next = wf_move_enter(batch, instance, to, visit->caught, 0);
		wf_move_on(batch, instance, wf_cancel_visit(batch, visit, WF_OUTCOME_CANCELLED, moved_error(batch, next->step)));
	}
	if (next != NULL)
		wf_move_on(batch, instance, next);
	return next;
}
