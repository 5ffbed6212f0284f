/*
 * work.h
 *		Work that workers fetch: what visits with a topic wait for.
 *
 * Whoever moves a token makes, deletes and holds rows, under the lock of the instance. Whoever fetches locks
 * only rows, and perhaps for long; nobody who holds an instance waits for him: what he has locked is left as
 * it is, and noted in work_note.
 */
#ifndef WF_WORK_H
#define WF_WORK_H

#include "utils/uuid.h"

#include "store/subscription.h"

/* ---- for whoever moves tokens ---- */

/* Write, for subscription.c: delete those of a list of WfUnsubscribed, then carry over or insert those of a list of WfSubscription. */
extern void wf_works_write(WfBatch *batch, const List *gone, const List *subscribed);

/* Hold the work of instances that were suspended, which nobody fetches then, and give free that of those that were resumed. */
extern void wf_works_flush(WfBatch *batch);
/* Hold the work in a scope that ends, but for that of these steps, until it is deleted: not all of that fits into a transaction. */
extern void wf_works_hold_inside(const WfVisit *scope, const char **but_steps, int nsteps);

/* A stored piece of work, as it was last committed, or changed by this transaction itself. */
typedef struct WfWork
{
	int64		number; /* 0: the visit has none */
	int64		instance;
	int64		visit;
	TimestampTz free_at;
	TimestampTz fetched_at; /* 0: nobody has it */
	int			failures;
	bool		is_locked; /* somebody has it, though his time may have run out */
	pg_uuid_t	lock_token;
	const char *topic;
	const char *worker; /* who has it; NULL: nobody has */
} WfWork;

/*
 * Read the work of these visits, in CurrentMemoryContext, in no order; those that have none are left out. Returns how many.
 * To be called inside wf_store_enter, with the instances locked.
 */
extern int wf_works_read(const int64 *instances, const int64 *visits, int n, WfWork **works);
/* The same of one visit: number 0 if it has none. */
extern WfWork wf_work_read(int64 instance, int64 visit);

/* Has somebody fetched it, whose time has not run out yet? */
extern bool wf_work_is_taken(const WfWork *work, TimestampTz now);

/* Has he it who has this token, though his time may have run out? */
extern bool wf_work_has_token(const WfWork *work, const pg_uuid_t *token);

/*
 * Change what has been read: nobody has it any more, and it may be fetched from `free_at` on; or whoever has it keeps it until
 * then. False: somebody else is just fetching it.
 */
extern bool wf_work_release(const WfWork *work, TimestampTz free_at, int failures);
extern bool wf_work_extend(const WfWork *work, TimestampTz until);

/* ---- for whoever fetches ---- */

/* A process and step that offers work under a topic. */
typedef struct WfOffering
{
	int			process_id;
	const char *step;
	bool		may_be_ready; /* there may be some that can be fetched now */
	bool		few;  /* so few that all were looked at: then there is some, and `next` is when there will be more */
	TimestampTz next; /* 0: not known */
} WfOffering;

/* So many are asked for at a time, at most. */
#define WF_OFFERINGS 64

/*
 * Those of a topic behind this one, in order, in CurrentMemoryContext: up to `limit`. Returns how many. The second one also looks
 * whether there is something to be fetched, which is for those who go through many.
 */
extern int wf_work_offerings(const char *topic, const WfOffering *behind, int limit, WfOffering *offerings);
extern int wf_work_offerings_when(const char *topic, const WfOffering *behind, int limit, TimestampTz now,
								  WfOffering *offerings);
/* The last process that offers something under the topic. */
extern int wf_work_last_process(const char *topic);

typedef struct WfFetch
{
	const char *topic;
	const char *worker;
	TimestampTz now;
	TimestampTz until;
	int			from; /* in which of the parts to begin */
} WfFetch;

/*
 * Fetch up to `limit` pieces of work of a process and step. They are in SPI_tuptable: instance, visit, data,
 * item, index, lock_token, heartbeat. Returns how many.
 */
extern uint64 wf_work_fetch(const WfFetch *fetch, const WfOffering *offering, int limit);

/* So many parts there are: see the index work_free. */
#define WF_WORK_PARTS 64

/* ---- for the dispatcher, and upkeep ---- */

/* Topics under which there is work, behind this one, in CurrentMemoryContext. Returns how many, up to `limit`. */
extern int wf_work_topics(const char *behind, int limit, const char **topics);
/* Is there work to be fetched under a topic? *next is when there will be some more; 0: that is not known. */
extern bool wf_work_is_ready(const char *topic, TimestampTz now, TimestampTz *next);
/* Delete work that is noted as gone and that nobody holds any more. Returns whether there may be more of it. */
extern bool wf_work_sweep(void);

#endif
