/*
 * partition.c
 *		Make partitions of the history.
 *
 * A partition is a plain table with keys and indexes of its own that is then attached: pg_dump
 * carries it like any table, since it is no member of the extension. Weeks begin on Monday, 00:00
 * UTC. Executors make partitions, weeks ahead and each in a transaction of its own, since DDL fires
 * event triggers of administrators. A transaction that stores something makes none: if there is no
 * partition, rows go to a plain table for strays.
 *
 * Locks: ShareUpdateExclusive on visit_history for one maker at a time, and on the parent while the
 * partition is attached: clients neither wait for these nor hold them up. A transaction that stores
 * something holds RowExclusive on the parent from before it looks for the partition until it ends,
 * so that no partition is dropped in between.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "store/access.h"
#include "store/history.h"
#include "store/history_internal.h"
#include "store/query.h"
#include "store/row.h"
#include "store/subtransaction.h"

#define WEEKS_AHEAD 4
/* Timeout of a lock behind which no client waits. */
#define LOCK_TIMEOUT_MS "5000"
/* Timestamps count from 2000-01-01, which was a Saturday. */
#define MONDAY_OFFSET (2 * USECS_PER_DAY)

/*
 * Indexes for look-ups in the history. Rows are stored in the order of their end, so BRIN needs
 * only a few bytes for each range of pages.
 */
#define BY_SERIAL_NUMBER "((workflow.serial_number(instance, visit) COLLATE \"C\"))"
#define BY_END			 "USING brin (ended_at) WITH (pages_per_range = 32, autosummarize = on)"

const WfHistoryTable wf_history_tables[] = {
	[WF_VISIT_HISTORY] =
		{"visit_history",
		 "visit_stray",
		 ", PRIMARY KEY (instance, visit)",
		 {BY_END},
		 "instance, visit, process_id, attempts, entered_at, ended_at, step, outcome, result, completed_by, webhook, scope, item, child, begun_by",
		 true},
	[WF_ATTEMPT_HISTORY] =
		{"attempt_history",
		 "attempt_stray",
		 "",
		 {BY_SERIAL_NUMBER, "(instance)"},
		 "instance, visit, process_id, attempt, http_status, started_at, ended_at, error, incident, ended_with, ended_by",
		 true},
	[WF_INSTANCE_HISTORY] =
		{"instance_history",
		 "instance_stray",
		 ", PRIMARY KEY (instance)",
		 {"(business_key) WHERE business_key IS NOT NULL", BY_END},
		 "instance, process_id, version, attachment, started_at, ended_at, status, business_key, error, data, parent, parent_visit, root, rerun_of, traceparent, migrations",
		 false},
};

StaticAssertDecl(lengthof(wf_history_tables) == WF_HISTORY_TABLES, "all tables of the history are there");

static TimestampTz
week_of(TimestampTz t)
{
	TimestampTz since = t - MONDAY_OFFSET;
	TimestampTz within = since % WF_ONE_WEEK;

	return t - (within < 0 ? within + WF_ONE_WEEK : within);
}

