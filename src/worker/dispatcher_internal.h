/*
 * dispatcher_internal.h
 *		Between the files of the dispatcher: dispatcher.c (the loop), replies_and_timers.c, requests.c, demand.c,
 *		matching.c, signals.c, shortage.c.
 *
 * The WfDispatcher lives as long as its process, which alone uses it. What is allocated while a turn is under way is in
 * turn_context unless said otherwise.
 */
#ifndef WF_DISPATCHER_INTERNAL_H
#define WF_DISPATCHER_INTERNAL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/latch.h"

#include "http/http.h"
#include "worker/queue_cursor.h"
#include "worker/moves.h"

/* At most so many due rows are taken in one transaction. */
#define DUE_PER_TRANSACTION 256
/* Longest pause of the cursor of a server that is gone, and of a row that cannot be handled. */
#define LONGEST_PAUSE_MS 60000
/* Longest pause after something was lacking. */
#define LONGEST_WAIT_MS 10000
/* Longest pause before an instance that another transaction has locked is tried again. */
#define LONGEST_LOCK_PAUSE_MS 1000

typedef struct WfDispatcher
{
	WfHttp		 *http;
	WaitEventSet *wait_set;
	MemoryContext turn_context; /* reset with each turn */

	/* What of the database has to be looked at, and when; WF_NEVER: when a wake-up says so. */
	bool everything; /* find out whether this database is paused, then look at all queues */
	bool paused;
	/* Paused without a reason to tell: nothing was ever defined here, or a restore is under way. */
	bool		unsettled;
	bool		waits_for_turn; /* after a crash, while another worker has the turn */
	bool		skipped_locked; /* an instance was skipped in this turn, since it was locked */
	bool		wants_unlocks;	/* the end of locks wakes this process */
	bool		delivered;		/* an executor may have delivered a reply */
	TimestampTz deliveries_at;	/* the next delivery is due */
	/* Numbers from which on kept messages and subscriptions have to be looked at; PG_INT64_MAX: none. */
	int64		messages_from;
	int64		subscriptions_from;
	int64		locked_message;		/* the first kept message that somebody else had locked; PG_INT64_MAX: none */
	TimestampTz locked_messages_at; /* when to look at it again */
	bool		has_broadcasts;		/* signals, or messages to many, may be there to be taken up */
	TimestampTz short_until;		/* something is lacking: do not look at the database before this time */
	/* While nothing is sent: when to send one request all the same; 0: nothing is held back. */
	TimestampTz	 canary_at;
	TimestampTz	 abandoned_at; /* do not look for abandoned requests before this time */
	TimestampTz	 news_at;	   /* the next news have to be told */
	unsigned int first_server; /* index of the cursor with which this turn's calls begin */

	/* work for executors */
	TimestampTz demand_not_before; /* do not look for it before this time */
	/* The last look found some, so the next one that finds none says once that no work waits any more. */
	bool had_demands;

	/* upkeep */
	TimestampTz upkeep_at;		  /* when to make it due; WF_NEVER: nobody has asked for it */
	TimestampTz upkeep_called_at; /* when it was made due last */
	bool		upkeep_anyway;	  /* make it due even if it has failed lately */

	/* a new workflow.warn_waiting */
	/* The setting for which rows were last gone through; 0: for none, since it may have changed before this process. */
	int		 warned_after;
	bool	 rewarning;	  /* rows are being gone through */
	WfDueKey rewarned_to; /* so far */
} WfDispatcher;

/* ---- shortage.c ---- */
/*
 * Run `work` in a transaction of its own, inside wf_store_enter. Returns false if something was lacking: the caller
 * tries again once wf_shortage_lasts returns false. Other errors are thrown.
 */
extern bool wf_small_transaction(WfDispatcher *dispatcher, void (*work)(WfDispatcher *dispatcher, void *arg),
								 void		  *arg);
