/*
 * history.c
 *		The end of the history: what is past retention is deleted, by whole partitions or by the
 *		instance.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/access.h"
#include "store/history.h"
#include "store/history_internal.h"
#include "store/query.h"

/*
 * Timeout of a lock for which nobody queues behind us: a vacuum gives way to it after
 * deadlock_timeout.
 */
#define SHARE_TIMEOUT_MS "5000"
/* Instances past their own retention that one transaction deletes. */
#define TRIM_CHUNK 5000
/* Blocks of a partition that one transaction searches for rows to be kept. */
#define FORWARD_BLOCKS 128

static WfQuery q_expired = {
	.sql = "SELECT c.relname::text FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid "
		   "WHERE h.inhparent = $2::regclass AND NOT h.inhdetachpending "
		   "AND $1::interval > interval '0' "
		   "AND right(c.relname, 8) < to_char(date_trunc('week', (clock_timestamp() - $1::interval) "
		   "AT TIME ZONE 'UTC'), 'YYYYMMDD') ORDER BY 1",
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
};
/*
 * Delete late callbacks of visits that are gone, and keys of webhooks of such instances. Each row is looked up in all partitions, so this
 * runs only after a partition was dropped.
 */
/* SQL that is put together */
/* clang-format off */
static WfQuery q_purge_late = {
	.sql = "DELETE FROM workflow_data.late_callback l WHERE NOT EXISTS (SELECT FROM " WF_ENDED("visit") " h "
		   "WHERE h.instance = l.instance AND h.visit = l.visit) "
		   "AND NOT EXISTS (SELECT FROM workflow_data.visit v "
		   "WHERE v.instance = l.instance AND v.visit = l.visit)",
};
static WfQuery q_purge_webhooks = {
	.sql = "DELETE FROM workflow_data.webhook_start w WHERE NOT EXISTS (SELECT FROM " WF_ENDED("instance") " h "
		   "WHERE h.instance = w.instance) "
		   "AND NOT EXISTS (SELECT FROM workflow_data.instance i WHERE i.instance = w.instance)",
};
/* clang-format on */

/* The partitions of a parent that hold nothing younger than `retention`: a List of names, oldest first. */
static List *
expired(const char *parent, const char *retention)
{
	Datum  values[2] = {CStringGetTextDatum(retention), CStringGetTextDatum(psprintf("workflow_data.%s", parent))};
	uint64 n = wf_query_run(&q_expired, values, NULL);
	List  *names = NIL;

	for (uint64 i = 0; i < n; i++)
		names = lappend(names, wf_result_text(i, 1));
	return names;
}

/*
 * Rows of an expired partition that must not be deleted with it: those of instances that live, or
 * that are kept longer themselves. %1$s is the general retention.
 */
/* SQL that is put together */
/* clang-format off */
#define CUTOFF                                                                                     \
	"(date_trunc('week', (clock_timestamp() - %1$s::interval) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')"
#define KEPT_BY_PROCESS(h)                                                                         \
	"EXISTS (SELECT FROM workflow_data.process p WHERE p.process_id = " h ".process_id "                \
	"AND p.retention IS NOT NULL "                                                                 \
	"AND (p.retention = interval '0' OR " h ".ended_at > clock_timestamp() - p.retention))"
#define KEPT_STEP                                                                                  \
	"(EXISTS (SELECT FROM workflow_data.instance i WHERE i.instance = h.instance) "                     \
	"OR EXISTS (SELECT FROM " WF_ENDED("instance") " k WHERE k.instance = h.instance "            \
	"AND (k.stored_at >= " CUTOFF " OR " KEPT_BY_PROCESS("k") ")))"
#define KEPT_INSTANCE "(" KEPT_BY_PROCESS("h") " AND %1$s IS NOT NULL)"
/* clang-format on */

char *
wf_history_kept(const WfHistoryTable *table, const char *retention)
{
	char *literal = quote_literal_cstr(retention);

	return table->of_steps ? psprintf(KEPT_STEP, literal) : psprintf(KEPT_INSTANCE, literal);
}

char *
wf_history_cutoff(const char *retention)
{
	/* a retention of zero keeps everything for ever */
	return psprintf("CASE WHEN %1$s::interval > interval '0' THEN " CUTOFF " END", quote_literal_cstr(retention));
}

/* SQL that is put together */
/* clang-format off */
#define OF_INSTANCE(h)                                                                             \
	"workflow.serial_number(" h ".instance, " h ".visit) COLLATE \"C\" >= o.instance || '_' "        \
	"AND workflow.serial_number(" h ".instance, " h ".visit) COLLATE \"C\" < o.instance || '`'"

#define TRIM(name, table, condition) \
	name " AS (DELETE FROM workflow_data." table " h USING over o WHERE " condition ")"
