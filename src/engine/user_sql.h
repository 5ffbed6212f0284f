/*
 * user_sql.h
 *		The SQL of steps: checked at define, run by executors, always as the process owner.
 */
#ifndef WF_USER_SQL_H
#define WF_USER_SQL_H

#include "postgres.h"

#include "engine/engine.h"

/*
 * Does `sql` parse and analyse, as one statement that a step may have? Inside wf_store_enter. Throws nothing: false with
 * *message and *hint (either may be NULL) in CurrentMemoryContext.
 */
extern bool wf_user_sql_check(const char *sql, const char *search_path, Oid owner, char **message,
							  char **hint);

/*
 * Run the statement, or the NOTIFY, of a visit's step as `owner`, outside wf_store_enter, within a transaction. What fails is undone
 * and becomes a fault of the answer, a cancel too; everything else of the transaction stays. `judge` is shown the
 * error, and may say more of it in the answer.
 */
typedef void (*WfJudge) (const ErrorData *error, WfAnswer *answer);
extern void wf_user_sql_run(WfVisit *visit, Oid owner, WfJudge judge, WfAnswer *answer);

#endif
