/*
 * delivery_kinds.c
 *		The kinds of deliveries that are for instances, and what each of them does there.
 */
#include "postgres.h"

#include "store/delivery.h"
#include "store/message.h"
#include "store/row_delivery.h"
#include "worker/delivery_kinds.h"
#include "worker/http_codec.h"

static void
apply_reply(WfBatch *batch, WfVisit *visit, Jsonb *payload)
{
	WfAnswer answer;

	wf_http_decode(payload, &answer);
	wf_engine_answer(batch, visit, &answer);
}

static void
apply_alarm(WfBatch *batch, WfVisit *visit, Jsonb *payload)
{
	wf_engine_alarm(batch, visit);
}

static void
apply_callback(WfBatch *batch, WfVisit *visit, Jsonb *payload)
{
	const char *kind = wf_jsonb_get_text(payload, "kind");
	WfHappening kept = {.kind = kind != NULL ? wf_event_kind_from_name(kind) : WF_EVENT_CALLBACK,
						.data = wf_jsonb_get(payload, "data"),
						.at = batch->now};

	kept.role = wf_jsonb_get_text(payload, "role");
	kept.person = wf_jsonb_get_text(payload, "person");
	(void) wf_engine_kept(batch, visit, &kept);
}

static void
apply_fetched(WfBatch *batch, WfVisit *visit, Jsonb *payload)
{
	wf_engine_fetched(batch, visit);
}

/* ---- messages and signals ---- */

static void
event_gone(WfBatch *batch, Jsonb *payload)
{
	WfEventDelivery delivery;

	wf_event_delivery_read(payload, &delivery);
	wf_message_refused(&delivery, batch->now);
}

/* It has made its visit fail: nobody else gets it. */
static void
event_failed(WfBatch *batch, Jsonb *payload)
{
	WfEventDelivery delivery;

	wf_event_delivery_read(payload, &delivery);
	wf_event_delivery_done(&delivery);
}

void
wf_event_bring(WfBatch *batch, WfVisit *visit, const WfEventDelivery *event)
{
	const WfMessage *message = &event->message;
	WfHappening		 happening = {.kind = event->signal ? WF_EVENT_SIGNAL : WF_EVENT_MESSAGE,
								  .name = message->name,
								  .key = message->key,
								  .data = message->data,
								  .role = message->role_name,
								  .at = message->sent_at,
								  .steps = message->steps};

	if (wf_event_delivery_expired(event, batch->now) || visit->ended || event->entry < 0)
		wf_message_refused(event, batch->now);
	else if (wf_engine_event(batch, visit, event->entry, &happening))
		wf_event_delivery_done(event);
	else
	{
		/* what is around it ends: nothing more is brought there, else the same message were brought again and again */
		wf_receiver_close(event->subscription);
		wf_message_refused(event, batch->now);
	}
}

static void
apply_event(WfBatch *batch, WfVisit *visit, Jsonb *payload)
{
	WfEventDelivery event;

	wf_event_delivery_read(payload, &event);
	if (!wf_receiver_waits(event.subscription, &event.entry))
		event.entry = -1;
	wf_event_bring(batch, visit, &event);
}

/* ---- of instances that were called ---- */

static void
apply_ended(WfBatch *batch, WfVisit *visit, Jsonb *payload)
{
	WfEnded ended;

	wf_notice_read_ended(payload, &ended);
	wf_engine_ended(batch, visit, &ended);
}

static void
apply_escalation(WfBatch *batch, WfVisit *visit, Jsonb *payload)
{
	WfEscalation escalation;

	wf_notice_read_escalation(payload, &escalation);
	wf_engine_escalated(batch, visit, &escalation);
}

/* ---- of attached rows ---- */

static void
apply_row(WfBatch *batch, WfInstance *instance, Jsonb *payload)
{
	Jsonb  *changes = wf_row_delivery_changes(payload);
	WfFault fault = {0};

	if (changes == NULL)
		wf_engine_cancel(batch, instance, WF_ROW_DELETED);
	else if (!wf_engine_try_data(batch, instance, changes, &fault))
		ereport(
			WARNING, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg(
				"workflow could not merge what has changed in the row with key %s into the data of instance " INT64_FORMAT
				": %s",
				instance->business_key, instance->id, fault.message),
			errhint("Keep large documents in tables of their own, and their keys in the row."));
}

static const WfDeliveryKind kinds[] = {
	{.name = WF_DELIVERY_REPLY, .keeps_in_flight = true, .apply = apply_reply},
	{.name = WF_DELIVERY_ALARM, .apply = apply_alarm},
	{.name = WF_DELIVERY_CALLBACK, .apply = apply_callback},
	{.name = WF_DELIVERY_FETCHED, .apply = apply_fetched},
	{.name = WF_DELIVERY_ENDED, .apply = apply_ended},
	{.name = WF_DELIVERY_ESCALATION, .apply = apply_escalation},
	{.name = WF_DELIVERY_ROW, .apply_whole = apply_row},
	{.name = WF_DELIVERY_EVENT, .apply = apply_event, .gone = event_gone, .failed = event_failed},
};

WfInstance *
wf_delivery_whole(WfBatch *batch, const WfDeliveryKind *kind, int64 instance)
{
	WfInstance *whole = kind->apply_whole != NULL ? wf_batch_instance(batch, instance) : NULL;

	return whole != NULL && !whole->ended ? whole : NULL;
}

const WfDeliveryKind *
wf_delivery_kind(const char *name)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

void
wf_delivery_apply(WfBatch *batch, const WfDelivery *delivery)
{
	const WfDeliveryKind *kind = wf_delivery_kind(delivery->kind);
	WfVisit				 *visit = wf_batch_visit(batch, delivery->instance, delivery->visit);
	WfInstance			 *whole = wf_delivery_whole(batch, kind, delivery->instance);

	if (whole != NULL)
		kind->apply_whole(batch, whole, delivery->payload);
	else if (visit != NULL && !visit->ended)
		kind->apply(batch, visit, delivery->payload);
	else if (kind->gone != NULL)
		kind->gone(batch, delivery->payload);
}
