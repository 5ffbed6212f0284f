/*
 * shmem.h
 *		What the processes of one cluster share: a slot for each database with workers, wake-ups, waiters, counters.
 *
 * Lowest layer: knows no table and no definition. Everything here starts afresh after a restart; nothing durable
 * depends on it. Each database slot has a spinlock of its own (held for a few instructions, since commit callbacks
 * take it: they may neither allocate nor throw); membership of the slot array is under one LWLock.
 *
 * Notes: a transaction that leaves work for a worker says so while it runs (wf_note_*); one callback, registered once
 * per backend, publishes the notes at commit and sets the dispatcher's latch. An abort publishes only "locks are gone".
 * COMMIT PREPARED and ROLLBACK PREPARED publish "look at everything" (the utility hook does it).
 */
#ifndef WF_SHMEM_H
#define WF_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* "http " + a server's name is the longest */
#define WF_QUEUE_LEN (NAMEDATALEN + 8)

#define WF_QUEUE_TIMER "timer"		 /* waits for a clock */
#define WF_QUEUE_MOVE "move"		 /* ready to be moved on by the dispatcher */
#define WF_QUEUE_HELD "held"		 /* deliveries for suspended instances: nobody looks */
#define WF_QUEUE_EXECUTOR "executor" /* SQL, NOTIFY, async, write-backs: whatever may block */
#define WF_QUEUE_HTTP "http "		 /* prefix; a server's name follows */
#define WF_QUEUE_ALARM "alarm" /* only in notes: visit.alarm_at */
#define WF_QUEUE_UPKEEP "upkeep" /* only in notes: a partition of the history is missing */

/* Errors 55000 with a hint unless loaded by shared_preload_libraries. First call of every SQL function. */
extern void wf_shmem_require(void);

/* From _PG_init while preloading. */
extern void wf_shmem_init(void);

/* ---- notes, from any backend, inside a transaction ---- */
extern void wf_note_due(const char *queue, TimestampTz due_at); /* a row of that queue has this due time */
extern void wf_note_ended(int64 instance); /* its status changed: wakes those in wait_for */
extern void wf_note_locked(void); /* this transaction holds an instance's lock that a worker may have skipped */
extern void wf_note_everything(void); /* every queue may have new rows, the pause may be over */

/* Publish for a database at once: every queue may have new rows, locks may be gone. */
extern void wf_wake_database(Oid database);

/* ---- the dispatcher's side ---- */
#define WF_MAX_NOTES 32

typedef struct WfNote
{
	char		queue[WF_QUEUE_LEN];
	TimestampTz due_at; /* the earliest one noted */
} WfNote;

typedef struct WfNotes
{
	int			n;
	WfNote		notes[WF_MAX_NOTES];
	bool		everything; /* more queues than fit, or unknown ones: look at all of them from the start */
	bool		unlocked;	/* locks that we had skipped may be gone */
} WfNotes;

/* Take all notes of this database, leaving none. */
extern void wf_notes_take(WfNotes *notes);

/*
 * Is there something to take? To be asked before sleeping: a wait for a lock in between may have reset the latch that
 * came with it.
 */
extern bool wf_notes_pending(void);

/*
 * Tell others that the dispatcher has skipped locked instances, so that the end of their locks wakes it. Locks that have
 * gone since the last wf_notes_take count too: say it after skipping, and none is missed.
 */
extern void wf_notes_want_unlocks(bool want);

/* Attach this process as the dispatcher of its database: its latch gets the wake-ups. Detaches itself at exit. */
extern void wf_dispatcher_attach(void);

/* ---- executors ---- */
/* What is due for one role. InvalidOid: nobody's. */
typedef struct WfDemand
{
	Oid			role;
	int			wanted; /* pieces of work, those included that are being done */
	TimestampTz since;	/* the first of them was due then */
} WfDemand;

/*
 * From the dispatcher, with all demands there are: share out the executors among the roles. Wakes idle ones, starts new ones,
 * tells some to leave; all that have work are called to look again, the busy ones too. Returns after how many milliseconds to call
 * again; -1: no need, unless something changes. *all_busy: there are as many as there may be, and none was idle.
 */
extern int	wf_executors_share(const WfDemand *demands, int n, bool *all_busy);
extern Oid	wf_executor_role(void); /* of this executor */
/* Others wait for its place: to be asked between two pieces of work. It should not be idle when it goes. */
extern bool wf_executor_must_leave(void);
extern void wf_executor_attach(void);
/*
 * An executor says whether it is idle: false, then look for work until there is none, then true, then wait for the latch,
 * which is set if it was called in between. One that exits should be idle, or it counts as having left work behind,
 * which the dispatcher hears as a note for the executors' queue, due at -infinity.
 */
extern void wf_executor_idle(bool idle);

/* An executor had to end, since the SQL of this visit would not: the next one need not try. True: it is one, no more. */
extern void wf_stubborn_note(int64 visit);
extern bool wf_stubborn_take(int64 visit);
/* The same for deliveries: visits have positive numbers. */
#define WF_STUBBORN_DELIVERY(delivery) (-(delivery))

/* ---- waiters of wait_for: one instance for each backend ---- */
/* From now on this backend's latch is set when that instance's status changes (now and then also when it does not). */
extern void wf_waiter_add(int64 instance);
extern bool wf_waiter_woken(void); /* since the last call */
extern void wf_waiter_remove(void);		   /* also done at exit and abort */

/* ---- timeline: sequences jump once after a promotion or recovery ---- */
/*
 * True if this database's sequences were checked against the current timeline since this server started. Otherwise the
 * caller must check, under a lock of its own, and then say so. (Nothing is remembered while the database has no slot.)
 */
extern bool wf_timeline_checked(void);
extern void wf_timeline_set_checked(bool checked);

/* ---- pausing: a copy, or workflow.start_paused ---- */
typedef enum WfPause
{
	WF_PAUSE_UNKNOWN,
	WF_RUNNING,
	WF_PAUSED_COPY,
	WF_PAUSED_SETTING
} WfPause;
extern void wf_pause_set(WfPause pause); /* the dispatcher says what it found; shown in log and views */
extern WfPause wf_pause_get(void);

/* ---- upkeep ---- */
#define WF_UPKEEP_FAILURE_LEN 128
#define WF_UPKEEP_ERROR_LEN 256
/* An executor says what upkeep cannot do and why, for the view workers; NULL: all is well. Returns since when it fails; 0: it does not. */
extern TimestampTz wf_upkeep_say(const char *failure, const char *error);

/* ---- counters, for the views workers and servers ---- */
extern void wf_count_handled(int n);	/* by this worker */
extern void wf_show_in_flight(int n);	/* of this worker */

typedef struct WfServerCounts
{
	uint64		requests;
	uint64		failures;
	uint64		retries;
	int			in_flight;
	uint64		elapsed_us_buckets[32]; /* the i-th counts from 2^i up to 2^(i+1) microseconds */
} WfServerCounts;
/* This database's counters of a server, by name; made on first use; NULL if the fixed table is full. Written only by the dispatcher. */
extern WfServerCounts *wf_server_counts(const char *server);
extern void wf_server_count_elapsed(WfServerCounts *counts, int64 elapsed_us);

#endif
