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

static const WfDeliveryKind kinds[] = {
	{WF_DELIVERY_REPLY, true, apply_reply},
	{WF_DELIVERY_ALARM, false, apply_alarm},
};

const WfDeliveryKind *
wf_delivery_kind(const char *name)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}
