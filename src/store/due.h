/*
 * due.h
 *		What is due: the visits that a worker has to look at, by queue and time.
 *
 * A queue is read by position, the triple (due_at, instance, visit), and reading changes no row. All functions are
 * called inside wf_store_enter.
 */
#ifndef WF_DUE_H
#define WF_DUE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* The position of a visit in its queue. */
typedef struct WfDueKey
{
	TimestampTz due_at;
	int64		instance;
	int64		visit;
	int			process_id; /* 0: it was not asked for */
} WfDueKey;

/* Does one come before the other in the order of their queue? */
static inline bool
wf_due_before(const WfDueKey *a, const WfDueKey *b)
{
	if (a->due_at != b->due_at)
		return a->due_at < b->due_at;
	return a->instance != b->instance ? a->instance < b->instance : a->visit < b->visit;
}

/* A piece of work that an executor has taken up. */
typedef struct WfWorkItem
{
	int64		instance;
	int64		visit;	  /* 0: a delivery that belongs to no visit */
	int64		delivery; /* 0: the visit itself was due */
	TimestampTz due_at;
	bool		moves;	   /* when the row was read, its visit had only to be moved, with no statement to run */
	bool		locked;	   /* the instance was locked before anything of it was read */
	bool		statement; /* the statement of the visit has begun */
	bool		shares;	   /* it is done, and others may be done beside it in its transaction */
} WfWorkItem;

/*
 * Read the keys behind `after` that are due at `now` or before, in order, at most `limit` of them,
 * into `keys`. Returns how many.
 */
extern int wf_due_scan(const char *queue, const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys);
/* Read the same keys, with the process of each visit. */
extern int wf_due_scan_processes(const char *queue, const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys);
/* Read the keys of visits whose next timer has come, in any state: here due_at is visit.next_timer. */
extern int wf_alarm_scan(const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys);

/*
 * Read the cancel requests of a queue that have been due since `before`, oldest first, with the
 * process of each, at most `limit`. Returns how many.
 */
extern int wf_due_cancels(const char *queue, TimestampTz before, int limit, WfDueKey *keys);

/* Read keys for an executor, as wf_due_scan does, into work items; `moves` of each is set, too. */
extern int wf_due_scan_work(const char *queue, const WfWorkItem *after, TimestampTz now, int limit, WfWorkItem *items);
/* Lock an instance without waiting. Returns false if another transaction has locked it, or it has ended. */
extern bool wf_due_lock(int64 instance);

/*
 * Make a visit due later, by an update of its row and nothing else: this is for a visit of which not even an incident
 * can be made.
 */
extern void wf_due_postpone(int64 instance, int64 visit, TimestampTz due_at);

/* The first due time of the queue, or the first next timer of any visit, after `now`; 0: there is none. */
extern TimestampTz wf_due_next(const char *queue, TimestampTz now);
extern TimestampTz wf_alarm_next(TimestampTz now);

/* All queues in which visits are due, now or later: a List of palloc'd strings. */
extern List *wf_due_queues(void);

/*
 * Find those of the visits that want no request any more, since they have ended or other
 * transactions have moved them on: their numbers are written to `gone`. Returns how many.
 */
extern int wf_visits_not_calling(const int64 *instances, const int64 *visits, int n, int64 *gone);

/*
 * Find those of the instances that still live: their numbers are written to `living`. Returns how
 * many. One that lives, and that the caller could not lock, is locked by another transaction.
 */
extern int wf_instances_living(const int64 *ids, int n, int64 *living);

#endif
