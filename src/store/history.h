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

/* Make the partitions of this week and the next ones. Takes a lock that makes other makers wait. */
extern void wf_history_ahead(TimestampTz now);

/*
 * Purging, in two kinds of transactions: what belongs to instances that still live is first moved into the current partition, holding up
 * nobody; then one partition at a time that is past `retention` (an interval as text) is dropped, under locks that are
 * waited for shortly or not had at all. wf_history_drop returns whether one was dropped.
 */
extern void wf_history_forward(TimestampTz now, const char *retention);
extern bool wf_history_drop(const char *retention);

/* After partitions were dropped: late callbacks are kept as long as the history of their visit. */
extern void wf_history_purge_late(void);

/* Delete some instances whose process keeps them for a shorter time. True if there may be more. */
extern bool wf_history_trim(void);

#endif
