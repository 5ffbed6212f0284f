/*
 * queue_cursor.h
 *		The dispatcher's view of the queues: how far it has looked, when it has to look again.
 */
#ifndef WF_QUEUE_CURSOR_H
#define WF_QUEUE_CURSOR_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "shmem/counters.h"
#include "shmem/wakeups.h"
#include "store/due.h"

#define WF_NEVER DT_NOEND
/* owners that a cursor remembers to have gone past */
#define WF_MAX_PASSED 8

typedef struct WfQueueCursor
{
	char		queue[WF_QUEUE_LEN];
	const char *server;		/* of an http queue: points into `queue`; else NULL */
	WfDueKey	position;	/* everything up to here was looked at */
	TimestampTz next;		/* when to look again; WF_NEVER: when told */
	int			in_flight;	/* http: requests under way */
	int			slots;		/* http: how many more may be, as of the last look */
	int			cautious;	/* http: look at that many rows one by one */
	int			skipped;	/* http: so many rows in a row were in flight already */
	Oid			blocked_by; /* http: the owner of the first row behind the cursor, who may send no more; else invalid */
	WfDueKey	beyond;		/* http: what is of others was looked for up to here, past such rows */
	Oid			passed[WF_MAX_PASSED]; /* http: owners whose rows stand in between, beside that one */
	int			npassed;
	TimestampTz passed_at;	/* http: not to look for those again before that */
	int64		passing_us; /* http: so long it has taken so far to go past them */
	TimestampTz cancels_at; /* http: while its server is gone or has no place, when to look for cancel requests */
	TimestampTz
		cancels_wait_since;	  /* http: since then there were some for which there was no place; 0: there are none */
	TimestampTz		left_at;  /* the first row behind the cursor that could not be handled; WF_NEVER: none */
	int				left_ms;  /* longest pause for those */
	int				pause_ms; /* growing while something cannot be handled; 0: nothing of the kind */
	WfServerCounts *counts;	  /* http; may be NULL */
} WfQueueCursor;

extern void wf_queue_cursors_init(void);
/* Find or make. */
extern WfQueueCursor *wf_queue_cursor(const char *queue);
/* Go back so that a row due at that time is seen again, at `at`. */
extern void wf_queue_cursor_rewind(WfQueueCursor *cursor, TimestampTz due_at, TimestampTz at);
/* Look at everything again, now. */
extern void wf_queue_cursor_restart(WfQueueCursor *cursor);
/* Rows from that time on could not be handled, and are seen again when the cursor has come to the end. */
extern void wf_queue_cursor_leave(WfQueueCursor *cursor, TimestampTz due_at, int longest_ms);
extern void wf_queue_cursor_at_end(WfQueueCursor *cursor);
/* Something in it cannot be handled now: see it again after a pause that grows to `longest_ms`. */
extern void wf_queue_cursor_pause(WfQueueCursor *cursor, TimestampTz due_at, int longest_ms);

/*
 * The next keys that are due, in order, at most `limit`; moves the cursor and `next`. Inside wf_store_enter.
 */
extern int wf_queue_cursor_take(WfQueueCursor *cursor, TimestampTz now, int limit, WfDueKey *keys);

/* All that is due now was looked at: look again at the next due time. Inside wf_store_enter. */
extern void wf_queue_cursor_sleep(WfQueueCursor *cursor, TimestampTz now);

/* Is there a key to be taken? If not, `next` is moved. Inside wf_store_enter. */
extern bool wf_queue_cursor_has_due(WfQueueCursor *cursor, TimestampTz now);

/* All cursors: for (WfQueueCursor **l = wf_queue_cursors_all(&n); n > 0; n--, l++) */
extern WfQueueCursor **wf_queue_cursors_all(int *n);

#endif
