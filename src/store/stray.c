/*
 * stray.c
 *		Strays: rows of the history that were stored while their week had no partition.
 *
 * A stray is moved to its partition as soon as there is one, and deleted with its retention even if
 * there never will be. Both go by blocks of the table, each in a transaction of its own, so that no
 * row is looked at twice.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/access.h"
#include "store/history.h"
#include "store/history_internal.h"
#include "store/query.h"

#define BLOCKS 128

/* The condition for rows `h` of the next blocks; NULL if there are no more blocks. */
static char *
next_blocks(const WfHistoryTable *table, uint32 *block)
{
	Relation rel = relation_open(wf_store_relation(table->stray), AccessShareLock);
	char	*condition = NULL;

	if (*block < RelationGetNumberOfBlocks(rel))
	{
		condition = psprintf("h.ctid >= '(%u,0)' AND h.ctid < '(%u,0)'", *block, *block + BLOCKS);
		*block += BLOCKS;
	}
	relation_close(rel, NoLock);
	return condition;
}

static int
weeks_within(const WfHistoryTable *table, const char *blocks, TimestampTz **weeks)
{
	int n = (int) wf_query_run_text(psprintf("SELECT DISTINCT date_trunc('week', h.stored_at AT TIME ZONE 'UTC') "
											 "AT TIME ZONE 'UTC' FROM workflow_data.%s h WHERE %s",
											 table->stray, blocks));

	*weeks = palloc(sizeof(TimestampTz) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*weeks)[i] = wf_result_int64(i, 1);
	return n;
}

static void
settle_week(const WfHistoryTable *table, const char *blocks, TimestampTz week)
{
	char *from = pstrdup(timestamptz_to_str(week));

	wf_query_run_text(psprintf("WITH moved AS (DELETE FROM workflow_data.%s h WHERE %s "
							   "AND h.stored_at >= '%s' AND h.stored_at < '%s' RETURNING h.*) "
							   "INSERT INTO workflow_data.%s (%s, stored_at) SELECT %s, stored_at FROM moved",
							   table->stray, blocks, from, timestamptz_to_str(week + WF_ONE_WEEK), table->name,
							   table->columns, table->columns));
}

bool
wf_strays_settle(WfHistory history, uint32 *block)
{
	const WfHistoryTable *table = &wf_history_tables[history];
	char				 *blocks = next_blocks(table, block);
	TimestampTz			 *weeks;
	int					  n;

	if (blocks == NULL)
		return false;
	n = weeks_within(table, blocks, &weeks);
	for (int i = 0; i < n; i++)
		if (wf_history_has(history, weeks[i]))
			settle_week(table, blocks, weeks[i]);
	return true;
}

bool
wf_strays_purge(WfHistory history, const char *retention, uint32 *block, bool *purged)
{
	const WfHistoryTable *table = &wf_history_tables[history];
	char				 *blocks = next_blocks(table, block);

	if (blocks == NULL)
		return false;
	if (wf_query_run_text(psprintf("DELETE FROM workflow_data.%s h WHERE %s AND h.stored_at < %s AND NOT %s",
								   table->stray, blocks, wf_history_cutoff(retention),
								   wf_history_kept(table, retention))) > 0)
		*purged = true;
	return true;
}