/*
 * Delete all that the instances of a CTE `over` have left behind; returns how many instances there
 * were.
 */
#define DELETE_OVER                                                                                                    \
	"i AS (DELETE FROM workflow_data.instance_history h USING over o WHERE h.instance = o.instance RETURNING 1), "     \
	"s AS (DELETE FROM workflow_data.instance_stray h USING over o WHERE h.instance = o.instance RETURNING 1), "       \
	TRIM("v", "visit_history", "h.instance = o.instance") ", "                                                         \
	TRIM("vs", "visit_stray", "h.instance = o.instance") ", "                                                          \
	TRIM("a", "attempt_history", OF_INSTANCE("h")) ", "                                                                \
	TRIM("sa", "attempt_stray", OF_INSTANCE("h")) ", "                                                                 \
	TRIM("l", "late_callback", OF_INSTANCE("h")) ", "                                                                  \
	TRIM("au", "audit", "h.instance = o.instance") ", "                                                                  \
	"op AS (DELETE FROM workflow_data.operation h USING over o WHERE h.instance = o.instance RETURNING h.operation), "   \
	"oh AS (DELETE FROM workflow_data.operation_headers h USING op o WHERE h.operation = o.operation), "                 \
	TRIM("wh", "webhook_start", "h.instance = o.instance") ", "                                                           \
	TRIM("me", "message", "h.instance = o.instance") " "                                                                  \
	"SELECT (SELECT count(*) FROM i) + (SELECT count(*) FROM s)"
/* clang-format on */

/* Those of a CTE `old`, and those that have posted their data. */
#define AND_POSTINGS \
	"over AS MATERIALIZED (SELECT d.instance FROM old d UNION SELECT unnest(o.callbacks_before || o.callback) FROM old d " \
	"JOIN workflow_data.operation o ON o.instance = d.instance WHERE o.callback IS NOT NULL), "

