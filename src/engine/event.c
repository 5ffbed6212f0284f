/*
 * event.c
 *		What has happened to a visit, as its templates see it.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "engine/event.h"
#include "model/event_document.h"

static const char *const kind_names[] = {
	[WF_EVENT_CALLBACK] = "callback",	[WF_EVENT_AFTER] = "after",			  [WF_EVENT_UNTIL] = "until",
	[WF_EVENT_EVERY] = "every",			[WF_EVENT_MESSAGE] = "message",		  [WF_EVENT_SIGNAL] = "signal",
	[WF_EVENT_CONDITION] = "condition", [WF_EVENT_ESCALATION] = "escalation", [WF_EVENT_TASK] = "task",
	[WF_EVENT_TOPIC] = "topic",
};

const char *
wf_event_kind_name(WfEventKind kind)
{
	return kind_names[kind];
}

WfEventKind
wf_event_kind_from_name(const char *name)
{
	for (int i = 0; i < lengthof(kind_names); i++)
		if (kind_names[i] != NULL && strcmp(kind_names[i], name) == 0)
			return (WfEventKind) i;
	return WF_EVENT_NONE;
}

static const WfWaitsFor waits_for[] = {
	[WF_EVENT_CALLBACK] = WF_WAITS_FOR_CALLBACK, [WF_EVENT_MESSAGE] = WF_WAITS_FOR_MESSAGE,
	[WF_EVENT_SIGNAL] = WF_WAITS_FOR_SIGNAL,	 [WF_EVENT_CONDITION] = WF_WAITS_FOR_CONDITION,
	[WF_EVENT_TASK] = WF_WAITS_FOR_TASK,		 [WF_EVENT_TOPIC] = WF_WAITS_FOR_TOPIC,
	[WF_EVENT_AFTER] = WF_WAITS_FOR_AFTER,		 [WF_EVENT_UNTIL] = WF_WAITS_FOR_UNTIL,
};

WfWaitsFor
wf_event_waits_for(WfEventKind kind)
{
	return waits_for[kind];
}

Jsonb *
wf_event_document(const WfInstance *instance, const WfHappening *happening)
{
	return wf_event_document_make(&(WfEventDocument){.kind = kind_names[happening->kind],
													 .name = happening->name,
													 .key = happening->key,
													 .data = happening->data,
													 .role = happening->role,
													 .person = happening->person,
													 .has_person = happening->kind == WF_EVENT_TASK,
													 .at = happening->at,
													 .timezone = instance->process->timezone});
}

Jsonb *
wf_event_of_clock(const WfVisit *visit, int entry)
{
	WfHappening happening = {.kind = visit->def->entries[entry].event.kind,
							 .at = visit->clocks.clock_times != NULL ? visit->clocks.clock_times[entry] : 0};

	return wf_event_document(visit->instance, &happening);
}

Jsonb *
wf_event_of(const WfVisit *visit, TimestampTz now)
{
	WfHappening callback = {.kind = WF_EVENT_CALLBACK, .at = now};

	if (!wf_has_accepted(visit))
		return NULL;
	if (visit->accepted != WF_ACCEPTED_CALLBACK)
		return visit->docs.event != NULL ? visit->docs.event : wf_event_of_clock(visit, visit->accepted - 1);
	callback.data = visit->docs.callback;
	callback.role = visit->completed_by;
	return wf_event_document(visit->instance, &callback);
}

char *
wf_event_name(Jsonb *event)
{
	return wf_jsonb_get_text(event, "name");
}

int
wf_event_entry(const WfVisit *visit)
{
	if (!wf_has_accepted(visit))
		return -1;
	return visit->accepted == WF_ACCEPTED_CALLBACK ? wf_step_callback_entry(visit->def) : visit->accepted - 1;
}

bool
wf_event_leads_on(const WfVisit *visit)
{
	const WfStep *def = visit->def;

	if (def == NULL || !def->first_of || wf_step_callback_entry(def) >= 0)
		return true;
	for (int i = 0; i < def->nwaits; i++)
		if (def->entries[i].event.when == NULL)
			return false;
	return true;
}

/* Has an event ended the wait of the visit? A callback that confirms its cancel is none. */
static bool
ended_wait(const WfVisit *visit)
{
	return wf_has_accepted(visit) &&
		   (visit->cancel.outcome == WF_OUTCOME_NONE || visit->cancel.outcome == WF_OUTCOME_SUCCESS);
}

Jsonb *
wf_event_told(const WfVisit *visit, TimestampTz now)
{
	return ended_wait(visit) ? wf_event_of(visit, now) : visit->docs.event;
}

bool
wf_event_in_result(const WfVisit *visit)
{
	if (!ended_wait(visit) && visit->docs.event != NULL)
		return true;
	return visit->def != NULL && (visit->def->first_of || wf_is_subscribed(wf_step_waits_for(visit->def)));
}

static Jsonb *
without_data(Jsonb *event)
{
	return DatumGetJsonbP(
		DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(event), PointerGetDatum(cstring_to_text("data"))));
}

Jsonb *
wf_event_of_result(const WfVisit *visit, TimestampTz now)
{
	Jsonb *event = wf_event_in_result(visit) ? wf_event_told(visit, now) : NULL;

	return event != NULL && ended_wait(visit) ? without_data(event) : event;
}

Jsonb *
wf_event_caught(WfVisit *visit, TimestampTz now)
{
	return wf_caught(visit, wf_event_told(visit, now));
}
