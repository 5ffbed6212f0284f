/*
 * history.h
 *		Partitions of the history: made ahead, a week each; dropped when they are past retention.
 */
#ifndef WF_HISTORY_H
#define WF_HISTORY_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Inside wf_store_enter: there is a partition for rows stored now, and for the weeks to come. Nearly free when there is. */
extern void wf_history_ensure(TimestampTz now);

/*
 * Make the partitions of this week and the next ones, under a lock that makes other makers wait. Not if somebody else has
 * it: a client may be making them, in a transaction that takes its time.
 */
extern void wf_history_ahead(TimestampTz now);

/*
 * Purging, each call in a transaction of its own. What must not go with its partition is first moved into the current one:
 * wf_history_forward looks at some blocks and returns whether there may be more; `at` is zero at first. Then the partitions
 * of each parent that are past `retention` (an interval as text) are dropped: wf_history_drop looks through one, under a lock
 * that is in nobody's way, and drops it under locks that are waited for shortly or not had at all; true if it did.
 */
#define WF_HISTORY_PARENTS 3

typedef struct WfForward
{
	int			parent;
	char		name[NAMEDATALEN];
	uint32		block; /* 0: the next partition */
} WfForward;

extern bool wf_history_forward(WfForward *at, const char *retention);
extern bool wf_history_drop(int parent, const char *retention);

/* After partitions were dropped: late callbacks are kept as long as the history of their visit. */
extern void wf_history_purge_late(void);

/* Delete some instances whose process keeps them for a shorter time. True if there may be more. */
extern bool wf_history_trim(void);

#endif
