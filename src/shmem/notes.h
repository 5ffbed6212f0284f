/*
 * notes.h
 *		What transactions leave for the workers, and for those who wait for the end of an instance.
 *
 * A transaction that leaves work for a worker says so while it runs (wf_note_*); one callback, registered once
 * per backend, publishes the notes at commit and sets the dispatcher's latch. An abort publishes only "locks are gone".
 * COMMIT PREPARED and ROLLBACK PREPARED publish "look at everything" (the utility hook does it).
 */
#ifndef WF_NOTES_H
#define WF_NOTES_H

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

/* ---- waiters of wait_for: one instance for each backend ---- */
/* From now on this backend's latch is set when that instance's status changes (now and then also when it does not). */
extern void wf_waiter_add(int64 instance);
extern bool wf_waiter_woken(void); /* since the last call */
extern void wf_waiter_remove(void);		   /* also done at exit and abort */

#endif
