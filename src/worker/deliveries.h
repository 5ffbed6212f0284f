/*
 * deliveries.h
 *		Deliveries that executors carry out: write-backs, handed-over replies, upkeep.
 */
#ifndef WF_DELIVERIES_H
#define WF_DELIVERIES_H

#include "postgres.h"

#include "store/due.h"

/*
 * Carry out one of this queue, within a transaction. False: there is none. *item is what was taken up, so that one that fails can be
 * postponed. *delivering is its number while it runs what users have written.
 */
extern bool wf_deliveries_work(const char *queue, WfWorkItem *item, int64 *delivering);

#endif
