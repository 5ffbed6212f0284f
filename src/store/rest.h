/*
 * rest.h
 *		When an instance rests, for those who are told: see worker/rest.c.
 *
 * An instance rests when nothing of it, nor of those that it has called, is ready, calling, retrying or being cancelled, and
 * nothing is on its way to it; it may wait for the outside, for clocks or for a person, or have ended. Whoever is told is so by a
 * delivery of kind WF_DELIVERY_REST, of which an instance has one, seldom several. Of an instance that is `asked`, every batch that
 * may have brought it to rest adds it; whoever carries it out judges under the lock of the instance. All functions are called
 * inside wf_store_enter.
 */
#ifndef WF_REST_H
#define WF_REST_H

#include "postgres.h"

#include "store/batch.h"
#include "store/delivery.h"

/* Add the deliveries of those instances of the batch that may rest by it, and leave the wake-up. Nearly free if nobody has asked. */
extern void wf_rest_note(WfBatch *batch);
/* Add that of one instance, due at that time, unless it has one. Waits for nobody, as all of these. */
extern void wf_rest_deliver(int64 instance, int process_id, TimestampTz due_at);
/* Carry it out later, and leave the wake-up. */
extern void wf_rest_postpone(const WfDelivery *taken, TimestampTz until);

typedef enum WfRest
{
	WF_RESTS,
	WF_RESTS_NOT,	  /* a batch will look again: the instance, or one that it has called, is `asked` from now on */
	WF_RESTS_PERHAPS, /* it has to be looked at again: somebody holds one that it has called, or something is on its way */
} WfRest;

/* Does the instance rest, which is locked, or has ended? If not, it is `asked`, and so is what it waits for. */
extern WfRest wf_rest_judge(int64 instance);
/* Nobody asks any more. The one that has called it, and asks, is looked at. */
extern void wf_rest_told(int64 instance);

/* How it stands, living or ended; palloc'd. */
typedef struct WfStanding
{
	int			process_id;
	const char *process; /* its name */
	const char *status;
	Jsonb	   *data;
	TimestampTz started_at;
	char	   *traceparent; /* NULL: none was given */
} WfStanding;

/* Returns false if nothing is left of it. */
extern bool wf_rest_read(int64 instance, WfStanding *standing);

#endif