/* Something that the dispatcher itself needs is lacking: leave the database alone for a pause that grows. */
extern void wf_shortage_begin(WfDispatcher *dispatcher, WfLack lack, const ErrorData *error);
/* Has the dispatcher to leave the database alone still? */
extern bool wf_shortage_lasts(const WfDispatcher *dispatcher);
/* Limit this session's waits for locks to about the time that a move may take (lock_timeout). */
extern void wf_shortage_limit_locks(void);
/* Must no new request be sent, since replies could not be stored? */
extern bool wf_shortage_holds_back(WfDispatcher *dispatcher);
/*
 * While new requests are held back, one is sent now and then to find out whether its reply can be stored. Is it time
 * for that? Who sends requests calls wf_shortage_canary_sent.
 */
extern bool wf_shortage_canary(const WfDispatcher *dispatcher);
extern void wf_shortage_canary_sent(WfDispatcher *dispatcher);

/* The functions that follow are called outside transactions, in turn_context. */

/* ---- replies_and_timers.c ---- */
/* Carry out jobs, and do to the requests in flight what follows from their verdicts. */
extern void wf_jobs_run(WfDispatcher *dispatcher, WfJob *jobs, int n);
/* The same for events that have no deliveries, by wf_moves_try. */
extern bool wf_jobs_try_events(WfDispatcher *dispatcher, WfJob *jobs, int n,
							   void (*rest)(const WfJob *jobs, int n, void *arg), void *arg);
/* Record a batch of finished requests, and move their visits on. Returns true if there may be more. */
extern bool wf_replies_take(WfDispatcher *dispatcher);
/* Handle visits of a cursor that are due, as jobs of this kind. */
extern void wf_timers_fire(WfDispatcher *dispatcher, WfQueueCursor *cursor, WfJobKind kind);
/* Apply deliveries that are due in the dispatcher's queue. */
extern void wf_deliveries_take(WfDispatcher *dispatcher);
/* Remove visits in flight whose replies executors have delivered. Returns false if that has to be repeated. */
extern bool wf_replies_remove_delivered(WfDispatcher *dispatcher);
/* Try again to store replies that could not be stored before. */
extern void wf_replies_retry_kept(WfDispatcher *dispatcher);

/* ---- lost.c ---- */
/*
 * Put those attempts on record that a dispatcher before this one has left behind, once. Returns false if something was
 * lacking, and it has to be called again.
 */
extern bool wf_lost_record(WfDispatcher *dispatcher);

/* ---- pick_up.c ---- */
/* When has the dispatcher to wake for this cursor of a server? */
extern TimestampTz wf_requests_next(WfDispatcher *dispatcher, const WfQueueCursor *cursor);

/* ---- requests.c ---- */
/* Send the requests of a server that are due, as far as there are places. */
extern void wf_requests_call(WfDispatcher *dispatcher, WfQueueCursor *cursor);

/* ---- abandoned.c ---- */
/* Abort requests whose visits have ended meanwhile, if others wait for their places. */
extern void wf_requests_abort_abandoned(WfDispatcher *dispatcher);

/* ---- matching.c ---- */
/* Bring kept messages and those that wait for them together, as far as wake-ups say that there is something new. */
extern void wf_messages_match(WfDispatcher *dispatcher);
/* When has the dispatcher to look at them next? WF_NEVER: when a wake-up says so. */
extern TimestampTz wf_messages_next(const WfDispatcher *dispatcher);

/* ---- signals.c ---- */
/* Take the first signal, or message to many, to some of those that wait for it. */
extern void wf_signals_take(WfDispatcher *dispatcher);

/* ---- topics.c ---- */
/* Tell those who listen which topics have work to be fetched, if it is time for that. */
extern void wf_topics_tell(WfDispatcher *dispatcher);
/* Nothing is known of topics: look for all of them. */
extern void wf_topics_forget(void);

/* ---- demand.c ---- */
/* Look for work that is due for executors, and share out the executors. */
extern void wf_demand_meet(WfDispatcher *dispatcher);

#endif
