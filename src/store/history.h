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
 * Drop what is older than `retention` (NULL or zero: nothing). Steps of instances that still live are copied forward first.
 * Gives up quietly, to be called again, when a lock is not to be had at once. Returns the number of partitions dropped.
 */
extern int	wf_history_purge(TimestampTz now, const char *retention);

#endif
