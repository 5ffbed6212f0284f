/*
 * notice.h
 *		What instances tell each other of calls: a child its caller that it has ended or escalates, a caller its child
 *		that it is cancelled, suspended or resumed.
 *
 * Notices are kept in the batch, and become deliveries when it is flushed, in their order. Those to a caller are for
 * the visit that has called, and stand in line with all else that waits for its instance (kinds `ended` and
 * `escalation`). Those to a child (kind `control`) are orders, as an operator gives them: they reach an instance that is
 * suspended, and overtake what waits for it; an executor carries them out, one after the other.
 */
#ifndef WF_NOTICE_H
#define WF_NOTICE_H

#include "postgres.h"

#include "store/batch.h"
#include "store/delivery.h"

typedef enum WfOrder
{
	WF_ORDER_CANCEL,
	WF_ORDER_SUSPEND,
	WF_ORDER_RESUME,
} WfOrder;

/* How an instance has ended that was called. */
typedef struct WfEnded
{
	int64	  child;
	WfOutcome outcome; /* SUCCESS, FAILED or CANCELLED */
	Jsonb	 *data;	   /* of a success */
	Jsonb	 *error;   /* else */
	int		  steps;   /* without a wait that its last token had made */
} WfEnded;

typedef struct WfEscalation
{
	int64		child;
	const char *code;
	Jsonb	   *data; /* NULL: none */
	int			steps;
	TimestampTz at;
} WfEscalation;

/* Give notice to the visit of a caller, whose instance and number these are. */
extern void wf_notice_ended(WfBatch *batch, int64 instance, int64 visit, const WfEnded *ended);
extern void wf_notice_escalation(WfBatch *batch, int64 instance, int64 visit, const WfEscalation *escalation);
/* Give a child an order; `reason` may be NULL. */
extern void wf_notice_order(WfBatch *batch, int64 child, WfOrder order, const char *reason);

/* Write the notices of the batch, and leave the wake-ups. To be called inside wf_store_enter, as is all of the rest. */
extern void wf_notices_flush(WfBatch *batch);

extern void wf_notice_read_ended(Jsonb *payload, WfEnded *ended);
extern void wf_notice_read_escalation(Jsonb *payload, WfEscalation *escalation);

/* The first order that waits for an instance: its number and itself, in CurrentMemoryContext. Returns 0 if there is none. */
extern int64 wf_notice_first_order(int64 child, WfOrder *order, char **reason);

#endif
