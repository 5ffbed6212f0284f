/*
 * history.c
 *		Partitions of the history.
 *
 * A partition is a plain table with keys and indexes of its own that is then attached: pg_dump carries it like any
 * table, since it is no member of the extension. Weeks begin on Monday, 00:00 UTC. The first ones are made by the first
 * move that ends something, later ones ahead of time by an executor; a move that finds none makes it itself.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/access.h"
#include "store/history.h"
#include "store/query.h"
#include "store/row.h"

#define WEEKS_AHEAD 2
/* of a lock that others wait behind */
#define LOCK_TIMEOUT_MS "200"
/* of one that nobody waits behind: a vacuum gives way to it after deadlock_timeout */
#define SHARE_TIMEOUT_MS "5000"
/* instances whose own retention is over, in one transaction */
#define TRIM_CHUNK 5000
/* of a partition that is looked through for what is kept, in one transaction */
#define FORWARD_BLOCKS 128
/* 2000-01-01, where timestamps begin, was a Saturday */
#define MONDAY_OFFSET (2 * USECS_PER_DAY)
#define ONE_WEEK (7 * USECS_PER_DAY)

typedef struct Parent
{
	const char *name;
	const char *keys; /* of each partition; "": none */
	const char *index;
	const char *columns; /* all but stored_at */
	bool		of_steps; /* they are kept as long as their instance */
} Parent;

static const Parent parents[] = {
	{"visit_history", ", PRIMARY KEY (instance, visit)",
		"(workflow.serial_number(instance, visit) COLLATE \"C\")",
		"instance, visit, process_id, attempts, entered_at, ended_at, step, outcome, result", true},
	{"attempt_history", "", "(workflow.serial_number(instance, visit) COLLATE \"C\")",
		"instance, visit, process_id, attempt, http_status, started_at, ended_at, error, incident, ended_with, ended_by", true},
	{"instance_history", ", PRIMARY KEY (instance)", NULL,
		"instance, process_id, version, attachment, started_at, ended_at, status, business_key, error, data",
		false},
};

StaticAssertDecl(lengthof(parents) == WF_HISTORY_PARENTS, "all parents are counted");

static TimestampTz
week_of(TimestampTz t)
{
	TimestampTz since = t - MONDAY_OFFSET;

	return since - (since % ONE_WEEK) + MONDAY_OFFSET;
}

