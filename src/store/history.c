/*
 * history.c
 *		Partitions of the history.
 *
 * A partition is a plain table with keys and indexes of its own that is then attached: pg_dump carries it like any
 * table, since it is no member of the extension. Weeks begin on Monday, 00:00 UTC. The first ones are made by the first
 * move that ends something, later ones ahead of time by an executor; a move that finds none makes it itself.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/access.h"
#include "store/history.h"
#include "store/query.h"

#define WEEKS_AHEAD 2
/* 2000-01-01, where timestamps begin, was a Saturday */
#define MONDAY_OFFSET (2 * USECS_PER_DAY)
#define WEEK (7 * USECS_PER_DAY)

typedef struct Parent
{
	const char *name;
	const char *keys; /* of each partition */
	const char *index;
} Parent;

static const Parent parents[] = {
	{"visit_history", "PRIMARY KEY (instance, visit)",
		"(workflow.serial_number(instance, visit))"},
	{"instance_history", "PRIMARY KEY (instance)", NULL},
};

static TimestampTz
week_of(TimestampTz t)
{
	TimestampTz since = t - MONDAY_OFFSET;

	return since - (since % WEEK) + MONDAY_OFFSET;
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

static void
create_partition(const Parent *parent, TimestampTz week)
{
	char		name[NAMEDATALEN];
	int			year,
				month,
				day,
				year2,
				month2,
				day2;

	partition_name(name, sizeof(name), parent, week);
	if (OidIsValid(get_relname_relid(name, wf_store_schema())))
		return;
	j2date((int) (week / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	j2date((int) ((week + WEEK) / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year2, &month2, &day2);
	run(psprintf("CREATE TABLE workflow.%s (LIKE workflow.%s INCLUDING COMMENTS, %s)", name,
				 parent->name, parent->keys));
	if (parent->index != NULL)
		run(psprintf("CREATE INDEX ON workflow.%s (%s)", name, parent->index));
	run(psprintf("COMMENT ON TABLE workflow.%s IS 'History stored in the week of %04d-%02d-%02d'",
				 name, year, month, day));
	run(psprintf("ALTER TABLE workflow.%s ATTACH PARTITION workflow.%s "
				 "FOR VALUES FROM ('%04d-%02d-%02d 00:00:00+00') TO ('%04d-%02d-%02d 00:00:00+00')",
				 parent->name, name, year, month, day, year2, month2, day2));
}

void
wf_history_ensure(TimestampTz now)
{
	static TimestampTz known_week = 0;
	static Oid	known_parent = InvalidOid;
	TimestampTz week = week_of(now);
	Oid			parent = wf_store_relation("visit_history");
	char		name[NAMEDATALEN];

	if (likely(week == known_week && parent == known_parent))
		return;
	partition_name(name, sizeof(name), &parents[1], week);
	if (!OidIsValid(get_relname_relid(name, wf_store_schema())))
	{
		/* one maker at a time; whoever waited finds them made */
		LockRelationOid(parent, ShareUpdateExclusiveLock);
		for (int i = 0; i < lengthof(parents); i++)
			for (int w = 0; w <= WEEKS_AHEAD; w++)
				create_partition(&parents[i], week + w * WEEK);
		return; /* not known before it is committed */
	}
	known_week = week;
	known_parent = parent;
}

static WfQuery q_expired = {
	.sql = "SELECT c.relname::text, p.relname::text FROM pg_inherits h "
		   "JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_class p ON p.oid = h.inhparent "
		   "WHERE h.inhparent IN ('workflow.visit_history'::regclass, 'workflow.instance_history'::regclass) "
		   "AND NOT h.inhdetachpending "
		   "AND right(c.relname, 8) < to_char(date_trunc('week', (clock_timestamp() - $1::interval) "
		   "AT TIME ZONE 'UTC'), 'YYYYMMDD') "
		   "ORDER BY right(c.relname, 8), p.relname DESC",
	.nargs = 1, .argtypes = {TEXTOID}};
static WfQuery q_purge_late = {
	.sql = "DELETE FROM workflow.late_callback WHERE received_at < clock_timestamp() - $1::interval",
	.nargs = 1, .argtypes = {TEXTOID}};

static bool
lock_at_once(const char *name)
{
	Oid			relid = get_relname_relid(name, wf_store_schema());

	return OidIsValid(relid) && ConditionalLockRelationOid(relid, AccessExclusiveLock);
}

int
wf_history_purge(TimestampTz now, const char *retention)
{
	Datum		values[1];
	uint64		n;
	char	  **names;
	char	  **parent_names;
	int			dropped = 0;

	if (retention == NULL || *retention == '\0')
		return 0;
	values[0] = CStringGetTextDatum(retention);
	wf_query_run(&q_purge_late, values, NULL);
	n = wf_query_run(&q_expired, values, NULL);
	names = palloc(sizeof(char *) * Max(n, 1));
	parent_names = palloc(sizeof(char *) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
	{
		names[i] = wf_result_text(i, 1);
		parent_names[i] = wf_result_text(i, 2);
	}
	for (uint64 i = 0; i < n; i++)
	{
		/* the parent's lock lets no insert or reader in; it is held to the end of this short transaction */
		if (!lock_at_once(parent_names[i]) || !lock_at_once(names[i]))
			break;
		if (strcmp(parent_names[i], "visit_history") == 0)
			run(psprintf("INSERT INTO workflow.visit_history "
						 "SELECT h.instance, h.visit, h.process_id, h.attempts, h.entered_at, h.ended_at, "
						 "clock_timestamp(), h.step, h.outcome, h.result FROM workflow.%s h "
						 "WHERE EXISTS (SELECT FROM workflow.instance i WHERE i.instance = h.instance)",
						 names[i]));
		run(psprintf("DROP TABLE workflow.%s", names[i]));
		CommandCounterIncrement();
		dropped++;
	}
	return dropped;
}
