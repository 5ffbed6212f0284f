/*
 * deliveries.h
 *		Deliveries that executors carry out: replies and timers that were handed over, write-backs, upkeep.
 */
#ifndef WF_DELIVERIES_H
#define WF_DELIVERIES_H

#include "postgres.h"

#include "store/due.h"

/*
 * Carry out the first delivery that is due in this queue, within the caller's transaction and outside wf_store_enter;
 * upkeep ends that transaction, and returns in another one. Returns false if no delivery is due. *item tells the caller
 * which one was taken up, so that it can be postponed after an error, and whether others may be done beside it. *delivering is set to its number while the
 * delivery may run users' code (a write-back).
 */
extern bool wf_deliveries_work(const char *queue, WfWorkItem *item, int64 *delivering);

/*
 * Carry out the next write-back of the queue beside others in a transaction, in a subtransaction of the caller's. Returns false
 * if there is none, or it is to be done alone: then the caller rolls back.
 */
extern bool wf_deliveries_work_beside(const char *queue, int64 *delivering);

#endif
