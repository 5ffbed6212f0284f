/*
 * counts.h
 *		What the view metrics counts in tables.
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
 * Count. The rows, one for each group, are in SPI_tuptable, with the columns named above; returns
 * how many. Processes that `role` may view and servers that it may use are counted; all, and what
 * belongs to none, if it is a member of pg_monitor. To be called inside wf_store_enter.
 */
extern uint64 wf_count(WfCounted counted, Oid role);

#endif
