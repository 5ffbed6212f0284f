/*
 * executors.h
 *		The executors of one database, as they see themselves; and what became of those that were started.
 */
#ifndef WF_EXECUTORS_H
#define WF_EXECUTORS_H

#include "postgres.h"

extern Oid wf_executor_role(void); /* the role that this executor serves */
/*
 * Does another role wait for this executor's place? To be asked between two pieces of work. An
 * executor should not be idle when it leaves for that reason.
 */
extern bool wf_executor_must_leave(void);
extern void wf_executor_attach(void);
/*
 * Say whether this executor is idle. It should say false, look for work until there is none, say
 * true, and wait for its latch, which is set if it was called in between. One that exits should be
 * idle; otherwise it counts as having left work behind, and the dispatcher gets a wake-up for the
 * executors' queue, due at -infinity.
 */
extern void wf_executor_idle(bool idle);

/*
 * Remember an uncancellable visit: its SQL did not end, so an executor had to. The next executor
 * asks by wf_uncancellable_is, does not run it, and forgets it once that is committed.
 */
extern void wf_uncancellable_add(int64 visit);
extern bool wf_uncancellable_is(int64 visit);
extern void wf_uncancellable_forget(int64 visit);
/* Deliveries are remembered among visits, by negative numbers. */
#define WF_UNCANCELLABLE_DELIVERY(delivery) (-(delivery))

/* For the dispatcher: executors that were started and never attached give up their places. */
extern void wf_executors_reap(void);

#endif
