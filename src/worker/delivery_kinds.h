/*
 * delivery_kinds.h
 *		The kinds of deliveries that are for instances, and what each of them does there.
 */
#ifndef WF_DELIVERY_KINDS_H
#define WF_DELIVERY_KINDS_H

#include "postgres.h"

#include "engine/engine.h"

typedef struct WfDeliveryKind
{
	const char *name;
	bool		lands; /* the dispatcher has its visit in flight until it is delivered */
	/* Inside wf_store_enter, with the instance locked and not suspended. `visit` lives. */
	void (*apply)(WfBatch *batch, WfVisit *visit, Jsonb *payload);
} WfDeliveryKind;

/* NULL: it is for no instance, but work of executors. */
extern const WfDeliveryKind *wf_delivery_kind(const char *name);

#endif
