/*
 * moves.h
 *		Jobs of workers: moves made in transactions of their own, narrowed down when one of them fails.
 */
#ifndef WF_MOVES_H
#define WF_MOVES_H

#include "postgres.h"

#include "engine/engine.h"
#include "http/http.h"
#include "worker/delivery_kinds.h"

typedef enum WfJobKind
{
	WF_JOB_REPLY,	 /* an HTTP reply, as it came */
	WF_JOB_DELIVERY, /* what had to wait: `delivery` and its `payload` */
	WF_JOB_DUE,
	WF_JOB_ALARM,
	WF_JOB_FAIL, /* it cannot be done: `fault` */
} WfJobKind;

typedef enum WfVerdictOfJob
{
	WF_JOB_DONE,
	WF_JOB_GONE,		/* the visit had ended, or is not there */
	WF_JOB_LOCKED,		/* somebody else holds the instance, or others come first; what arrived waits as a delivery */
	WF_JOB_SUSPENDED,	/* the instance is suspended; what arrived waits as a delivery */
	WF_JOB_UNMOVED,		/* it was not its time */
	WF_JOB_HANDED_OVER, /* it took too long: an executor does it */
	WF_JOB_SHORT,		/* for want of something nothing has happened: to be tried again after pause_ms */
	WF_JOB_STUCK,		/* not even an incident could be made of it; logged */
} WfVerdictOfJob;

typedef struct WfJob
{
	WfJobKind			  kind;
	int64				  instance;
	int64				  visit;
	const WfHttpReply	 *reply;
	int64				  delivery; /* row to delete when done; 0: none */
	const WfDeliveryKind *deliver;	/* what it does */
	Jsonb				 *payload;	/* with what */
	WfFault				  fault;
	WfFailing			  broken; /* what of it */

	WfVerdictOfJob verdict;
	bool		   awaits;	 /* the visit still wants what its request will bring */
	bool		   slow;	 /* of a process that was too slow: for an executor, untried */
	bool		   deferred; /* it was too much beside others, and is carried out alone */
	bool		   behind;	 /* deliveries wait for its instance: it becomes one behind them */
	bool		   retried;	 /* a pause before the next attempt has begun */
	WfLack		   lack;	 /* of WF_JOB_SHORT: of what */
	int			   pause_ms; /* likewise */
} WfJob;

/*
 * Carry out all jobs, outside a transaction, in one transaction if all goes well. Deliveries of an instance stand one behind the other, in
 * order: none is applied as long as one before it waits. `limit_ms`: longest time for it; 0:
 * none. What fails is tried alone, then becomes an incident, if that was its own fault; with `hand_over` what takes too long
 * goes to an executor.
 */
extern void wf_moves_run(WfJob *jobs, int n, int limit_ms, bool hand_over);

/* Is it as it was, and to be tried again? */
static inline bool
wf_job_is_undone(const WfJob *job)
{
	return job->verdict == WF_JOB_LOCKED || job->verdict == WF_JOB_SHORT || job->verdict == WF_JOB_STUCK;
}

#endif
