/*
 * dispatcher_internal.h
 *		Between the files of the dispatcher: dispatcher.c (the loop), arrivals.c, requests.c, share.c. All of it is this process's memory.
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
/* an instance that somebody has locked */
#define LONGEST_LOCK_PAUSE_MS 1000

typedef struct WfDispatcher
{
	WfHttp	   *http;
	MemoryContext turn_context;	/* reset with each turn */
	TimestampTz deliveries_at;	/* when to look at deliveries; WF_NEVER: when told */
	TimestampTz stuck_until;	/* when to send again what came back and could not be dealt with */
	TimestampTz abandoned_at;	/* not to look for abandoned requests before that */
	bool		skipped_locked; /* in this turn */
} WfDispatcher;

extern WfDispatcher wf_dispatcher;

/* ---- arrivals.c; outside transactions, in the turn's memory ---- */
extern void wf_arrivals_run(WfJob *jobs, int n);
extern bool wf_arrivals_replies(void);
extern void wf_arrivals_fire(WfLane *lane, WfJobKind kind);
extern void wf_arrivals_deliveries(void);
extern void wf_arrivals_land(void);
extern void wf_arrivals_send_again(void);

/* ---- requests.c; likewise ---- */
/* When to wake for a lane of a server. */
extern TimestampTz wf_requests_next(const WfLane *lane);
extern void wf_requests_call(WfLane *lane);
extern void wf_requests_abort_abandoned(void);

/* ---- share.c; likewise ---- */
extern void wf_share_executors(void);

#endif
