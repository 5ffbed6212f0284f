/*
 * limit.h
 *		How long a piece of work may take, and how its errors are caught.
 *
 * A process has one time limit at a time. What exceeds it is cancelled like a statement, with 57014.
 */
#ifndef WF_LIMIT_H
#define WF_LIMIT_H

#include "postgres.h"

#include "model/fault.h"

/* Begin a time limit of limit_ms milliseconds; 0: there is none. */
extern void wf_limit_begin(int limit_ms);
/* The same for moves, limit_ms above 0; a move may also take no longer than its owner's budget allows (budget.h). */
extern void wf_limit_begin_moves(int limit_ms);
/* The same for users' SQL, which can catch a cancel: it is cancelled several times, and then this process ends. */
extern void wf_limit_begin_sql(int limit_ms);
/*
 * The same for users' SQL that runs beside others: a few milliseconds, and less if it waits for a lock. `longest_ms`: what wf_limit_begin_sql
 * would be given; before that, this process does not end.
 */
extern void wf_limit_begin_beside(int longest_ms);
/* Is, or was, the last limit of that kind? */
extern bool wf_limit_is_beside(void);
/* Is this limit, 0: none, above that which wf_limit_begin_beside sets? */
extern bool wf_limit_leaves_room(int limit_ms);
extern void wf_limit_end(void);

/* The rest asks about the limit that was begun last, whether it has ended or not. Was it exceeded? */
extern bool wf_limit_was_hit(void);
/* Does this process end, since the work was uncancellable? */
extern bool wf_limit_ends_us(void);
/* Was it exceeded while this process waited for another transaction's lock? */
extern bool wf_limit_hit_in_lock(void);

/*
 * To be called in PG_CATCH: end the time limit, copy the error to `context`, and abort the transaction. A cancel is
 * handled like any other error; a termination (SIGTERM) is none, since it never gets here.
 */
extern ErrorData *wf_catch(MemoryContext context);
/* Did the work exceed the memory limit of this worker? To be asked before another error is thrown. */
extern bool wf_catch_took_too_much(const ErrorData *error);
/* Make a fault of an error that a move has thrown. */
extern void wf_catch_fault(const ErrorData *error, WfFault *fault);

#endif
