/*
 * event_delivery.h
 *		Messages and signals on the way to an instance: deliveries of the kind `event`.
 *
 * Such a delivery has all that its receiver gets. A message that is to be kept, or whose message_id is to be
 * remembered, has its row meanwhile (kept.h).
 */
#ifndef WF_EVENT_DELIVERY_H
#define WF_EVENT_DELIVERY_H

#include "postgres.h"

#include "store/kept.h"
#include "store/receivers.h"

typedef struct WfEventDelivery
{
	bool	  signal; /* else a message */
	WfMessage message;
	int64	  subscription;
	int		  entry;	  /* of the step of the visit */
	int		  process_id; /* of which it starts an instance; 0: it is for a visit */
	bool	  held;		  /* it has waited for the end of a suspension */
} WfEventDelivery;

/*
 * Add a delivery for each of these, behind those that wait for its instance, and leave the wake-ups. To be
 * called inside wf_store_enter, as are all of the following.
 */
extern void	  wf_event_deliveries_add(bool signal, const WfMessage *message, const WfReceiver *receivers, int n);
extern size_t wf_event_delivery_bytes(const WfMessage *message); /* about how large each is */

/* What such a delivery has, in CurrentMemoryContext. */
extern Jsonb *wf_event_delivery_payload(bool signal, const WfMessage *message, const WfReceiver *receiver);

extern void wf_event_delivery_read(Jsonb *payload, WfEventDelivery *delivery);

/*
 * Has the time of the message run out while its receiver was suspended? One that is only late, since its
 * receiver was busy, is delivered.
 */
extern bool wf_event_delivery_expired(const WfEventDelivery *delivery, TimestampTz now);
/* It was delivered, or has made its visit fail. */
extern void wf_event_delivery_done(const WfEventDelivery *delivery);
/* Nobody waits there any more, or it has expired: it is kept for the rest of its time. */
extern void wf_event_delivery_refused(const WfEventDelivery *delivery, TimestampTz now);

#endif