static void
partition_name(char *buffer, size_t size, const Parent *parent, TimestampTz week)
{
	int			year,
				month,
				day;

	j2date((int) (week / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	snprintf(buffer, size, "%s_%04d%02d%02d", parent->name, year, month, day);
}

static void
run(const char *sql)
{
	int			rc = SPI_execute(sql, false, 0);

	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s: %s", SPI_result_code_string(rc), sql);
}

static WfQuery q_grantees = {
	.sql = "SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' "
		   "ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ') "
		   "FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1 AND a.grantee <> c.relowner",
	.nargs = 1, .argtypes = {OIDOID}};

/* Default privileges may have given it to anyone. */
static void
revoke_all(const char *name)
{
	Datum		values[1] = {ObjectIdGetDatum(wf_store_relation(name))};
	char	   *grantees;

	wf_query_run(&q_grantees, values, NULL);
	grantees = wf_result_text(0, 1);
	if (grantees != NULL)
		run(psprintf("REVOKE ALL ON workflow.%s FROM %s CASCADE", name, grantees));
}

/* It is made for all, in whoever's session: their settings and default privileges have no say. */
static void
create_table(const Parent *parent, const char *name)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("default_tablespace", "", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	(void) set_config_option("default_table_access_method", "heap", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	run(psprintf("CREATE TABLE workflow.%s (LIKE workflow.%s INCLUDING COMMENTS%s)", name,
				 parent->name, parent->keys));
	if (parent->index != NULL)
		run(psprintf("CREATE INDEX ON workflow.%s (%s)", name, parent->index));
	/* rows that have no key can be deleted while all tables are published */
	if (parent->keys[0] == '\0')
		run(psprintf("ALTER TABLE workflow.%s REPLICA IDENTITY FULL", name));
	revoke_all(name);
	AtEOXact_GUC(false, level);
}

/* Only the owner of the history attaches partitions. Whoever owns another table of that name would come to see what ends. */
static void
check_owner(const char *name, Oid relid)
{
	Oid			owner = wf_row_owner(relid);

	if (owner == wf_store_owner() || superuser_arg(owner) || get_rel_relispartition(relid))
		return;
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("the table workflow.%s, which is to be a partition of the history, belongs to somebody else", name),
			errhint("Drop it, or move it to another schema."));
}

static void
create_partition(const Parent *parent, TimestampTz week)
{
	char		name[NAMEDATALEN];
	Oid			existing;
	int			year,
				month,
				day,
				year2,
				month2,
				day2;

	partition_name(name, sizeof(name), parent, week);
	existing = get_relname_relid(name, wf_store_schema());
	if (OidIsValid(existing))
	{
		check_owner(name, existing);
		return;
	}
	j2date((int) (week / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	j2date((int) ((week + ONE_WEEK) / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year2, &month2, &day2);
	create_table(parent, name);
	run(psprintf("COMMENT ON TABLE workflow.%s IS 'History stored in the week of %04d-%02d-%02d'",
				 name, year, month, day));
	run(psprintf("ALTER TABLE workflow.%s ATTACH PARTITION workflow.%s "
				 "FOR VALUES FROM ('%04d-%02d-%02d 00:00:00+00') TO ('%04d-%02d-%02d 00:00:00+00')",
				 parent->name, name, year, month, day, year2, month2, day2));
}

/* Those that are there are passed over. */
static void
make_all(TimestampTz now)
{
	for (int w = 0; w <= WEEKS_AHEAD; w++)
		for (int i = 0; i < lengthof(parents); i++)
			create_partition(&parents[i], week_of(now) + w * ONE_WEEK);
}

void
wf_history_ensure(TimestampTz now)
{
	TimestampTz week = week_of(now);
	char		name[NAMEDATALEN];

	/* the last one that is made */
	partition_name(name, sizeof(name), &parents[lengthof(parents) - 1], week);
	if (likely(OidIsValid(get_relname_relid(name, wf_store_schema()))))
		return;
	/* one maker at a time; whoever waited finds them made */
	LockRelationOid(wf_store_relation("visit_history"), ShareUpdateExclusiveLock);
	make_all(now);
}

static bool
is_ahead(TimestampTz now)
{
	char		name[NAMEDATALEN];

	for (int w = 0; w <= WEEKS_AHEAD; w++)
	{
		for (int i = 0; i < lengthof(parents); i++)
		{
			partition_name(name, sizeof(name), &parents[i], week_of(now) + w * ONE_WEEK);
			if (!OidIsValid(get_relname_relid(name, wf_store_schema())))
				return false;
		}
	}
	return true;
}

void
wf_history_ahead(TimestampTz now)
{
	if (is_ahead(now) || !ConditionalLockRelationOid(wf_store_relation("visit_history"), ShareUpdateExclusiveLock))
		return;
	make_all(now);
}

static WfQuery q_expired = {
	.sql = "SELECT c.relname::text FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid "
		   "WHERE h.inhparent = $2::regclass AND NOT h.inhdetachpending "
		   "AND $1::interval > interval '0' "
		   "AND right(c.relname, 8) < to_char(date_trunc('week', (clock_timestamp() - $1::interval) "
		   "AT TIME ZONE 'UTC'), 'YYYYMMDD') ORDER BY 1",
	.nargs = 2, .argtypes = {TEXTOID, TEXTOID}};
/* One by one by key, of all partitions: only after one was dropped. */
static WfQuery q_purge_late = {
	.sql = "DELETE FROM workflow.late_callback l WHERE NOT EXISTS (SELECT FROM workflow.visit_history h "
		   "WHERE h.instance = l.instance AND h.visit = l.visit) "
		   "AND NOT EXISTS (SELECT FROM workflow.visit v "
		   "WHERE v.instance = l.instance AND v.visit = l.visit)"};

/* The partitions of a parent that hold nothing younger than `retention`: a List of names, oldest first. */
static List *
expired(const char *parent, const char *retention)
{
	Datum		values[2] = {CStringGetTextDatum(retention),
		CStringGetTextDatum(psprintf("workflow.%s", parent))};
	uint64		n = wf_query_run(&q_expired, values, NULL);
	List	   *names = NIL;

	for (uint64 i = 0; i < n; i++)
		names = lappend(names, wf_result_text(i, 1));
	return names;
}

/*
 * What a partition holds that must not go with it: what belongs to instances that live, or that are themselves kept longer.
 * $1 is the general retention.
 */
#define CUTOFF                                                                                     \
	"(date_trunc('week', (clock_timestamp() - %1$s::interval) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')"
#define KEPT_BY_PROCESS(h)                                                                         \
	"EXISTS (SELECT FROM workflow.process p WHERE p.process_id = " h ".process_id "                \
	"AND p.retention IS NOT NULL "                                                                 \
	"AND (p.retention = interval '0' OR " h ".ended_at > clock_timestamp() - p.retention))"
#define KEPT_STEP                                                                                  \
	"(EXISTS (SELECT FROM workflow.instance i WHERE i.instance = h.instance) "                     \
	"OR EXISTS (SELECT FROM workflow.instance_history k WHERE k.instance = h.instance "            \
	"AND (k.stored_at >= " CUTOFF " OR " KEPT_BY_PROCESS("k") ")))"
#define KEPT_INSTANCE "(" KEPT_BY_PROCESS("h") " AND %1$s IS NOT NULL)"

/* The condition for rows `h` of a partition of that parent, with the retention put in. */
static char *
kept(const Parent *parent, const char *retention)
{
	char	   *literal = quote_literal_cstr(retention);

	return parent->of_steps ? psprintf(KEPT_STEP, literal) : psprintf(KEPT_INSTANCE, literal);
}

#define OF_INSTANCE(h)                                                                             \
	"workflow.serial_number(" h ".instance, " h ".visit) COLLATE \"C\" >= o.instance || '_' "        \
	"AND workflow.serial_number(" h ".instance, " h ".visit) COLLATE \"C\" < o.instance || '`'"

static WfQuery q_trim = {
	.sql = "WITH over AS (SELECT h.instance FROM workflow.instance_history h "
		   "JOIN workflow.process p ON p.process_id = h.process_id "
		   "WHERE p.retention > interval '0' AND h.ended_at < clock_timestamp() - p.retention "
		   "LIMIT $1), "
		   "i AS (DELETE FROM workflow.instance_history h USING over o "
		   "WHERE h.instance = o.instance RETURNING 1), "
		   "v AS (DELETE FROM workflow.visit_history h USING over o WHERE h.instance = o.instance), "
		   "a AS (DELETE FROM workflow.attempt_history h USING over o "
		   "WHERE " OF_INSTANCE("h") "), "
		   "l AS (DELETE FROM workflow.late_callback l USING over o WHERE " OF_INSTANCE("l") ") "
		   "SELECT count(*) FROM i",
	.nargs = 1, .argtypes = {INT4OID}};

static WfQuery q_any_own = {
	.sql = "SELECT 1 FROM workflow.process WHERE retention > interval '0' LIMIT 1"};

bool
wf_history_trim(void)
{
	Datum		values[1] = {Int32GetDatum(TRIM_CHUNK)};

	if (wf_query_run(&q_any_own, NULL, NULL) == 0)
		return false;
	wf_query_run(&q_trim, values, NULL);
	return wf_result_int64(0, 1) == TRIM_CHUNK;
}

/* Move on to the first partition past retention that comes after `at`. False: there is none, of no parent. */
static bool
find_expired(WfForward *at, const char *retention)
{
	ListCell   *lc;

	for (; at->parent < lengthof(parents); at->parent++, at->name[0] = '\0')
	{
		foreach (lc, expired(parents[at->parent].name, retention))
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

/* NULL: it is not there any more. */
static Relation
open_partition(const char *name)
{
	Oid			relid = get_relname_relid(name, wf_store_schema());

	return OidIsValid(relid) ? try_relation_open(relid, RowExclusiveLock) : NULL;
}

/* By blocks, so that no row is looked at twice. */
static void
forward_blocks(const WfForward *at, const char *retention)
{
	const Parent *parent = &parents[at->parent];

	wf_query_run_text(psprintf("WITH moved AS (DELETE FROM workflow.%s h "
							   "WHERE h.ctid >= '(%u,0)' AND h.ctid < '(%u,0)' AND %s RETURNING h.*) "
							   "INSERT INTO workflow.%s (%s, stored_at) SELECT %s, clock_timestamp() FROM moved",
							   at->name, at->block, at->block + FORWARD_BLOCKS, kept(parent, retention),
							   parent->name, parent->columns, parent->columns));
}

bool
wf_history_forward(WfForward *at, const char *retention)
{
	Relation	partition;

	if (at->block == 0 && !find_expired(at, retention))
		return false;
	partition = open_partition(at->name);
	if (partition != NULL && at->block < RelationGetNumberOfBlocks(partition))
	{
		forward_blocks(at, retention);
		at->block += FORWARD_BLOCKS;
	}
	else
		at->block = 0; /* the next one */
	if (partition != NULL)
		relation_close(partition, NoLock);
	return true;
}

/* Not for longer than that; false: somebody else has one. */
static bool
lock_within(Oid relid, LOCKMODE mode, const char *timeout_ms)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			level = NewGUCNestLevel();
	volatile bool locked = true;

	(void) set_config_option("lock_timeout", timeout_ms, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		LockRelationOid(relid, mode);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		locked = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	AtEOXact_GUC(false, level);
	return locked;
}

static WfQuery q_own = {
	.sql = "SELECT string_agg(process_id || ' ' || retention, ', ' ORDER BY process_id) FROM workflow.process "
		   "WHERE retention IS NOT NULL"};

/* What all processes say of it. */
static char *
own_retentions(void)
{
	char	   *text;

	wf_query_run(&q_own, NULL, NULL);
	text = wf_result_text(0, 1);
	return text != NULL ? text : "";
}

/* By plain SPI: for so many rows at once the planner may well prefer hashing what they are looked up in. */
static bool
holds_kept(const Parent *parent, const char *name, const char *retention)
{
	int			rc = SPI_execute(psprintf("SELECT FROM workflow.%s h WHERE %s", name, kept(parent, retention)), false, 1);

	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(rc));
	return SPI_processed > 0;
}

/*
 * Looking through it may take minutes, under a lock that only keeps out who would write there: nobody does any more.
 * What it does not hold then, it does not come to hold, unless a process is kept longer than before. On a busy system
 * somebody always has a lock on the history, so it takes queueing for dropping it; but whoever comes then waits behind us,
 * so not for long.
 */
static bool
drop_partition(const Parent *parent, const char *name, const char *retention)
{
	Oid			relid = get_relname_relid(name, wf_store_schema());
	char	   *own;

	if (!OidIsValid(relid) || !lock_within(relid, ShareLock, SHARE_TIMEOUT_MS))
		return false;
	own = own_retentions();
	/* what came since it was moved forward: the next time */
	if (holds_kept(parent, name, retention))
		return false;
	if (!lock_within(wf_store_relation(parent->name), AccessExclusiveLock, LOCK_TIMEOUT_MS) ||
		!lock_within(relid, AccessExclusiveLock, LOCK_TIMEOUT_MS))
		return false;
	if (strcmp(own, own_retentions()) != 0)
		return false;
	run(psprintf("DROP TABLE workflow.%s", name));
	return true;
}

bool
wf_history_drop(int parent, const char *retention)
{
	List	   *names = expired(parents[parent].name, retention);

	return names != NIL && drop_partition(&parents[parent], linitial(names), retention);
}

void
wf_history_purge_late(void)
{
	wf_query_run(&q_purge_late, NULL, NULL);
}
