/*
 * dispatcher_internal.h
 *		Between the files of the dispatcher: dispatcher.c (the loop), arrivals.c, requests.c, demand.c. All of it is this process's memory.
 */
#ifndef WF_DISPATCHER_INTERNAL_H
#define WF_DISPATCHER_INTERNAL_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "http/http.h"
#include "worker/lanes.h"
#include "worker/moves.h"

#define DUE_PER_TRANSACTION 256
/* a lane whose server is gone, or a row that cannot be handled */
#define LONGEST_PAUSE_MS 60000
/* what could not be done for want of something */
#define LONGEST_WAIT_MS 10000
/* an instance that somebody has locked */
#define LONGEST_LOCK_PAUSE_MS 1000

typedef struct WfDispatcher
{
	WfHttp	   *http;
	MemoryContext turn_context;	/* reset with each turn */
	TimestampTz deliveries_at;	/* when to look at deliveries; WF_NEVER: when told */
	TimestampTz short_until;	/* not to look at the database before that */
	TimestampTz abandoned_at;	/* not to look for abandoned requests before that */
	bool		skipped_locked; /* in this turn */
} WfDispatcher;

extern WfDispatcher wf_dispatcher;

/* ---- shortage.c ---- */
/*
 * `work` in a transaction of its own, inside the store. False: it could not be done for want of something, and is to be
 * tried again once wf_shortage_lasts says no more. Other errors go on.
 */
extern bool wf_small_transaction(void (*work) (void *arg), void *arg);
extern void wf_shortage_begin(WfLack lack, const ErrorData *error);
extern bool wf_shortage_lasts(void);
/* From now on no lock is waited for much longer than a move may take. */
extern void wf_shortage_limit_locks(void);
/* Replies wait to be stored: nothing new is sent. */
extern bool wf_shortage_holds_back(void);
/* But now and then one request, to see: is it time for it? To be told of each that was sent. */
extern bool wf_shortage_canary(void);
extern void wf_shortage_canary_sent(void);

/* ---- arrivals.c; outside transactions, in the turn's memory ---- */
extern void wf_arrivals_run(WfJob *jobs, int n);
extern bool wf_arrivals_replies(void);
extern void wf_arrivals_fire(WfLane *lane, WfJobKind kind);
extern void wf_arrivals_deliveries(void);
extern bool wf_arrivals_land(void); /* false: not yet */
extern void wf_arrivals_kept(void);

/* ---- requests.c; likewise ---- */
/* When to wake for a lane of a server. */
extern TimestampTz wf_requests_next(const WfLane *lane);
extern void wf_requests_call(WfLane *lane);
extern void wf_requests_abort_abandoned(void);

/* ---- demand.c; likewise ---- */
extern void wf_demand_meet(void);

#endif
