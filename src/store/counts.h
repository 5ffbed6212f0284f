/*
 * counts.h
 *		How many there are: what the view metrics counts in tables.
 */
#ifndef WF_COUNTS_H
#define WF_COUNTS_H

#include "postgres.h"

typedef enum WfCounted
{
	WF_COUNTED_INSTANCES,	/* process, status, n */
	WF_COUNTED_VISITS,		/* process, state, step, n, since */
	WF_COUNTED_DUE,			/* work, process, server, n, since */
	WF_COUNTED_WRITE_BACKS, /* process, relation, n */
} WfCounted;

/*
 * Inside wf_store_enter: rows with these columns in SPI_tuptable, a row for each group; returns how many. Of the processes that `role` may
 * view and of the servers that it may use; of all, and of what belongs to none, if it is a member of pg_monitor.
 */
extern uint64 wf_count(WfCounted counted, Oid role);

#endif
