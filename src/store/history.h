/*
 * history.h
 *		The history: what has ended. There is a partition for each week, made weeks ahead by
 *		executors and dropped when past retention; beside each parent there is a table for strays,
 *		which takes what ends while its partition is missing. Whoever reads the history reads both.
 */
#ifndef WF_HISTORY_H
#define WF_HISTORY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "store/relation.h"

/*
 * The parents, in the order in which they are purged: the parts of an instance before the instance
 * itself.
 */
typedef enum WfHistory
{
	WF_VISIT_HISTORY,
	WF_ATTEMPT_HISTORY,
	WF_INSTANCE_HISTORY,
} WfHistory;

#define WF_HISTORY_TABLES 3

/* For FROM: all rows of visits, attempts or instances that have ended. */
#define WF_ENDED(what) \
	"(SELECT * FROM workflow_data." what "_history UNION ALL SELECT * FROM workflow_data." what "_stray)"

/* All functions have to be called inside wf_store_enter. */

/*
 * Is there a partition for what is stored at that time? If so, it is not dropped before the end of
 * this transaction, since the parent gets the lock of an INSERT. Nearly free.
 */
extern bool wf_history_has(WfHistory history, TimestampTz stored_at);
/* Open that partition for inserting, or the table for strays. */
extern WfRelation *wf_history_open(WfHistory history, TimestampTz stored_at, const WfRelationColumns *columns,
								   bool *stray);

/* The same for reading what has ended then. */
extern WfRelation *wf_history_look(WfHistory history, TimestampTz stored_at, const WfRelationColumns *columns);

/* Has this database ever had partitions? Takes no lock, and is free. */
extern bool wf_history_begun(void);

/* ---- making ---- */
typedef struct WfPartition
{
	WfHistory	history;
	TimestampTz week; /* its beginning */
	char		name[NAMEDATALEN];
} WfPartition;

/*
 * The partitions that should exist and do not: for this week, the next ones, and those of strays.
 * None before the first start, so that an empty database can be restored as it was. A List of
 * WfPartition, palloc'd.
 */
extern List *wf_history_missing(TimestampTz now);

/*
 * Make a partition, if nobody else has. ERROR 55P03 if a lock is not to be had, 55000 if a table of
 * that name exists.
 */
extern void wf_history_make(const WfPartition *partition);

/* ---- purging, each call in a transaction of its own ---- */

/*
 * wf_history_forward moves rows that must not be dropped with their partition into the current one.
 * Each call looks at some blocks and returns whether there may be more; `at` must be zero at first.
 *
 * wf_history_drop then drops one partition of the parent that is past `retention` (an interval as
 * text), and returns whether it did. It searches the partition under a lock that is in nobody's
 * way; the locks for dropping are waited for shortly, or not had at all. `hurry` is called before
 * they are asked for.
 */
typedef struct WfForward
{
	int	   history;
	char   name[NAMEDATALEN];
	uint32 block; /* 0: go to the next partition */
} WfForward;

extern bool wf_history_forward(WfForward *at, const char *retention);
extern bool wf_history_drop(WfHistory history, const char *retention, void (*hurry)(void));

/* Delete late callbacks of visits that are gone. To be called after something was purged. */
extern void wf_history_purge_late(void);

/*
 * Delete some instances that are past the shorter retention of their process. Returns true if there
 * may be more.
 */
extern bool wf_history_trim(void);

/* ---- erasing ---- */

/* An instance that still posts its data to a callback_url; 0: none does. */
extern int64 wf_history_posting(int64 instance);
/*
 * Delete an ended instance with all that belongs to it, and those that have posted its data. Returns false if somebody else has deleted
 * it meanwhile.
 */
extern bool wf_history_erase(int64 instance);

/* ---- strays ---- */

/*
 * Move some blocks of strays to their partitions, as far as these exist. Returns true if there may
 * be more; *block must be 0 at first.
 */
extern bool wf_strays_settle(WfHistory history, uint32 *block);

/* Are there any strays? */
extern bool wf_strays_any(void);

/*
 * Delete strays past retention, some blocks of them. Returns true if there may be more; *block must
 * be 0 at first; *purged is set if something was deleted.
 */
extern bool wf_strays_purge(WfHistory history, const char *retention, uint32 *block, bool *purged);

#endif
