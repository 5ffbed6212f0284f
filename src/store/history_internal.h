/*
 * history_internal.h
 *		The tables of the history; for partition.c, history.c and stray.c alone.
 */
#ifndef WF_HISTORY_INTERNAL_H
#define WF_HISTORY_INTERNAL_H

#include "postgres.h"

#include "storage/lockdefs.h"

#include "store/history.h"

#define WF_ONE_WEEK (7 * USECS_PER_DAY)

/* of a lock that others wait behind */
#define WF_LOCK_TIMEOUT_MS "200"

typedef struct WfHistoryTable
{
	const char *name;
	const char *stray;
	const char *keys; /* of each partition; "": none */
	const char *indexes[2]; /* what stands behind the table in CREATE INDEX; NULL: no more */
	const char *columns; /* all but stored_at */
	bool		of_steps; /* they are kept as long as their instance */
} WfHistoryTable;

extern const WfHistoryTable wf_history_tables[];

/*
 * What of it must not go when it is past `retention`: a condition for rows `h` of that table, palloc'd. Whose `stored_at` is
 * before the cut-off, an expression for SQL, is past it.
 */
extern char *wf_history_kept(const WfHistoryTable *table, const char *retention);
extern char *wf_history_cutoff(const char *retention);

/* Run it by SPI. */
extern void wf_history_run(const char *sql);

/* Wait for a lock, but not for longer than that. False: somebody else has one. */
extern bool wf_history_lock_within(Oid relid, LOCKMODE mode, const char *timeout_ms);

#endif
