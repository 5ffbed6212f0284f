/*
 * moves.h
 *		Jobs of the dispatcher: moves that are made together in one transaction, or one by one if that fails.
 */
#ifndef WF_MOVES_H
#define WF_MOVES_H

#include "postgres.h"

#include "engine/engine.h"
#include "http/http.h"
#include "worker/delivery_kinds.h"

typedef enum WfJobKind
{
	WF_JOB_REPLY,	 /* handle an HTTP reply that has just come */
	WF_JOB_DELIVERY, /* apply a delivery */
	WF_JOB_DUE,		 /* move a visit whose due time has come */
	WF_JOB_ALARM,	 /* handle a timer of a visit */
	WF_JOB_EVENT,	 /* bring a message or signal that has no delivery */
	WF_JOB_FAIL,	 /* make a visit fail with `fault` */
} WfJobKind;

typedef enum WfVerdictOfJob
{
	WF_JOB_DONE,
	WF_JOB_GONE,		/* the visit had ended */
	WF_JOB_LOCKED,		/* the instance is locked, or deliveries come first; a reply waits as a delivery now */
	WF_JOB_SUSPENDED,	/* the instance is suspended; a reply waits as a delivery now */
	WF_JOB_UNMOVED,		/* nothing had to be done, since the time of the visit had not come */
	WF_JOB_HANDED_OVER, /* an executor does it */
	WF_JOB_SHORT,		/* something was lacking, and nothing has changed: to be tried again after pause_ms */
	WF_JOB_STUCK,		/* not even an incident could be made of the visit; that was logged */
} WfVerdictOfJob;

typedef struct WfJob
{
	WfJobKind			  kind;
	int64				  instance;
	int64				  visit;
	const WfHttpReply	 *reply;	/* of WF_JOB_REPLY */
	int64				  delivery; /* number of the delivery, which is deleted when applied; 0: none */
	const WfDeliveryKind *deliver;	/* its kind */
	Jsonb				 *payload;
	WfEventDelivery		 *event;   /* of WF_JOB_EVENT */
	WfFault				  fault;   /* of WF_JOB_FAIL */
	WfFailing			  failing; /* what has failed with it */
	/* the failure counts as that of an attempt, and goes by `retry` */
	bool attempt;
	bool retryable; /* of an attempt: without `retry.on` it is retried */

	/* set by wf_moves_run */
	WfVerdictOfJob verdict;
	bool		   held;	 /* of WF_JOB_REPLY: the request was a probe that has failed, and counts as no attempt */
	bool		   awaits;	 /* the visit still wants the reply to its request */
	bool		   slow;	 /* its owner's budget is spent, or its process too slow: for an executor, untried */
	bool		   deferred; /* beyond the memory budget of the batch, so that it is carried out alone */
	bool		   behind;	 /* deliveries wait for the instance, so the reply or event becomes one behind them */
	bool		   retried;	 /* a pause before the visit's next attempt has begun */
	WfLack		   lack;	 /* of WF_JOB_SHORT: what was lacking */
	int			   pause_ms; /* of WF_JOB_SHORT: pause before the next try */
} WfJob;

/*
 * Carry out jobs, in one transaction if all goes well, and set their verdicts. To be called outside a transaction.
 * Deliveries of an instance have to stand one behind the other, in order: none is applied while one before it waits.
 * `limit_ms` is the longest time for a transaction in milliseconds. A job that fails is tried again alone; if it was
 * its own fault, its visit becomes an incident. With `hand_over`, a job that takes too long goes to an executor.
 */
extern void wf_moves_run(WfJob *jobs, int n, int limit_ms, bool hand_over);

/*
 * Carry out jobs that have no rows, in one transaction with `rest`, which puts away those that could not be carried out
 * now (wf_job_is_left). Returns false if nothing has changed, for whatever reason: then it is to be tried in another way.
 */
extern bool wf_moves_try(WfJob *jobs, int n, int limit_ms, void (*rest)(const WfJob *jobs, int n, void *arg),
						 void *arg);

static inline bool
wf_job_is_left(const WfJob *job)
{
	return job->deferred || job->slow || job->verdict == WF_JOB_LOCKED || job->verdict == WF_JOB_SUSPENDED;
}

/* Has the job changed nothing, so that it has to be tried again? */
static inline bool
wf_job_is_undone(const WfJob *job)
{
	return job->verdict == WF_JOB_LOCKED || job->verdict == WF_JOB_SHORT || job->verdict == WF_JOB_STUCK;
}

#endif
