/*
 * chores.h
 *		Deliveries that executors carry out: write-backs, handed-over replies, upkeep.
 */
#ifndef WF_CHORES_H
#define WF_CHORES_H

#include "postgres.h"

#include "store/due.h"

/*
 * Carry out one of this queue, within a transaction. False: there is none. Leaves in key->due_at the number of the delivery, so that
 * one that fails can be postponed; and in key->visit the visit that it moves, 0: none. *delivering is its number
 * while it runs what users have written.
 */
extern bool wf_chores_work(const char *queue, WfDueKey *key, int64 *delivering);

#endif
