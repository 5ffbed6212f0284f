/*
 * queue_cursor.c
 *		Queue cursors: how far the dispatcher has looked at each queue, and when it has to look again.
 *
 * Picking up a row writes nothing: the cursor and the table of visits in flight say which rows were picked up (see the
 * invariant in queue_cursor.h). Both are this process's memory, so that a new dispatcher begins with the rows alone.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/counters.h"
#include "shmem/wakeups.h"
#include "worker/queue_cursor.h"

#define FIRST_PAUSE_MS 2

static WfQueueCursor **cursors = NULL;
static int			   ncursors = 0;
static int			   allocated = 0;

void
wf_queue_cursors_init(void)
{
	allocated = 16;
	ncursors = 0;
	cursors = MemoryContextAlloc(TopMemoryContext, sizeof(WfQueueCursor *) * allocated);
	wf_queue_cursor(WF_QUEUE_TIMER);
	wf_queue_cursor(WF_QUEUE_MOVE);
	wf_queue_cursor(WF_QUEUE_EXECUTOR);
	wf_queue_cursor(WF_QUEUE_ALARM);
}

static WfQueueCursor *
make_cursor(const char *queue)
{
	WfQueueCursor *cursor = MemoryContextAllocZero(TopMemoryContext, sizeof(WfQueueCursor));

	strlcpy(cursor->queue, queue, sizeof(cursor->queue));
	if (strncmp(queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) == 0)
	{
		cursor->server = cursor->queue + strlen(WF_QUEUE_HTTP);
		cursor->counts = wf_server_counts(cursor->server);
		cursor->breaker = wf_breaker_create(cursor->server, cursor->counts);
		cursor->lines = wf_lines_create();
	}
	wf_queue_cursor_restart(cursor);
	return cursor;
}

WfQueueCursor *
wf_queue_cursor(const char *queue)
{
	for (int i = 0; i < ncursors; i++)
		if (strcmp(cursors[i]->queue, queue) == 0)
			return cursors[i];
	if (ncursors == allocated)
	{
		allocated *= 2;
		cursors = repalloc(cursors, sizeof(WfQueueCursor *) * allocated);
	}
	cursors[ncursors] = make_cursor(queue);
	return cursors[ncursors++];
}

WfQueueCursor **
wf_queue_cursors_all(int *n)
{
	*n = ncursors;
	return cursors;
}

void
wf_queue_cursor_restart(WfQueueCursor *cursor)
{
	cursor->position = (WfDueKey){DT_NOBEGIN, PG_INT64_MIN, PG_INT64_MIN};
	cursor->next = DT_NOBEGIN;
	cursor->left_at = WF_NEVER;
	cursor->pause_ms = 0;
	/* the server's options may have changed: let a look find out */
	cursor->slots = Max(cursor->slots, 1);
	cursor->held_until = DT_NOBEGIN;
}

void
wf_queue_cursor_rewind(WfQueueCursor *cursor, TimestampTz due_at, TimestampTz at)
{
	WfDueKey before = {due_at, PG_INT64_MIN, PG_INT64_MIN};

	if (due_at <= cursor->position.due_at)
		cursor->position = before;
	cursor->next = Min(cursor->next, at);
}

void
wf_queue_cursor_pause(WfQueueCursor *cursor, TimestampTz due_at, int longest_ms)
{
	cursor->pause_ms = cursor->pause_ms == 0 ? FIRST_PAUSE_MS : Min(cursor->pause_ms * 2, longest_ms);
	wf_queue_cursor_rewind(cursor, due_at, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), cursor->pause_ms));
}

void
wf_queue_cursor_leave(WfQueueCursor *cursor, TimestampTz due_at, int longest_ms)
{
	cursor->left_ms = cursor->left_at == WF_NEVER ? longest_ms : Max(cursor->left_ms, longest_ms);
	cursor->left_at = Min(cursor->left_at, due_at);
}

void
wf_queue_cursor_at_end(WfQueueCursor *cursor)
{
	if (cursor->left_at == WF_NEVER)
		cursor->pause_ms = 0;
	else
		wf_queue_cursor_pause(cursor, cursor->left_at, cursor->left_ms);
	cursor->left_at = WF_NEVER;
}

int
wf_queue_cursor_take(WfQueueCursor *cursor, TimestampTz now, int limit, WfDueKey *keys)
{
	bool		deadlines = strcmp(cursor->queue, WF_QUEUE_ALARM) == 0;
	TimestampTz next;
	int			n;

	n = deadlines ? wf_alarm_scan(&cursor->position, now, limit, keys)
				  : wf_due_scan(cursor->queue, &cursor->position, now, limit, keys);
	if (n > 0)
		cursor->position = keys[n - 1];
	if (n == limit)
	{
		cursor->next = now;
		return n;
	}
	next = deadlines ? wf_alarm_next(now) : wf_due_next(cursor->queue, now);
	cursor->next = next != 0 ? next : WF_NEVER;
	return n;
}

void
wf_queue_cursor_sleep(WfQueueCursor *cursor, TimestampTz now)
{
	TimestampTz next = wf_due_next(cursor->queue, now);

	cursor->next = next != 0 ? next : WF_NEVER;
}