/* Format the Monday that begins the week, for a partition's name or bounds. */
static void
date_of(char *buffer, size_t size, const char *format, TimestampTz week)
{
	int year, month, day;

	j2date((int) (week / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	snprintf(buffer, size, format, year, month, day);
}

static char *
date(const char *format, TimestampTz week)
{
	char *buffer = palloc(MAXDATELEN);

	date_of(buffer, MAXDATELEN, format, week);
	return buffer;
}

static char *
partition_name(const WfHistoryTable *table, TimestampTz week)
{
	return psprintf("%s_%s", table->name, date("%04d%02d%02d", week));
}

void
wf_history_run(const char *sql)
{
	int rc = SPI_execute(sql, false, 0);

	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s: %s", SPI_result_code_string(rc), sql);
}

typedef struct RelationLock
{
	Oid		 relid;
	LOCKMODE mode;
} RelationLock;

static bool
lock_relation(void *arg)
{
	const RelationLock *lock = arg;

	LockRelationOid(lock->relid, lock->mode);
	return true;
}

bool
wf_history_lock_within(Oid relid, LOCKMODE mode, const char *timeout_ms)
{
	RelationLock lock = {relid, mode};
	int			 level = NewGUCNestLevel();
	ErrorData	*error;

	(void) set_config_option("lock_timeout", timeout_ms, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	error = wf_subtransaction_run(lock_relation, &lock);
	if (error != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	AtEOXact_GUC(false, level);
	return error == NULL;
}

/* ---- does a partition exist? ---- */

/*
 * Ask the relation cache, which is invalidated when partitions come and go, instead of the
 * catalogs. A default partition counts.
 */
static Oid
find_partition(Relation parent, TimestampTz stored_at)
{
	PartitionKey key = RelationGetPartitionKey(parent);
	/* as INSERT does: omit those that are being detached, unless the snapshot is that of the whole transaction */
	PartitionDesc desc = RelationGetPartitionDesc(parent, !IsolationUsesXactSnapshot());
	Datum		  value = TimestampTzGetDatum(stored_at);
	bool		  equal;
	int			  offset;
	int			  index;

	if (desc->nparts == 0)
		return InvalidOid;
	offset = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, desc->boundinfo, 1, &value, &equal);
	index = desc->boundinfo->indexes[offset + 1];
	if (index < 0)
		index = desc->boundinfo->default_index;
	return index >= 0 ? desc->oids[index] : InvalidOid;
}

static bool
has_partition(Relation parent, TimestampTz stored_at)
{
	return OidIsValid(find_partition(parent, stored_at));
}

/* Where to store what has ended: a partition, or the table for strays. `partition`: InvalidOid for that. */
static Oid
find_table(WfHistory history, TimestampTz stored_at, Oid *partition)
{
	Relation parent = table_open(wf_store_relation(wf_history_tables[history].name), RowExclusiveLock);
	Oid		 relid = RelationGetRelid(parent);

	*partition = find_partition(parent, stored_at);
	table_close(parent, NoLock);
	return OidIsValid(*partition) ? relid : wf_store_relation(wf_history_tables[history].stray);
}

WfRelation *
wf_history_open(WfHistory history, TimestampTz stored_at, const WfRelationColumns *columns, bool *stray)
{
	Oid partition;
	Oid relid = find_table(history, stored_at, &partition);

	*stray = !OidIsValid(partition);
	return *stray ? wf_relation_open(relid, columns, WF_RELATION_INSERT, NULL)
				  : wf_relation_open_partition(relid, partition, columns);
}

WfRelation *
wf_history_look(WfHistory history, TimestampTz stored_at, const WfRelationColumns *columns)
{
	Relation parent = table_open(wf_store_relation(wf_history_tables[history].name), AccessShareLock);
	Oid		 partition = find_partition(parent, stored_at);

	table_close(parent, NoLock);
	if (!OidIsValid(partition))
		partition = wf_store_relation(wf_history_tables[history].stray);
	return wf_relation_open(partition, columns, WF_RELATION_READ, NULL);
}

bool
wf_history_has(WfHistory history, TimestampTz stored_at)
{
	Oid partition;

	(void) find_table(history, stored_at, &partition);
	return OidIsValid(partition);
}

bool
wf_history_begun(void)
{
	return has_subclass(wf_store_relation(wf_history_tables[WF_VISIT_HISTORY].name));
}

/* ---- which are missing ---- */

static WfQuery q_living = {.sql = "SELECT 1 FROM workflow_data.instance LIMIT 1"};
#define WEEKS(table) \
	"SELECT date_trunc('week', stored_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' FROM workflow_data." table
static WfQuery q_weeks = {
	.sql = WEEKS("visit_stray") " UNION " WEEKS("attempt_stray") " UNION " WEEKS("instance_stray") " ORDER BY 1",
};

static List *
add_missing(List *missing, WfHistory history, Relation parent, TimestampTz week)
{
	WfPartition *partition;

	if (has_partition(parent, week))
		return missing;
	partition = palloc(sizeof(WfPartition));
	partition->history = history;
	partition->week = week;
	snprintf(partition->name, sizeof(partition->name), "%s", partition_name(&wf_history_tables[history], week));
	return lappend(missing, partition);
}

/*
 * Find the start of each week for which a partition is wanted, in microseconds: the weeks of
 * strays, then this week and the next ones.
 */
static int
wanted_weeks(TimestampTz now, TimestampTz **weeks)
{
	int n = (int) wf_query_run(&q_weeks, NULL, NULL);
	int strays = n;

	*weeks = palloc(sizeof(TimestampTz) * (n + WEEKS_AHEAD + 1));
	for (int i = 0; i < strays; i++)
		(*weeks)[i] = wf_result_int64(i, 1);
	for (int w = 0; w <= WEEKS_AHEAD; w++)
	{
		TimestampTz week = week_of(now) + w * WF_ONE_WEEK;
		bool		known = false;

		for (int i = 0; i < strays; i++)
			known |= (*weeks)[i] == week;
		if (!known)
			(*weeks)[n++] = week;
	}
	return n;
}

#define ANY(table) "EXISTS (SELECT FROM workflow_data." table ")"
static WfQuery q_any = {
	.sql = "SELECT 1 WHERE " ANY("visit_stray") " OR " ANY("attempt_stray") " OR " ANY("instance_stray")};

bool
wf_strays_any(void)
{
	return wf_query_run(&q_any, NULL, NULL) > 0;
}

List *
wf_history_missing(TimestampTz now)
{
	List		*missing = NIL;
	TimestampTz *weeks;
	Relation	 parents[WF_HISTORY_TABLES];
	int			 n;

	if (!wf_history_begun() && !wf_strays_any() && wf_query_run(&q_living, NULL, NULL) == 0)
		return NIL;
	n = wanted_weeks(now, &weeks);
	for (int i = 0; i < WF_HISTORY_TABLES; i++)
		parents[i] = table_open(wf_store_relation(wf_history_tables[i].name), AccessShareLock);
	for (int w = 0; w < n; w++)
		for (int i = 0; i < WF_HISTORY_TABLES; i++)
			missing = add_missing(missing, i, parents[i], weeks[w]);
	for (int i = 0; i < WF_HISTORY_TABLES; i++)
		table_close(parents[i], AccessShareLock);
	return missing;
}

/* ---- making one ---- */

static WfQuery q_grantees = {
	.sql = "SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' "
		   "ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ') "
		   "FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1 AND a.grantee <> c.relowner",
	.nargs = 1,
	.argtypes = {OIDOID},
};

/* Revoke everything on a new table: default privileges may have granted it to anyone. */
static void
revoke_all(const char *name)
{
	Datum values[1] = {ObjectIdGetDatum(get_relname_relid(name, wf_store_schema()))};
	char *grantees;

	wf_query_run(&q_grantees, values, NULL);
	grantees = wf_result_text(0, 1);
	if (grantees != NULL)
		wf_history_run(psprintf("REVOKE ALL ON workflow_data.%s FROM %s CASCADE", name, grantees));
}

/*
 * Create the table, with everything spelled out that settings and default privileges of the current
 * role could change.
 */
static void
create_table(const WfHistoryTable *table, const char *name)
{
	int level = NewGUCNestLevel();

	(void) set_config_option("default_tablespace", "", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("default_table_access_method", "heap", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
	wf_history_run(psprintf("CREATE TABLE workflow_data.%s (LIKE workflow_data.%s INCLUDING COMMENTS%s)", name,
							table->name, table->keys));
	for (int i = 0; i < lengthof(table->indexes) && table->indexes[i] != NULL; i++)
		wf_history_run(psprintf("CREATE INDEX ON workflow_data.%s %s", name, table->indexes[i]));
	/* without a key, rows could not be deleted while a publication publishes all tables */
	if (table->keys[0] == '\0')
		wf_history_run(psprintf("ALTER TABLE workflow_data.%s REPLICA IDENTITY FULL", name));
	revoke_all(name);
	AtEOXact_GUC(false, level);
}

/*
 * ERROR 55000 for an existing table of that name. Somebody else's table is not attached, since its
 * owner would see what ends; one of ours was detached on purpose.
 */
static void
refuse_existing(const char *name, Oid relid)
{
	Oid owner = wf_row_owner(relid);

	ereport(
		ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		owner == wf_store_owner() || superuser_arg(owner)
			? errmsg("the table workflow_data.%s, which is to be a partition of the history, is not attached to it",
					 name)
			: errmsg("the table workflow_data.%s, which is to be a partition of the history, belongs to somebody else",
					 name),
		errhint("Drop it, or move it to another schema."));
}

static void
create_partition(const WfPartition *partition)
{
	const WfHistoryTable *table = &wf_history_tables[partition->history];
	const char			 *name = partition->name;
	Oid					  existing = get_relname_relid(name, wf_store_schema());

	if (OidIsValid(existing))
		refuse_existing(name, existing);
	create_table(table, name);
	wf_history_run(psprintf("COMMENT ON TABLE workflow_data.%s IS 'History stored in the week of %s'", name,
							date("%04d-%02d-%02d", partition->week)));
	wf_history_run(psprintf("ALTER TABLE workflow_data.%s ATTACH PARTITION workflow_data.%s "
							"FOR VALUES FROM ('%s 00:00:00+00') TO ('%s 00:00:00+00')",
							table->name, name, date("%04d-%02d-%02d", partition->week),
							date("%04d-%02d-%02d", partition->week + WF_ONE_WEEK)));
}

void
wf_history_make(const WfPartition *partition)
{
	int		 level = NewGUCNestLevel();
	Relation parent;
	bool	 made;

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT_MS, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	LockRelationOid(wf_store_relation(wf_history_tables[WF_VISIT_HISTORY].name), ShareUpdateExclusiveLock);
	parent = table_open(wf_store_relation(wf_history_tables[partition->history].name), AccessShareLock);
	made = has_partition(parent, partition->week);
	table_close(parent, NoLock);
	if (!made)
		create_partition(partition);
	AtEOXact_GUC(false, level);
}