/* SQL that is put together */
/* clang-format off */
/* What is still to be done for an instance, or to be told of it, keeps it. */
static WfQuery q_trim = {
	.sql = "WITH old AS MATERIALIZED (SELECT h.instance FROM " WF_ENDED("instance") " h "
		   "JOIN workflow_data.process p ON p.process_id = h.process_id "
		   "WHERE p.retention > interval '0' AND h.ended_at < clock_timestamp() - p.retention "
		   "AND NOT EXISTS (SELECT FROM workflow_data.operation o WHERE o.instance = h.instance AND (o.done_at IS NULL "
		   "OR o.callback_due OR EXISTS (SELECT FROM workflow_data.instance i WHERE i.instance = o.callback))) "
		   "LIMIT $1), " AND_POSTINGS DELETE_OVER,
	.nargs = 1, .argtypes = {INT4OID},
};
/* clang-format on */
static WfQuery q_erase = {
	.sql = "WITH old AS MATERIALIZED (SELECT $1 AS instance), " AND_POSTINGS DELETE_OVER,
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* Else an executor that has not committed yet may have begun to post its data. */
static WfQuery q_hold = {
	.sql = "SELECT FROM workflow_data.operation WHERE instance = $1 ORDER BY instance, operation FOR UPDATE",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* With those that have posted its data; one of them that still does, or 0. */
static WfQuery q_posting = {
	.sql = "SELECT i.instance FROM workflow_data.operation o JOIN workflow_data.instance i ON i.instance = o.callback "
		   "WHERE o.instance = $1 LIMIT 1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

static WfQuery q_any_own = {
	.sql = "SELECT 1 FROM workflow_data.process WHERE retention > interval '0' LIMIT 1",
};

bool
wf_history_trim(void)
{
	Datum values[1] = {Int32GetDatum(TRIM_CHUNK)};

	if (wf_query_run(&q_any_own, NULL, NULL) == 0)
		return false;
	wf_query_run(&q_trim, values, NULL);
	return wf_result_int64(0, 1) >= TRIM_CHUNK;
}

int64
wf_history_posting(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};

	wf_query_run(&q_hold, values, NULL);
	return wf_query_run(&q_posting, values, NULL) > 0 ? wf_result_int64(0, 1) : 0;
}

bool
wf_history_erase(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};

	wf_query_run(&q_erase, values, NULL);
	return wf_result_int64(0, 1) > 0;
}

/*
 * Move on to the first expired partition after `at`, of this parent or the next ones. Returns false
 * if there is none.
 */
static bool
find_expired(WfForward *at, const char *retention)
{
	ListCell *lc;

	for (; at->history < WF_HISTORY_TABLES; at->history++, at->name[0] = '\0')
	{
		foreach (lc, expired(wf_history_tables[at->history].name, retention))
		{
			if (strcmp(lfirst(lc), at->name) <= 0)
				continue;
			strlcpy(at->name, lfirst(lc), sizeof(at->name));
			at->block = 0;
			return true;
		}
	}
	return false;
}

/* Open a partition; NULL if it does not exist any more. */
static Relation
open_partition(const char *name)
{
	Oid relid = get_relname_relid(name, wf_store_schema());

	return OidIsValid(relid) ? try_relation_open(relid, RowExclusiveLock) : NULL;
}

/*
 * Move the rows to be kept, of the next blocks, to the current partition. Going by blocks, no row
 * is looked at twice.
 */
static void
forward_blocks(const WfForward *at, const char *retention)
{
	const WfHistoryTable *table = &wf_history_tables[at->history];
	TimestampTz			  now = GetCurrentTimestamp();

	wf_query_run_text(psprintf("WITH moved AS (DELETE FROM workflow_data.%s h "
							   "WHERE h.ctid >= '(%u,0)' AND h.ctid < '(%u,0)' AND %s RETURNING h.*) "
							   "INSERT INTO workflow_data.%s (%s, stored_at) SELECT %s, '%s' FROM moved",
							   at->name, at->block, at->block + FORWARD_BLOCKS, wf_history_kept(table, retention),
							   wf_history_has(at->history, now) ? table->name : table->stray, table->columns,
							   table->columns, timestamptz_to_str(now)));
}

bool
wf_history_forward(WfForward *at, const char *retention)
{
	Relation partition;

	if (at->block == 0 && !find_expired(at, retention))
		return false;
	partition = open_partition(at->name);
	if (partition != NULL && at->block < RelationGetNumberOfBlocks(partition))
	{
		forward_blocks(at, retention);
		at->block += FORWARD_BLOCKS;
	}
	else
		at->block = 0; /* the next partition */
	if (partition != NULL)
		relation_close(partition, NoLock);
	return true;
}

static WfQuery q_own = {
	.sql = "SELECT string_agg(process_id || ' ' || retention, ', ' ORDER BY process_id) FROM workflow_data.process "
		   "WHERE retention IS NOT NULL",
};

/* The retentions of all processes, as one text, to see whether any has changed. */
static char *
own_retentions(void)
{
	char *text;

	wf_query_run(&q_own, NULL, NULL);
	text = wf_result_text(0, 1);
	return text != NULL ? text : "";
}

/*
 * Does the partition hold rows to be kept? Runs as plain SPI, since for so many rows the planner
 * may well choose a hash join, which wf_query_run does not allow.
 */
static bool
holds_kept(const WfHistoryTable *table, const char *name, const char *retention)
{
	int rc = SPI_execute(psprintf("SELECT FROM workflow_data.%s h WHERE %s", name, wf_history_kept(table, retention)),
						 false, 1);

	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(rc));
	return SPI_processed > 0;
}

/*
 * Drop an expired partition. Searching it for rows to be kept may take minutes; the ShareLock
 * meanwhile keeps out only writers, of which there are none any more. Rows to be kept do not appear
 * later, unless a process is kept longer than before, which is checked.
 *
 * On a busy system the history is always locked by somebody, so dropping means queueing for
 * AccessExclusiveLock. Since all others then queue behind us, we neither wait long for the locks,
 * nor hold them long for event triggers on DROP.
 */
static bool
drop_partition(const WfHistoryTable *table, const char *name, const char *retention, void (*hurry)(void))
{
	Oid	  relid = get_relname_relid(name, wf_store_schema());
	char *own;

	if (!OidIsValid(relid) || !wf_history_lock_within(relid, ShareLock, SHARE_TIMEOUT_MS))
		return false;
	own = own_retentions();
	/* rows to be kept came after others were moved: they are moved next time */
	if (holds_kept(table, name, retention))
		return false;
	hurry();
	if (!wf_history_lock_within(wf_store_relation(table->name), AccessExclusiveLock, WF_LOCK_TIMEOUT_MS) ||
		!wf_history_lock_within(relid, AccessExclusiveLock, WF_LOCK_TIMEOUT_MS))
		return false;
	if (strcmp(own, own_retentions()) != 0)
		return false;
	wf_history_run(psprintf("DROP TABLE workflow_data.%s", name));
	return true;
}

bool
wf_history_drop(WfHistory history, const char *retention, void (*hurry)(void))
{
	const WfHistoryTable *table = &wf_history_tables[history];
	List				 *names = expired(table->name, retention);

	return names != NIL && drop_partition(table, linitial(names), retention, hurry);
}

void
wf_history_purge_late(void)
{
	wf_query_run(&q_purge_late, NULL, NULL);
	wf_query_run(&q_purge_webhooks, NULL, NULL);
}
