/*
 * due.h
 *		What is due: the index that workers read.
 */
#ifndef WF_DUE_H
#define WF_DUE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* Where a visit stands in its queue. */
typedef struct WfDueKey
{
	TimestampTz due_at;
	int64		instance;
	int64		visit;
	int			process_id; /* 0: not asked for */
} WfDueKey;

/* What an executor has taken up. */
typedef struct WfWorkItem
{
	int64		instance;
	int64		visit; /* 0: a delivery that moves none */
	int64		delivery; /* 0: the visit itself was due */
	TimestampTz due_at;
} WfWorkItem;

/* Inside wf_store_enter. Keys after `after`, due at `now` or before, in order, at most `limit` into `keys`. Returns how many. */
extern int	wf_due_scan(const char *queue, const WfDueKey *after, TimestampTz now, int limit,
						WfDueKey *keys);
/* The same, each with its process. */
extern int	wf_due_scan_processes(const char *queue, const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys);
extern int	wf_alarm_scan(const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys);

/* Cancel requests of a queue that have been due since before then, oldest first, each with its process, at most `limit`. Returns how many. */
extern int	wf_due_cancels(const char *queue, TimestampTz before, int limit, WfDueKey *keys);

/*
 * The next visit that is due in a queue and whose instance nobody has locked; its instance is locked then. False if there is none;
 * *skipped says whether there are others, locked.
 */
extern bool wf_due_claim(const char *queue, TimestampTz now, WfWorkItem *item, bool *skipped);

/* Nothing can be done with it now, not even an incident be made: its row alone is touched. */
extern void wf_due_postpone(int64 instance, int64 visit, TimestampTz due_at);

/* The first due time after `now`; 0: none. */
extern TimestampTz wf_due_next(const char *queue, TimestampTz now);
extern TimestampTz wf_alarm_next(TimestampTz now);

/* All queues that have rows: a List of palloc'd strings. */
extern List *wf_due_queues(void);

/* Of these visits, those that make no request any more: ended, or moved on by somebody else. Returns how many. */
extern int	wf_visits_not_calling(const int64 *instances, const int64 *visits, int n, int64 *gone);

/* Of these instances, those that still live: whoever is not among the locked ones is locked by somebody. */
extern int	wf_instances_living(const int64 *ids, int n, int64 *living);

#endif
