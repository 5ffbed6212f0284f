/*
 * dispatcher_internal.h
 *		Between the files of the dispatcher: dispatcher.c (the loop), replies_and_timers.c, requests.c, demand.c, shortage.c.
 */
#ifndef WF_DISPATCHER_INTERNAL_H
#define WF_DISPATCHER_INTERNAL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/latch.h"

#include "http/http.h"
#include "worker/queue_cursor.h"
#include "worker/moves.h"

#define DUE_PER_TRANSACTION 256
/* a cursor whose server is gone, or a row that cannot be handled */
#define LONGEST_PAUSE_MS 60000
/* what could not be done for want of something */
#define LONGEST_WAIT_MS 10000
/* an instance that somebody has locked */
#define LONGEST_LOCK_PAUSE_MS 1000

typedef struct WfDispatcher
{
	WfHttp		 *http;
	WaitEventSet *wait_set;
	MemoryContext turn_context; /* reset with each turn */

	/* what of the database is to be looked at, and when; WF_NEVER: when told */
	bool		 everything; /* all queues, and before that whether we are paused */
	bool		 paused;
	bool		 unsettled; /* nothing was ever defined here, or a restore is under way: paused, and nobody's fault */
	bool		 waits_for_turn; /* after a crash: somebody else works */
	bool		 skipped_locked; /* in this turn */
	bool		 wants_unlocks;	 /* others are told so */
	bool		 delivered;		 /* an executor may have delivered a reply */
	TimestampTz	 deliveries_at;
	TimestampTz	 short_until; /* not to look at the database before that */
	TimestampTz	 canary_at; /* while nothing is sent: when to send one request all the same; 0: nothing is held back */
	TimestampTz	 abandoned_at; /* not to look for abandoned requests before that */
	TimestampTz	 news_at;	   /* when to tell of what has happened */
	unsigned int first_server; /* the cursor with which the calls of this turn begin */

	/* work for executors */
	TimestampTz demand_not_before;
	bool		had_demands; /* to say once more, when there are none, that nobody waits any more */

	/* upkeep */
	TimestampTz upkeep_at; /* when to call for it; WF_NEVER: nobody wants it */
	TimestampTz upkeep_called_at;
	bool		upkeep_anyway; /* though it has failed lately */

	/* a new workflow.warn_waiting */
	int		 warned_after; /* what it was when the rows were last gone through for it; 0 at first: it may have changed since they were written */
	bool	 rewarning; /* they are being gone through, up to */
	WfDueKey rewarned_to;
} WfDispatcher;

/* ---- shortage.c ---- */
/*
 * `work` in a transaction of its own, inside the store. False: it could not be done for want of something, and is to be
 * tried again once wf_shortage_lasts says no more. Other errors go on.
 */
extern bool wf_small_transaction(WfDispatcher *dispatcher, void (*work)(WfDispatcher *dispatcher, void *arg),
								 void		  *arg);
extern void wf_shortage_begin(WfDispatcher *dispatcher, WfLack lack, const ErrorData *error);
extern bool wf_shortage_lasts(const WfDispatcher *dispatcher);
/* From now on no lock is waited for much longer than a move may take. */
extern void wf_shortage_limit_locks(void);
/* Replies wait to be stored: nothing new is sent. */
extern bool wf_shortage_holds_back(WfDispatcher *dispatcher);
/* But now and then one request, to see: is it time for it? To be told of each that was sent. */
extern bool wf_shortage_canary(const WfDispatcher *dispatcher);
extern void wf_shortage_canary_sent(WfDispatcher *dispatcher);

/* ---- replies_and_timers.c; outside transactions, in the turn's memory ---- */
extern void wf_jobs_run(WfDispatcher *dispatcher, WfJob *jobs, int n);
extern bool wf_replies_take(WfDispatcher *dispatcher);
extern void wf_timers_fire(WfDispatcher *dispatcher, WfQueueCursor *cursor, WfJobKind kind);
extern void wf_deliveries_take(WfDispatcher *dispatcher);
extern bool wf_replies_remove_delivered(WfDispatcher *dispatcher); /* false: not yet */
extern void wf_replies_retry_kept(WfDispatcher *dispatcher);

/* ---- requests.c; likewise ---- */
/* When to wake for a cursor of a server. */
extern TimestampTz wf_requests_next(WfDispatcher *dispatcher, const WfQueueCursor *cursor);
extern void		   wf_requests_call(WfDispatcher *dispatcher, WfQueueCursor *cursor);
extern void		   wf_requests_abort_abandoned(WfDispatcher *dispatcher);

/* ---- demand.c; likewise ---- */
extern void wf_demand_meet(WfDispatcher *dispatcher);

#endif
