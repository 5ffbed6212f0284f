/*
 * budget.h
 *		How much of the dispatcher's time moves may take, by owner.
 *
 * The dispatcher does one thing after the other, for all. An owner whose moves have taken long has used up what it may take; what
 * it has due after that goes to executors, untried, until that is forgotten. Processes one of whose moves has taken long are left to
 * executors for longer.
 */
#ifndef WF_BUDGET_H
#define WF_BUDGET_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Is what this process has due to be left to executors? Inside wf_store_enter. */
extern bool wf_budget_is_spent(int process_id, TimestampTz now);

/* A move of this process begins; it has ended. True: it has taken long, and what its process or its owner has due is left alone now. */
extern void wf_budget_begin(int process_id);
extern bool wf_budget_end(void);
/* Whatever was under way does not count. */
extern void wf_budget_forget(void);

/* Has the move that is under way taken more than its owner has left? From a signal handler. */
extern bool wf_budget_is_exceeded(void);

#endif
