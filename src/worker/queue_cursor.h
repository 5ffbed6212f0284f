/*
 * queue_cursor.h
 *		Queue cursors: how far the dispatcher has looked at each queue, and when it has to look again.
 *
 * Invariant: each row that is due, up to the position of its queue's cursor, was handled, or is in flight, or waits in
 * a line (lines.h), or the cursor will go back to it. Rows do not become visible in the order of their due times, so a commit that makes a row
 * due leaves a wake-up, for which the cursor goes back. It then finds rows that are in flight once more, and skips
 * them.
 *
 * Cursors live in the dispatcher's memory, as long as the process, and are never deleted.
 */
#ifndef WF_QUEUE_CURSOR_H
#define WF_QUEUE_CURSOR_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "shmem/counters.h"
#include "shmem/wakeups.h"
#include "store/due.h"
#include "worker/breaker.h"
#include "worker/lines.h"

#define WF_NEVER DT_NOEND

typedef struct WfQueueCursor
{
	char		queue[WF_QUEUE_LEN];
	const char *server;	  /* name of the server, within `queue`; NULL: the rows of the queue are no requests */
	WfDueKey	position; /* all rows up to here were looked at */
	TimestampTz next;	  /* when to look again; WF_NEVER: after a wake-up */

	/* The next fields are only for cursors of servers. */
	int in_flight; /* requests in flight */
	int slots;	   /* how many more the server may get, as of the last look */
	int cautious;  /* look at so many rows one by one, since one of them made a look fail */
	int probes;	   /* of the requests in flight, those that try whether the server is well again */
	/* Nothing is sent before, whatever is due: its breaker has tripped, or its rate is used up. */
	TimestampTz held_until;
	WfBreaker  *breaker;
	WfRate		rate;
	WfLines	   *lines; /* rows that were read, and wait for their turn */
	/* While the server is gone, or has no place: when to look for cancel requests. */
	TimestampTz cancels_at;
	/* Since when cancel requests have been waiting for a place; 0: none is. */
	TimestampTz cancels_wait_since;

	/* The next three are for rows up to `position` that could not be handled. */
	TimestampTz left_at;  /* due time of the first; WF_NEVER: there is none */
	int			left_ms;  /* longest pause before they are looked at again */
	int			pause_ms; /* the last pause, which grows while there are such rows; 0: there are none */

	WfServerCounts *counts; /* counters of the server; NULL: it has none */
} WfQueueCursor;

/* Make the cursors that there always are; once per process. */
extern void wf_queue_cursors_init(void);
/* Find the cursor of a queue, or make it. */
extern WfQueueCursor *wf_queue_cursor(const char *queue);
/* Move the cursor back, so that a row that is due at due_at is found, and let it look at time `at`. */
extern void wf_queue_cursor_rewind(WfQueueCursor *cursor, TimestampTz due_at, TimestampTz at);
/* Move the cursor back to the start, and let it look at once. */
extern void wf_queue_cursor_restart(WfQueueCursor *cursor);
/*
 * A row that is due at due_at could not be handled, while the cursor goes on. wf_queue_cursor_at_end, once the cursor
 * has come to the last row that is due, has it go back to the first of such rows after a pause.
 */
extern void wf_queue_cursor_leave(WfQueueCursor *cursor, TimestampTz due_at, int longest_ms);
extern void wf_queue_cursor_at_end(WfQueueCursor *cursor);
/* Move the cursor back to a row that cannot be handled now; it looks after a pause that grows up to longest_ms. */
extern void wf_queue_cursor_pause(WfQueueCursor *cursor, TimestampTz due_at, int longest_ms);

/* The rest is called inside wf_store_enter. */

/*
 * Read the next keys that are due, in order, at most `limit`, and move the cursor behind them; set when it has to look
 * again. Returns how many.
 */
extern int wf_queue_cursor_take(WfQueueCursor *cursor, TimestampTz now, int limit, WfDueKey *keys);

/* All rows that are due now were looked at: let the cursor look again at the next due time. */
extern void wf_queue_cursor_sleep(WfQueueCursor *cursor, TimestampTz now);

/* All cursors: for (WfQueueCursor **l = wf_queue_cursors_all(&n); n > 0; n--, l++) */
extern WfQueueCursor **wf_queue_cursors_all(int *n);

#endif
