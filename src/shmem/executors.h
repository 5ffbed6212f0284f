/*
 * executors.h
 *		The executors of one database, as they see themselves; and what became of those that were started.
 */
#ifndef WF_EXECUTORS_H
#define WF_EXECUTORS_H

#include "postgres.h"

extern Oid	wf_executor_role(void); /* of this executor */
/* Others wait for its place: to be asked between two pieces of work. It should not be idle when it goes. */
extern bool wf_executor_must_leave(void);
extern void wf_executor_attach(void);
/*
 * An executor says whether it is idle: false, then look for work until there is none, then true, then wait for the latch,
 * which is set if it was called in between. One that exits should be idle, or it counts as having left work behind,
 * which the dispatcher hears as a note for the executors' queue, due at -infinity.
 */
extern void wf_executor_idle(bool idle);

/* An executor had to end, since the SQL of this visit would not: the next one need not try. True: it is one, no more. */
extern void wf_stubborn_note(int64 visit);
extern bool wf_stubborn_take(int64 visit);
/* The same for deliveries: visits have positive numbers. */
#define WF_STUBBORN_DELIVERY(delivery) (-(delivery))

/* For the dispatcher: executors that were started and never attached give up their places. */
extern void wf_executors_reap(void);

#endif
