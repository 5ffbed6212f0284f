/*
 * delivery_kinds.c
 *		The kinds of deliveries that are for instances, and what each of them does there.
 */
#include "postgres.h"

#include "store/delivery.h"
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
	WfHappening callback = {.kind = WF_EVENT_CALLBACK, .data = wf_jsonb_get(payload, "data"), .at = batch->now};
	Jsonb	   *role = wf_jsonb_get(payload, "role");
	JsonbValue	value;

	if (role != NULL && JsonbExtractScalar(&role->root, &value) && value.type == jbvString)
		callback.role = pnstrdup(value.val.string.val, value.val.string.len);
	(void) wf_engine_handler_callback(batch, visit, &callback);
}

static const WfDeliveryKind kinds[] = {
	{WF_DELIVERY_REPLY, true, apply_reply},
	{WF_DELIVERY_ALARM, false, apply_alarm},
	{WF_DELIVERY_CALLBACK, false, apply_callback},
};

const WfDeliveryKind *
wf_delivery_kind(const char *name)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}
