/*
 * sql_step.h
 *		The statement of a visit, and the move that follows from it.
 */
#ifndef WF_SQL_STEP_H
#define WF_SQL_STEP_H

#include "postgres.h"

#include "engine/engine.h"
#include "store/access.h"

/* Is a statement to be run for this visit now? */
extern bool wf_sql_step_is_due(const WfBatch *batch, const WfVisit *visit);

/*
 * Run the statement of a visit that is claimed, then lock its instance and move the visit on. The
 * visit was loaded by wf_sql_step_look, or with its instance locked. Called inside wf_store_enter, and
 * returns so. Unless the answer is WF_STEP_DONE, the caller rolls the transaction back.
 */
typedef enum WfStepEnd
{
	WF_STEP_DONE,
	/* Other transactions have ended or changed the visit meanwhile. */
	WF_STEP_OVERTAKEN,
	/* Another transaction holds the instance, and may wait for rows that the statement has locked. */
	WF_STEP_GAVE_WAY
} WfStepEnd;
extern WfStepEnd wf_sql_step_run(WfAccess *access, WfBatch *batch, WfVisit *visit);

/*
 * The same for a visit beside others in a transaction: its statement has little time, and nobody is waited for. Unless it
 * returns true, the caller rolls back what it has done, and the visit is due as before, to be run alone.
 * wf_sql_step_begins_beside comes before the look at the visit; wf_sql_step_suits says whether to try.
 */
extern bool wf_sql_step_run_beside(WfAccess *access, WfBatch *batch, WfVisit *visit);
extern void wf_sql_step_begins_beside(void);
extern bool wf_sql_step_suits(const WfVisit *visit);

/* Look at a visit without its lock, and without what its own statement has done. */
extern void wf_sql_step_look(WfBatch *batch, int64 instance, int64 visit);

/*
 * The statement failed because something was lacking: its visit is due again after a pause, and the
 * attempt does not count. The row waits, and not the executor.
 */
extern void wf_sql_step_postpone(WfBatch *batch, WfVisit *visit, WfLack lack, const WfFault *fault);
/*
 * The transaction that is about to commit takes what came of the visit's statement as its answer, so
 * that the statement is not begun again, unless that commit fails.
 */
extern void wf_sql_step_answered(int64 visit);

/* To be called at the beginning of each transaction, and after its commit. */
extern void wf_sql_step_transaction_begins(void);
extern void wf_sql_step_transaction_committed(void);
/* Has this transaction postponed a visit? */
extern bool wf_sql_step_was_postponed(void);

/* The visit whose statement is running; 0: none. */
extern int64 wf_sql_step_running(void);

#endif
