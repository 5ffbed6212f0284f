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

/* Timeout of a lock for which others queue behind us. */
#define WF_LOCK_TIMEOUT_MS "200"

typedef struct WfHistoryTable
{
	const char *name;
	const char *stray;
	const char *keys; /* keys of each partition, for CREATE TABLE; "": none */
	/* What stands behind the table's name in CREATE INDEX; NULL: no more. */
	const char *indexes[2];
	const char *columns;  /* all columns but stored_at */
	bool		of_steps; /* rows are parts of instances, and are kept as long as these */
} WfHistoryTable;

extern const WfHistoryTable wf_history_tables[];

/*
 * wf_history_kept gives a condition, palloc'd, for rows `h` of the table that must be kept though
 * past `retention`. Rows whose stored_at is before the SQL expression of wf_history_cutoff are past
 * it.
 */
extern char *wf_history_kept(const WfHistoryTable *table, const char *retention);
extern char *wf_history_cutoff(const char *retention);

/* Run a statement by SPI; throws if it fails. */
extern void wf_history_run(const char *sql);

/* Wait for a lock, but not longer than the timeout. Returns false if it was not to be had. */
extern bool wf_history_lock_within(Oid relid, LOCKMODE mode, const char *timeout_ms);

#endif
