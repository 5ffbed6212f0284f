/*
 * outside.c
 *		Entry points of the engine for outside systems: callbacks, messages and signals, heartbeats.
 *
 * Each checks whether the event still applies to the visit, pushes the operations that follow from
 * it, and runs the agenda to its end.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "debug.h"
#include "engine/engine.h"
#include "engine/handler.h"
#include "engine/interrupt.h"
#include "engine/scope.h"
#include "engine/suspend.h"
#include "engine/token.h"
#include "shmem/wakeups.h"
#include "store/delivery.h"
#include "store/subscription.h"

/* ---- callbacks ---- */

/* So much is looked at of what is kept for a suspended instance. */
#define MOST_KEPT		1000
#define MOST_KEPT_BYTES (4 * 1024 * 1024)

/* The handler that begins by a callback, or -1. */
static int
handler_by_callback(const WfVisit *visit)
{
	return visit->def != NULL ? wf_step_callback_handler(visit->def) : -1;
}

/* The handler that begins by a callback, a task or work, or -1. */
static int
handler_of_kind(const WfVisit *visit, WfEventKind kind)
{
	int entry;

	if (visit->def == NULL || kind == WF_EVENT_CALLBACK)
		return handler_by_callback(visit);
	entry = wf_step_entry(visit->def, kind);
	return entry >= visit->def->nwaits ? entry : -1;
}

/* For what it waits, or in which state it is. */
static const char *
where_it_stands(const WfVisit *visit)
{
	StringInfoData what;

	if (visit->state != WF_STATE_WAITING || visit->def == NULL || wf_scope_stands(visit) || visit->def->nwaits == 0)
		return psprintf("It is in state \"%s\" at step \"%s\".", wf_state_name(visit->state), visit->step);
	initStringInfo(&what);
	for (int i = 0; i < visit->def->nwaits; i++)
	{
		const WfEvent *event = &visit->def->entries[i].event;

		if ((visit->waits_for & wf_event_waits_for(event->kind)) == 0)
			continue;
		appendStringInfo(&what, "%sa %s", what.len > 0 ? " or " : "",
						 wf_is_clock(event->kind) ? "clock" : wf_event_kind_name(event->kind));
		if (event->name != NULL)
			appendStringInfo(&what, " \"%s\"", event->name);
	}
	return psprintf("It waits for %s at step \"%s\".", what.data, visit->step);
}

/* How what it waits for comes about; NULL: by itself. */
static const char *
hint_for_wait(const WfVisit *visit)
{
	if ((visit->waits_for & WF_WAITS_FOR_MESSAGE) != 0)
		return "A message is sent by workflow.send_message.";
	if ((visit->waits_for & WF_WAITS_FOR_SIGNAL) != 0)
		return "A signal is sent by workflow.send_signal.";
	if ((visit->waits_for & WF_WAITS_FOR_TASK) != 0)
		return "A task is done by whoever has it: see the view workflow.tasks.";
	if ((visit->waits_for & WF_WAITS_FOR_CONDITION) != 0)
		return "A condition comes to hold by the data of the instance: workflow.set_data.";
	return NULL;
}

static const char *
hint_for_callback(const WfVisit *visit)
{
	const char *hint = hint_for_wait(visit);

	if (visit->def != NULL && visit->def->action == WF_ACTION_EACH)
		return "It ends with its items: complete those, see the view workflow.waiting.";
	if (wf_state_is_scope(visit))
		return "It ends with the steps in it: complete those, see the view workflow.waiting.";
	if (visit->waits_for == WF_WAITS_FOR_JOIN)
		return "It waits for other tokens to join it.";
	if (wf_state_awaits_child(visit))
		return "It ends with the instance that it has called: see the view workflow.visits.";
	if (visit->state == WF_STATE_INCIDENT)
		return "Its \"first_of\" has no callback that says where to go on: retry it, or move it.";
	if (handler_by_callback(visit) >= 0)
		return "Its handler by a callback begins by workflow.complete.";
	if (hint != NULL)
		return hint;
	if (visit->def != NULL && wf_step_entry(visit->def, WF_EVENT_TASK) >= 0)
		return "Its task is there once its action is done: see the view workflow.tasks.";
	return "A step takes callbacks if it has \"wait\": true.";
}

static void
refuse_callback(WfVisit *visit)
{
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " does not wait for a callback", visit->instance->id,
				   visit->id),
			errdetail("%s", where_it_stands(visit)), errhint("%s", hint_for_callback(visit)));
}

/* Does a callback end the visit, while it lives? Of `first_of` that may be closed. */
static bool
ends_by_callback(const WfVisit *visit)
{
	return visit->def != NULL && !wf_scope_stands(visit) && wf_step_callback_entry(visit->def) >= 0 &&
		   !wf_state_is_phase(visit, WF_CANCEL_TELL) &&
		   (visit->state != WF_STATE_WAITING || (visit->waits_for & (WF_WAITS_FOR_CALLBACK | WF_WAITS_FOR_CALL)) != 0);
}

