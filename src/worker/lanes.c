/*
 * lanes.c
 *		The dispatcher's view of the queues.
 *
 * Claiming a row writes nothing. A lane's cursor says how far its queue has been looked at; rows behind it are in
 * flight, or were handled. Rows commit out of order, so a commit notes the due times it has made, and the cursor goes
 * back to them; what is in flight is then seen again and skipped. All of it is this process's memory: a new dispatcher
 * starts from the rows.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/counters.h"
#include "shmem/notes.h"
#include "worker/lanes.h"

#define FIRST_PAUSE_MS 2

static WfLane **lanes = NULL;
static int	nlanes = 0;
static int	allocated = 0;

void
wf_lanes_init(void)
{
	allocated = 16;
	nlanes = 0;
	lanes = MemoryContextAlloc(TopMemoryContext, sizeof(WfLane *) * allocated);
	wf_lane(WF_QUEUE_TIMER);
	wf_lane(WF_QUEUE_MOVE);
	wf_lane(WF_QUEUE_EXECUTOR);
	wf_lane(WF_QUEUE_ALARM);
}

static WfLane *
make_lane(const char *queue)
{
	WfLane	   *lane = MemoryContextAllocZero(TopMemoryContext, sizeof(WfLane));

	strlcpy(lane->queue, queue, sizeof(lane->queue));
	if (strncmp(queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) == 0)
	{
		lane->server = lane->queue + strlen(WF_QUEUE_HTTP);
		lane->counts = wf_server_counts(lane->server);
	}
	wf_lane_restart(lane);
	return lane;
}

WfLane *
wf_lane(const char *queue)
{
	for (int i = 0; i < nlanes; i++)
		if (strcmp(lanes[i]->queue, queue) == 0)
			return lanes[i];
	if (nlanes == allocated)
	{
		allocated *= 2;
		lanes = repalloc(lanes, sizeof(WfLane *) * allocated);
	}
	lanes[nlanes] = make_lane(queue);
	return lanes[nlanes++];
}

WfLane **
wf_lanes_all(int *n)
{
	*n = nlanes;
	return lanes;
}

void
wf_lane_restart(WfLane *lane)
{
	lane->cursor = (WfDueKey){DT_NOBEGIN, PG_INT64_MIN, PG_INT64_MIN};
	lane->next = DT_NOBEGIN;
	lane->left_at = WF_NEVER;
	lane->pause_ms = 0;
	lane->blocked_by = InvalidOid;
	lane->beyond = lane->cursor;
	lane->slots = Max(lane->slots, 1); /* the server may let through more than it did */
}

void
wf_lane_rewind(WfLane *lane, TimestampTz due_at, TimestampTz at)
{
	WfDueKey	before = {due_at, PG_INT64_MIN, PG_INT64_MIN};

	if (due_at <= lane->cursor.due_at)
	{
		lane->cursor = before;
		lane->blocked_by = InvalidOid;
	}
	if (due_at <= lane->beyond.due_at)
		lane->beyond = before;
	lane->next = Min(lane->next, at);
}

void
wf_lane_pause(WfLane *lane, TimestampTz due_at, int longest_ms)
{
	lane->pause_ms = lane->pause_ms == 0 ? FIRST_PAUSE_MS : Min(lane->pause_ms * 2, longest_ms);
	wf_lane_rewind(lane, due_at,
				   TimestampTzPlusMilliseconds(GetCurrentTimestamp(), lane->pause_ms));
}

void
wf_lane_leave(WfLane *lane, TimestampTz due_at, int longest_ms)
{
	lane->left_ms = lane->left_at == WF_NEVER ? longest_ms : Max(lane->left_ms, longest_ms);
	lane->left_at = Min(lane->left_at, due_at);
}

void
wf_lane_at_end(WfLane *lane)
{
	if (lane->left_at == WF_NEVER)
		lane->pause_ms = 0;
	else
		wf_lane_pause(lane, lane->left_at, lane->left_ms);
	lane->left_at = WF_NEVER;
}

int
wf_lane_take(WfLane *lane, TimestampTz now, int limit, WfDueKey *keys)
{
	bool		deadlines = strcmp(lane->queue, WF_QUEUE_ALARM) == 0;
	TimestampTz next;
	int			n;

	n = deadlines ? wf_alarm_scan(&lane->cursor, now, limit, keys)
				  : wf_due_scan(lane->queue, &lane->cursor, now, limit, keys);
	if (n > 0)
		lane->cursor = keys[n - 1];
	if (n == limit)
	{
		lane->next = now;
		return n;
	}
	next = deadlines ? wf_alarm_next(now) : wf_due_next(lane->queue, now);
	lane->next = next != 0 ? next : WF_NEVER;
	return n;
}

void
wf_lane_sleep(WfLane *lane, TimestampTz now)
{
	TimestampTz next = wf_due_next(lane->queue, now);

	lane->next = next != 0 ? next : WF_NEVER;
}

bool
wf_lane_has_due(WfLane *lane, TimestampTz now)
{
	WfDueKey	key;

	if (wf_due_scan(lane->queue, &lane->cursor, now, 1, &key) > 0)
		return true;
	lane->blocked_by = InvalidOid;
	wf_lane_sleep(lane, now);
	return false;
}
