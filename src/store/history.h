/*
 * history.h
 *		The history: what ended. Partitions of a week each, made weeks ahead by executors and dropped when they are past
 *		retention; and a table for strays beside each parent, which takes what comes while a partition is missing. Whoever
 *		reads the history reads both.
 */
#ifndef WF_HISTORY_H
#define WF_HISTORY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* In the order in which they are purged: what goes with an instance before the instance itself. */
typedef enum WfHistory
{
	WF_VISIT_HISTORY,
	WF_ATTEMPT_HISTORY,
	WF_INSTANCE_HISTORY,
} WfHistory;

#define WF_HISTORY_TABLES 3

/* For FROM: all rows of visit, attempt or instance that have ended. */
#define WF_ENDED(what) \
	"(SELECT * FROM workflow_data." what "_history UNION ALL SELECT * FROM workflow_data." what "_stray)"

/* All functions: inside wf_store_enter. */

/*
 * Is there a partition for what is stored then? It does not go before the end of this transaction, which is locked as an INSERT
 * does. Nearly free.
 */
extern bool wf_history_has(WfHistory history, TimestampTz stored_at);

/* Were there ever any? No lock, and free. */
extern bool wf_history_begun(void);

/* ---- making ---- */
typedef struct WfPartition
{
	WfHistory	history;
	TimestampTz week; /* when it begins */
	char		name[NAMEDATALEN];
} WfPartition;

/*
 * What should be there and is not: of this week, of the next ones, and of those that strays are of. None before the first start:
 * an empty database is to be restored as it was. A List of WfPartition, palloc'd.
 */
extern List *wf_history_missing(TimestampTz now);

/* Make one, if nobody else has. ERROR: 55P03 if a lock is not to be had, 55000 if a table of that name is there. */
extern void wf_history_make(const WfPartition *partition);

/* ---- purging, each call in a transaction of its own ---- */

/*
 * What must not go with its partition is first moved into the current one: wf_history_forward looks at some blocks and
 * returns whether there may be more; `at` is zero at first. Then the partitions of each parent that are past `retention` (an
 * interval as text) are dropped: wf_history_drop looks through one, under a lock that is in nobody's way, and drops
 * it under locks that are waited for shortly or not had at all; true if it did. `hurry` is called before it asks for those.
 */
typedef struct WfForward
{
	int			history;
	char		name[NAMEDATALEN];
	uint32		block; /* 0: the next partition */
} WfForward;

extern bool wf_history_forward(WfForward *at, const char *retention);
extern bool wf_history_drop(WfHistory history, const char *retention, void (*hurry) (void));

/* After something was purged: late callbacks are kept as long as the history of their visit. */
extern void wf_history_purge_late(void);

/* Delete some instances whose process keeps them for a shorter time. True if there may be more. */
extern bool wf_history_trim(void);

/* ---- erasing ---- */

/* Delete an instance that has ended, and all of it. False: somebody else has done so meanwhile. */
extern bool wf_history_erase(int64 instance);

/* ---- strays ---- */

/* Move some blocks of strays to where they belong, as far as that is there. True if there may be more; *block is 0 at first. */
extern bool wf_strays_settle(WfHistory history, uint32 *block);

extern bool wf_strays_any(void);

/* Delete those that are past retention, some blocks of them, likewise. *purged: something was. */
extern bool wf_strays_purge(WfHistory history, const char *retention, uint32 *block, bool *purged);

#endif