/*
 * Does the visit take a callback? Any incident can be completed by hand, whatever its step waits
 * for.
 */
bool
wf_engine_takes_callback(const WfVisit *visit)
{
	if (visit->state == WF_STATE_INCIDENT)
		return wf_event_leads_on(visit);
	return ends_by_callback(visit) || handler_by_callback(visit) >= 0;
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

/* It is no end of the visit: only a person who knows of the incident can mean it so. */
static bool
is_for_handler(const WfVisit *visit)
{
	return handler_by_callback(visit) >= 0 && wf_step_callback_entry(visit->def) < 0;
}

/* The callback is the end of the visit, which lives or is an incident. */
static void
accept_callback(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error)
{
	wf_state_accept(batch, visit, data, error);
	if (visit->state == WF_STATE_CANCELLING)
		wf_interrupt_callback(batch, visit);
	else if (wf_state_awaits_action(visit))
		wf_state_keep_for_action(batch, visit);
	else if (visit->suspended || wf_state_may_be_in_flight(visit))
		wf_state_keep_accepted(batch, visit);
	else
		wf_push(batch, visit, WF_HAPPEN);
}

/* The handler for which a callback, a task or work was kept, or -1. */
static int
handler_of_kept(const WfVisit *visit, Jsonb *payload)
{
	const char *kind = wf_jsonb_get_text(payload, "kind");

	return handler_of_kind(visit, kind != NULL ? wf_event_kind_from_name(kind) : WF_EVENT_CALLBACK);
}

/* Is something kept for the time after the suspension whose handler interrupts the visit? What comes after that is too late. */
static bool
is_interrupted_soon(const WfVisit *visit)
{
	WfDelivery *kept;
	int			n;

	if (!visit->suspended || visit->state == WF_STATE_CANCELLING)
		return false;
	n = wf_deliveries_waiting(&visit->instance->id, 1, MOST_KEPT, MOST_KEPT_BYTES, &kept);
	for (int i = 0; i < n; i++)
	{
		int entry;

		if (kept[i].visit != visit->id || strcmp(kept[i].kind, WF_DELIVERY_CALLBACK) != 0)
			continue;
		entry = handler_of_kept(visit, kept[i].payload);
		if (entry >= 0 && visit->def->entries[entry].interrupt)
			return true;
	}
	return false;
}

/* What happens by somebody's call, now. */
static WfHappening
done_by_caller(const WfBatch *batch, WfEventKind kind, Jsonb *data)
{
	return (WfHappening){.kind = kind, .data = data, .role = GetUserNameFromId(batch->caller, false), .at = batch->now};
}

/* Keep it until its turn comes. */
static void
keep_happening(WfBatch *batch, WfVisit *visit, const WfHappening *happening)
{
	WfField payload[] =
		{{.key = "data", .jsonb = happening->data},
		 {.key = "role", .kind = WF_FIELD_TEXT, .text = happening->role},
		 {.key = "kind", .kind = WF_FIELD_TEXT, .text = wf_event_kind_name(happening->kind)},
		 {.key = "person", .kind = WF_FIELD_TEXT, .text = happening->person, .omit = happening->person == NULL}};

	(void) wf_delivery_append(visit->instance->id, visit->id, WF_DELIVERY_CALLBACK,
							  visit->suspended ? WF_QUEUE_SUSPENDED : WF_QUEUE_MOVE, batch->now,
							  wf_jsonb_object(payload, lengthof(payload)));
}

/*
 * What has happened begins a handler. In an instance that is suspended it is brought to it when that is resumed, and it
 * does not overtake what waits for the instance. Returns false if it is too late.
 */
static bool
begin_handler(WfBatch *batch, WfVisit *visit, int entry, const WfHappening *happening)
{
	int64 waiting;

	if (!wf_state_is_open(visit))
		return false;
	if (is_interrupted_soon(visit))
		return false;
	/* a task or work is done once */
	if (wf_is_offered(happening->kind))
		wf_subscription_drop(batch, visit, entry);
	if (visit->suspended || wf_deliveries_have(&visit->instance->id, 1, &waiting) > 0)
		keep_happening(batch, visit, happening);
	else
		wf_handler_begin(batch, visit, entry, wf_event_document(visit->instance, happening), 0);
	batch->needs_sync_commit = true; /* the caller is told `true` */
	return true;
}

/* Bring a callback to a visit that may take it. Returns false if it is too late. */
static bool
bring_callback(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error, bool by_hand)
{
	WfHappening callback = done_by_caller(batch, WF_EVENT_CALLBACK, data);

	if (visit->state == WF_STATE_INCIDENT)
	{
		if (is_late_for_incident(visit, by_hand) || (is_for_handler(visit) && !by_hand))
			return false;
		wf_state_resolve_incident(batch, visit);
	}
	else if (!ends_by_callback(visit) && error == NULL)
		return begin_handler(batch, visit, handler_by_callback(visit), &callback);
	else if (!ends_by_callback(visit))
		refuse_callback(visit);
	else if (visit->def->noffered > 0 && is_interrupted_soon(visit))
		return false;
	accept_callback(batch, visit, data, error);
	return true;
}

bool
wf_engine_callback(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error, bool by_hand)
{
	MemoryContext old;
	bool		  taken;

	if (wf_has_accepted(visit))
		return false;
	/* what is around it ends, and has not come to it yet */
	if (wf_state_is_ending(visit) && visit->state != WF_STATE_CANCELLING)
		return false;
	if (!wf_engine_takes_callback(visit))
		refuse_callback(visit);
	old = MemoryContextSwitchTo(batch->context);
	taken = bring_callback(batch, visit, data, error, by_hand);
	MemoryContextSwitchTo(old);
	if (taken)
		wf_agenda_run(batch, visit->instance);
	return taken;
}

/* ---- other events ---- */

/*
 * May the event of this entry happen now? What ends the visit may come before its action is answered, or is even due.
 */
static bool
may_happen(const WfVisit *visit, int entry, bool was_kept)
{
	if (visit->def == NULL || entry < 0 || entry >= visit->def->nentries || !wf_state_is_open(visit) ||
		visit->state == WF_STATE_INCIDENT || wf_state_is_ending(visit))
		return false;
	if (!was_kept && wf_is_subscribed(visit->def->entries[entry].event.kind) &&
		!wf_subscription_may_be_there(visit, entry))
		return false;
	return entry >= visit->def->nwaits || !wf_scope_stands(visit);
}

static void
end_wait(WfBatch *batch, WfVisit *visit, int entry, const WfHappening *happening, Jsonb *error)
{
	wf_state_accept_event(batch, visit, entry, wf_event_document(visit->instance, happening), happening->role);
	visit->docs.callback_error = error;
	visit->steps_without_wait = Max(visit->steps_without_wait, happening->steps);
	if (wf_state_awaits_action(visit))
		wf_state_keep_for_action(batch, visit);
	else if (visit->suspended || wf_state_may_be_in_flight(visit))
		wf_state_keep_accepted(batch, visit);
	else
		wf_push(batch, visit, WF_HAPPEN);
}

static bool
happen(WfBatch *batch, WfVisit *visit, int entry, const WfHappening *happening, bool was_kept)
{
	MemoryContext old;

	WF_ASSERT(!visit->suspended);
	if (!may_happen(visit, entry, was_kept))
		return false;
	old = MemoryContextSwitchTo(batch->context);
	if (entry < visit->def->nwaits)
		end_wait(batch, visit, entry, happening, NULL);
	else
		wf_handler_begin(batch, visit, entry, wf_event_document(visit->instance, happening), happening->steps);
	batch->needs_sync_commit = true; /* its sender was told so */
	MemoryContextSwitchTo(old);
	wf_agenda_run(batch, visit->instance);
	return true;
}

bool
wf_engine_event(WfBatch *batch, WfVisit *visit, int entry, const WfHappening *happening)
{
	return happen(batch, visit, entry, happening, false);
}

bool
wf_engine_kept(WfBatch *batch, WfVisit *visit, const WfHappening *kept)
{
	int			entry = handler_of_kind(visit, kept->kind);
	WfHappening happening = *kept;

	if (entry < 0)
		return false;
	happening.name = visit->def->entries[entry].event.name;
	return happen(batch, visit, entry, &happening, true);
}

/* ---- tasks and topics ---- */

bool
wf_engine_done(WfBatch *batch, WfVisit *visit, WfEventKind kind, const WfDone *done)
{
	int			  entry = visit->def != NULL ? wf_step_entry(visit->def, kind) : -1;
	WfHappening	  happening = done_by_caller(batch, kind, done->data);
	MemoryContext old;
	bool		  taken = true;

	if (!may_happen(visit, entry, false))
		return false;
	if (entry >= visit->def->nwaits && done->error != NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " does not fail by its %s", visit->instance->id,
					   visit->id, wf_event_kind_name(kind)),
				errdetail("It begins a handler of step \"%s\".", visit->step),
				errhint("Complete it, or leave it: it goes with the visit."));
	happening.person = done->person;
	happening.name = visit->def->entries[entry].event.name;
	old = MemoryContextSwitchTo(batch->context);
	if (entry >= visit->def->nwaits)
		taken = begin_handler(batch, visit, entry, &happening);
	else if (is_interrupted_soon(visit))
		taken = false;
	else
		end_wait(batch, visit, entry, &happening, done->error);
	MemoryContextSwitchTo(old);
	wf_agenda_run(batch, visit->instance);
	return taken;
}

/* ---- whether it is still wanted ---- */

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
