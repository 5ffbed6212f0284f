/*
 * user_sql.h
 *		The SQL of steps: checked at define, run by executors, always as the process owner.
 */
#ifndef WF_USER_SQL_H
#define WF_USER_SQL_H

#include "postgres.h"

#include "engine/engine.h"

/*
 * Does `sql` parse and analyse, as one statement that a step may have? Throws nothing: returns
 * false with *message and *hint (either may be NULL) in CurrentMemoryContext. To be called inside
 * wf_store_enter.
 */
extern bool wf_user_sql_check(const char *sql, const char *search_path, Oid owner, char **message, char **hint);

/*
 * Run the statement or NOTIFY of a visit's step as `owner`, within a transaction and outside
 * wf_store_enter. If it fails, or is cancelled, it is undone, and the error becomes a fault of the
 * answer; everything else of the transaction stays.
 */
typedef struct WfStatementJudge
{
	/* gets the error, and may add to the answer */
	void (*failed)(const ErrorData *error, WfAnswer *answer);
	/* it has come to its end, even if it caught a cancel: does that stand? Else it is undone. NULL: always */
	bool (*stands)(void);
} WfStatementJudge;
extern void wf_user_sql_run(WfVisit *visit, Oid owner, const WfStatementJudge *judge, WfAnswer *answer);

/*
 * The same in the session of a client, which keeps its session user, advisory locks, sequences and cursors. judge->failed may throw, and
 * has to do so for a cancel, which is meant for the client's own statement.
 */
extern void wf_user_sql_play(WfVisit *visit, Oid owner, const WfStatementJudge *judge, WfAnswer *answer);

#endif
