/*
 * relation.h
 *		Rows of one table, read and written through its access method and those of its indexes,
 *		without a statement.
 *
 * Starting an executor costs several times what heap and index do for a row. What it did silently is
 * done here: privileges, read-only transactions, row triggers, constraints, defaults and generated
 * columns, replica identity, indexes of whatever kind, rows that have changed while they were waited
 * for. A rule, a policy, a statement trigger, a trigger with transition tables or a child table, all
 * of which only statements heed, is ERROR 55000.
 *
 * A relation is open for one use, and sees and does what one statement would: nothing that was done
 * since it was opened is found by it, and all of it is by what is opened after it was closed.
 */
#ifndef WF_RELATION_H
#define WF_RELATION_H

#include "postgres.h"

#include "access/attnum.h"
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "utils/snapshot.h"

/* The columns that are read and written, by their names in the table. */
typedef struct WfRelationColumn
{
	const char *name;
	Oid			type;
	bool		updated; /* wf_relation_update may change it */
} WfRelationColumn;

/* Lives as long as the process. */
typedef struct WfRelationColumns
{
	const WfRelationColumn *columns;
	int						n;
} WfRelationColumns;

typedef enum WfRelationUse
{
	WF_RELATION_READ,
	WF_RELATION_LOCK, /* FOR NO KEY UPDATE */
	WF_RELATION_INSERT,
	WF_RELATION_UPDATE,
	WF_RELATION_DELETE,
} WfRelationUse;

typedef struct WfRelation WfRelation;

/*
 * Open a table, inside wf_store_enter. It is locked until the end of the transaction, as by a
 * statement. Rows are found as the latest snapshot sees them, whatever the isolation level, or as
 * `snapshot` does, if it is not NULL. ERROR 25006 if the transaction is read-only, 42501 without the
 * privilege, 55000 if something is there that only statements heed, or a column is missing.
 */
extern WfRelation *wf_relation_open(Oid relid, const WfRelationColumns *columns, WfRelationUse use, Snapshot snapshot);
/*
 * Open a partition, to insert what would be routed there. Rights and what statements heed are those
 * of the parent, which the caller has to have locked.
 */
extern WfRelation *wf_relation_open_partition(Oid parent, Oid partition, const WfRelationColumns *columns);
/* Fires triggers that come after the statement. */
extern void wf_relation_close(WfRelation *rel);

/* ---- reading ---- */

/*
 * Find the row of a primary key that has `nkeys` columns, all bigint. False: there is none. Or, with
 * the first of them alone, the first row in the order of the key; wf_relation_next goes on.
 */
extern bool wf_relation_find(WfRelation *rel, const int64 *keys, int nkeys);
extern bool wf_relation_next(WfRelation *rel);

typedef struct WfRowPlace WfRowPlace;
/* Find the row of a key where some transaction of this process has seen it, or by the key. */
extern bool wf_relation_find_at(WfRelation *rel, const WfRowPlace *row);

/*
 * Lock the row that was found. If somebody has changed it meanwhile, the row is the latest version.
 * False: it is gone, or, without waiting, locked by somebody else. ERROR 40001 if it has changed
 * since the snapshot of a transaction of which all statements see the same.
 */
extern bool wf_relation_lock(WfRelation *rel, LockWaitPolicy policy);

/* Of the row that was found: a value, which lives until the next row, a column of the key, its bytes, its place. */
extern Datum		   wf_relation_value(WfRelation *rel, int column, bool *isnull);
extern int64		   wf_relation_key(WfRelation *rel, int column);
extern Size			   wf_relation_row_size(WfRelation *rel, bool *has_external);
extern ItemPointerData wf_relation_place(WfRelation *rel);

/* ---- writing ---- */

/*
 * Which row: its key, and the place where this transaction has found it, which it may have left since. A place that is
 * not valid is not known.
 */
struct WfRowPlace
{
	int64			keys[2];
	int				nkeys;
	ItemPointerData place;
};

/*
 * Each writes one row, and returns false if nothing was done: there is no such row, or a trigger
 * said no. Values are in the order of the columns. An update leaves columns as they are that are not
 * `given`. ERROR 40001 as above.
 *
 * Rows are inserted many at a time, if no trigger looks at each, and all when the relation is closed:
 * what is wrong with one may be said then.
 */
extern bool wf_relation_insert(WfRelation *rel, const Datum *values, const bool *nulls);
extern bool wf_relation_update(WfRelation *rel, const WfRowPlace *row, const Datum *values, const bool *nulls,
							   const bool *given);
extern bool wf_relation_delete(WfRelation *rel, const WfRowPlace *row);
/* Where the row is that was updated. */
extern ItemPointerData wf_relation_new_place(WfRelation *rel);

#endif
