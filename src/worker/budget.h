/*
 * budget.h
 *		How much of the dispatcher's time moves may take, by owner.
 *
 * The dispatcher moves the visits of all owners one after the other. An owner whose moves have taken long has spent its
 * budget: until that is forgotten, what is due for it goes to executors untried. A process one of whose moves has taken
 * very long is left to executors for longer. All of it is the dispatcher's own memory.
 */
#ifndef WF_BUDGET_H
#define WF_BUDGET_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Are moves of this process left to executors at present? To be called inside wf_store_enter. */
extern bool wf_budget_is_spent(int process_id, TimestampTz now);

/*
 * To be called around a move of this process, wf_budget_begin inside wf_store_enter. wf_budget_end returns true if the
 * budget of the owner is spent now, or the process is too slow, so that wf_budget_is_spent says so.
 */
extern void wf_budget_begin(int process_id);
extern bool wf_budget_end(void);
/* Do not count the move that is under way, if any. */
extern void wf_budget_forget(void);

/* Has the move that is under way taken more time than its owner has left? May be called by a signal handler. */
extern bool wf_budget_is_exceeded(void);

#endif
