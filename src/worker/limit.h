/*
 * limit.h
 *		How long a piece of work may take, and how its errors are caught.
 */
#ifndef WF_LIMIT_H
#define WF_LIMIT_H

#include "postgres.h"

#include "model/fault.h"

/* Arm the time limit; 0: none. */
extern void wf_limit_begin(int limit_ms);
extern void wf_limit_begin_moves(int limit_ms); /* and that of owners, who may have less time left for their moves */
extern void wf_limit_begin_sql(int limit_ms);	/* for a user's SQL: what does not heed it ends with this process */
extern void wf_limit_end(void);
extern bool wf_limit_was_hit(void);
extern bool wf_limit_ends_us(void);		/* … and was not heeded for so long that this process has to end */
extern bool wf_limit_hit_in_lock(void); /* … while it waited for somebody else */

/*
 * Call in PG_CATCH: copies the error into `context`, aborts the transaction. A cancel is an error like others, and a real
 * shutdown is none.
 */
extern ErrorData *wf_catch(MemoryContext context);
/* Did it take more memory than this process allows itself? Ask at once. */
extern bool wf_catch_took_too_much(const ErrorData *error);
extern void wf_catch_fault(const ErrorData *error, WfFault *fault);

#endif
