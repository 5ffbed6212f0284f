/*
 * delivery_kinds.h
 *		The kinds of deliveries that are for instances, and what each of them does there.
 */
#ifndef WF_DELIVERY_KINDS_H
#define WF_DELIVERY_KINDS_H

#include "postgres.h"

#include "engine/engine.h"
#include "store/delivery.h"
#include "store/event_delivery.h"

typedef struct WfDeliveryKind
{
	const char *name;
	bool		keeps_in_flight; /* the dispatcher has the visit in flight until the delivery is applied */
	/* Apply the payload to a living visit, inside wf_store_enter, with the instance locked and not suspended. */
	void (*apply)(WfBatch *batch, WfVisit *visit, Jsonb *payload);
	/* The same for a kind that is for the living instance as a whole, with visit 0; then `apply` is NULL. */
	void (*apply_whole)(WfBatch *batch, WfInstance *instance, Jsonb *payload);
	/* The visit has gone, or was made to fail instead. NULL: then nothing has to be done. */
	void (*gone)(WfBatch *batch, Jsonb *payload);
	void (*failed)(WfBatch *batch, Jsonb *payload);
} WfDeliveryKind;

/* The instance for which a delivery of this kind is as a whole, if it is in the batch and lives; NULL: none. */
extern WfInstance *wf_delivery_whole(WfBatch *batch, const WfDeliveryKind *kind, int64 instance);

/* Apply a delivery of such a kind, with the instance locked and the visit loaded, as far as they are there. */
extern void wf_delivery_apply(WfBatch *batch, const WfDelivery *delivery);

/* Find a kind by its name, as rows store it. NULL: such deliveries are for no instance (write-backs, upkeep). */
extern const WfDeliveryKind *wf_delivery_kind(const char *name);

/*
 * Bring a message or signal to a visit, as deliveries of that kind do. Its entry is that of the very wait for which it is
 * meant, or -1 if that does not stand any more: an incident that is tried again waits anew, for what comes after that.
 */
extern void wf_event_bring(WfBatch *batch, WfVisit *visit, const WfEventDelivery *event);

#endif
