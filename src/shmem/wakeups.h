/*
 * wakeups.h
 *		What transactions leave for the workers, and for those who wait for the end of an instance.
 *
 * A transaction that leaves work for a worker says so while it runs (wf_note_*); one callback, registered once
 * per backend, publishes the wake-ups at commit and sets the dispatcher's latch. An abort publishes only "locks are gone".
 * COMMIT PREPARED and ROLLBACK PREPARED publish "look at everything" (the utility hook does it).
 */
#ifndef WF_WAKEUPS_H
#define WF_WAKEUPS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "shmem/topics.h"

/* The longest name of a queue is "http " and a server's name. */
#define WF_QUEUE_LEN (NAMEDATALEN + 8)

#define WF_QUEUE_TIMER	   "timer"	   /* visits that wait for a time */
#define WF_QUEUE_MOVE	   "move"	   /* visits that the dispatcher moves on */
#define WF_QUEUE_SUSPENDED "suspended" /* deliveries for suspended instances: no worker looks */
/* prefix; SQL, NOTIFY, async, write-backs: whatever may block */
#define WF_QUEUE_EXECUTOR "executor"
#define WF_QUEUE_HTTP	  "http "  /* prefix; a server's name follows */
#define WF_QUEUE_ALARM	  "alarm"  /* only in wake-ups: stands for visit.next_timer */
#define WF_QUEUE_UPKEEP	  "upkeep" /* only in wake-ups: a partition of the history is missing */

/* ---- wake-ups, from any backend, inside a transaction ---- */
extern void wf_wakeup_due(const char *queue, TimestampTz due_at); /* a row of that queue has this due time */
/* The first due time of which this process has said so since the last call; DT_NOEND: none. */
extern TimestampTz wf_wakeups_first(void);
/*
 * A message is kept, or somebody begins to wait for one, under this number; a signal, or a message to
 * all, is to be taken to those that wait for it.
 */
extern void wf_wakeup_message(int64 message);
extern void wf_wakeup_subscription(int64 subscription);
extern void wf_wakeup_broadcast(void);
/* Work under this topic can be fetched from `at` on; 0: at once. */
extern void wf_wakeup_topic(const char *topic, TimestampTz at);
/* The status of the instance has changed: wakes sessions in wait_for. */
extern void wf_wakeup_ended(int64 instance);
/* Tokens of the instance have moved: wakes those of these sessions that wait for a step. */
extern void wf_wakeup_moved(int64 instance);
/* This transaction holds the lock of an instance that a worker may have skipped. */
extern void wf_wakeup_locked(void);
/* Every queue may have new rows, and a pause may be over. */
extern void wf_wakeup_everything(void);

/* Publish at once, for a database: every queue may have new rows, and locks may be gone. */
extern void wf_wake_database(Oid database);

/* ---- the dispatcher's side ---- */
#define WF_MAX_WAKEUPS 32

typedef struct WfWakeup
{
	char		queue[WF_QUEUE_LEN];
	TimestampTz due_at; /* the earliest one */
} WfWakeup;

typedef struct WfWakeups
{
	int		 n;
	WfWakeup wakeups[WF_MAX_WAKEUPS];
	/* The smallest numbers of new ones; 0: there are none. */
	int64 message;
	int64 subscription;
	bool  broadcast; /* there may be a new one */
	/* There were more queues than fit, or unknown ones: look at all of them from the start. */
	bool everything;
	bool unlocked; /* locks that the dispatcher had skipped may be gone */
} WfWakeups;

/* Take all wake-ups of this database, leaving none. */
extern void wf_wakeups_take(WfWakeups *wakeups);

/*
 * Take what is noted of topics, and look again at `next`, or earlier if some come to be due until then, but not before
 * `quiet`: nobody wakes the dispatcher for them meanwhile.
 */
extern void wf_topics_take(WfTopics *topics);
extern void wf_topics_look(TimestampTz next, TimestampTz quiet);
/* When it has to look at them next. */
extern TimestampTz wf_topics_next(void);

/*
 * Are there wake-ups to take? The dispatcher asks before it sleeps, since a wait for a lock may
 * have reset the latch that came with them.
 */
extern bool wf_wakeups_pending(void);

/*
 * Tell others that the dispatcher has skipped locked instances, so that the end of their locks
 * wakes it. Locks that have gone since the last wf_wakeups_take count too: called after skipping,
 * this misses none.
 */
extern void wf_wakeups_want_unlocks(bool want);

/*
 * Make this process the dispatcher of its database: its latch is set by wake-ups. It detaches
 * itself at exit.
 */
extern void wf_dispatcher_attach(void);

/* ---- waiters of wait_for: one instance for each backend ---- */
/*
 * Wait for an instance: from now on this backend's latch is set when the instance's status changes, `by_move`
 * when its tokens move, too, and now and then when neither has happened.
 */
extern void wf_waiter_add(int64 instance, bool by_move);
extern bool wf_waiter_woken(void);	/* since the last call */
extern void wf_waiter_remove(void); /* also called at exit and abort */

#endif
