/*
 * counts.c
 *		What the view metrics counts in tables.
 *
 * Counts are exact at the caller's snapshot and stored nowhere: so nothing has to be corrected
 * after a crash, a restore or the end of a prepared transaction, and a standby counts as its
 * primary does. Groups are found one after the other, with one index probe each; then each is
 * counted within that index alone. So it costs what reading that many index entries costs, and the
 * oldest entry of a group, being the first, costs nothing.
 */
#include "compat.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "store/counts.h"
#include "store/privilege.h"
#include "store/query.h"

/*
 * Arguments: $1 processes that are counted, by number; $2 also all others, and what belongs to
 * none; $3 role whose servers are counted; $4 now.
 */
#define COUNTED_ARGS   .nargs = 4, .argtypes = {INT4ARRAYOID, BOOLOID, OIDOID, TIMESTAMPTZOID}
#define OF_PROCESS(id) "($2 OR " id " = ANY ($1))"

static WfQuery q_instances = {
	.sql =
		"WITH RECURSIVE g (process_id, status) AS ("
		"(SELECT process_id, status FROM workflow_data.instance ORDER BY process_id, status LIMIT 1) UNION ALL "
		"SELECT n.process_id, n.status FROM g CROSS JOIN LATERAL ("
		"SELECT i.process_id, i.status FROM workflow_data.instance i WHERE (i.process_id, i.status) > (g.process_id, g.status) "
		"ORDER BY i.process_id, i.status LIMIT 1) n) "
		"SELECT p.process, g.status, (SELECT count(*) FROM workflow_data.instance i "
		"WHERE i.process_id = g.process_id AND i.status = g.status) "
		"FROM g JOIN workflow_data.process p ON p.process_id = g.process_id WHERE " OF_PROCESS("g.process_id"),
	COUNTED_ARGS,
};

/* SQL that is put together */
/* clang-format off */
/* What a group waits for is part of the index, too: w has each set of kinds, found like the groups. */
#define GROUP(g) "v.process_id = " g ".process_id AND v.state = " g ".state AND v.step = " g ".step"
#define NEXT_SET(g, condition) \
	"(SELECT v.waits_for FROM workflow_data.visit v WHERE " GROUP(g) " AND " condition " ORDER BY v.waits_for LIMIT 1)"
#define COUNT_AND_OLDEST(g, condition) \
	"(SELECT count(*) FROM workflow_data.visit v WHERE " GROUP(g) " AND " condition "), " \
	"(SELECT min(v.waiting_since) FROM workflow_data.visit v WHERE " GROUP(g) " AND " condition ") "
static WfQuery q_visits = {
	.sql =
		"WITH RECURSIVE g (process_id, state, step) AS ("
		"(SELECT process_id, state, step FROM workflow_data.visit ORDER BY process_id, state, step LIMIT 1) UNION ALL "
		"SELECT n.process_id, n.state, n.step FROM g CROSS JOIN LATERAL ("
		"SELECT v.process_id, v.state, v.step FROM workflow_data.visit v "
		"WHERE (v.process_id, v.state, v.step) > (g.process_id, g.state, g.step) "
		"ORDER BY v.process_id, v.state, v.step LIMIT 1) n), "
		"w (process_id, state, step, waits_for) AS ("
		"SELECT g.process_id, g.state, g.step, " NEXT_SET("g", "v.waits_for IS NOT NULL") " FROM g "
		"WHERE g.state = 'waiting' AND " OF_PROCESS("g.process_id") " UNION ALL "
		"SELECT w.process_id, w.state, w.step, " NEXT_SET("w", "v.waits_for > w.waits_for") " FROM w WHERE w.waits_for IS NOT NULL) "
		"SELECT * FROM ("
		"SELECT p.process, w.state, w.step, w.waits_for, " COUNT_AND_OLDEST("w", "v.waits_for = w.waits_for")
		"FROM w JOIN workflow_data.process p ON p.process_id = w.process_id WHERE w.waits_for IS NOT NULL UNION ALL "
		"SELECT p.process, g.state, g.step, NULL, " COUNT_AND_OLDEST("g", "v.waits_for IS NULL")
		"FROM g JOIN workflow_data.process p ON p.process_id = g.process_id "
		"WHERE g.state <> 'waiting' AND " OF_PROCESS("g.process_id") ") c (process, state, step, waits_for, n, since) "
		"WHERE n > 0",
	COUNTED_ARGS,
};
/* clang-format on */

/* SQL that is put together */
/* clang-format off */
/*
 * QUEUES finds each queue of a table, DUE how many rows of it are due, and since when. Arguments: a
 * name, the table, further conditions.
 */
#define QUEUES(name, table, live) \
	name " (queue) AS (" \
	"(SELECT r.queue FROM " table " r WHERE true" live " ORDER BY r.queue LIMIT 1) UNION ALL " \
	"SELECT n.queue FROM " name " w CROSS JOIN LATERAL (" \
	"SELECT r.queue FROM " table " r WHERE r.queue > w.queue" live " ORDER BY r.queue LIMIT 1) n)"
#define DUE(name, table, live) \
	"SELECT w.queue, (SELECT count(*) FROM " table " r WHERE r.queue = w.queue AND r.due_at <= $4" live "), " \
	"(SELECT min(r.due_at) FROM " table " r WHERE r.queue = w.queue AND r.due_at <= $4" live ") FROM " name " w"
#define VISIT "workflow_data.visit"
#define LIVE " AND r.due_at IS NOT NULL AND NOT r.suspended"
#define DELIVERY "workflow_data.delivery"
#define ALARM "next_timer <= $4 AND next_timer IS NOT NULL AND NOT suspended"
/* clang-format on */

/*
 * The name of a queue tells to what it belongs: `executor 5` to a process, `executor table 5` to an
 * attachment, `http partner` to a server.
 */
/* SQL that is put together */
/* clang-format off */
static WfQuery q_due = {
	.sql = "WITH RECURSIVE " QUEUES("v", VISIT, LIVE) ", " QUEUES("d", DELIVERY, " AND r.queue <> 'suspended'") ", "
		   "q (queue, n, since) AS (" DUE("v", VISIT, LIVE) " UNION ALL " DUE("d", DELIVERY, "") " UNION ALL "
		   "SELECT 'timer', (SELECT count(*) FROM workflow_data.visit WHERE " ALARM "), "
		   "(SELECT min(next_timer) FROM workflow_data.visit WHERE " ALARM ")), "
		   "b (work, process_id, server, n, since) AS (SELECT CASE WHEN queue = 'timer' THEN 'clock' WHEN queue = 'move' THEN 'move' "
		   "WHEN queue LIKE 'http %' THEN 'http' WHEN queue LIKE 'executor table %' THEN 'write_back' "
		   "WHEN queue LIKE 'executor %' THEN 'executor' ELSE 'upkeep' END, "
		   "CASE WHEN queue LIKE 'executor table %' THEN (SELECT a.process_id FROM workflow_data.attachment a "
		   "WHERE a.attachment = substr(queue, 16)::integer) WHEN queue LIKE 'executor %' THEN substr(queue, 10)::integer END, "
		   "CASE WHEN queue LIKE 'http %' THEN substr(queue, 6) END, n, since FROM q) "
		   "SELECT b.work, p.process, b.server, sum(b.n)::bigint, min(b.since) "
		   "FROM b LEFT JOIN workflow_data.process p ON p.process_id = b.process_id "
		   "WHERE $2 OR b.process_id = ANY ($1) OR EXISTS (SELECT FROM pg_foreign_server s "
		   "WHERE s.srvname::text = b.server AND has_server_privilege($3, s.oid, 'USAGE')) "
		   "GROUP BY 1, 2, 3",
	COUNTED_ARGS,
};
/* clang-format on */

/* SQL that is put together */
/* clang-format off */
static WfQuery q_write_backs = {
	.sql = "WITH RECURSIVE " QUEUES("d", DELIVERY, " AND r.queue >= 'executor table ' AND r.queue < 'executor table!'") " "
		   "SELECT p.process, a.relation::text, o.n, o.since FROM d CROSS JOIN LATERAL ("
		   "SELECT count(*) AS n, min(coalesce((r.payload ->> 'since')::timestamptz, r.due_at)) AS since "
		   "FROM workflow_data.delivery r WHERE r.queue = d.queue) o "
		   "JOIN workflow_data.attachment a ON a.attachment = substr(d.queue, 16)::integer AND a.detached_at IS NULL "
		   "JOIN workflow_data.process p ON p.process_id = a.process_id WHERE " OF_PROCESS("a.process_id"),
	COUNTED_ARGS,
};
/* clang-format on */

static WfQuery *const queries[] = {
	[WF_COUNTED_INSTANCES] = &q_instances,
	[WF_COUNTED_VISITS] = &q_visits,
	[WF_COUNTED_DUE] = &q_due,
	[WF_COUNTED_WRITE_BACKS] = &q_write_backs,
};

static WfQuery q_processes = {.sql = "SELECT process_id FROM workflow_data.process"};

/* The processes that the role may view, as integer[]. */
static Datum
viewed_by(Oid role)
{
	uint64		   n = wf_query_run(&q_processes, NULL, NULL);
	SPITupleTable *table = SPI_tuptable;
	Datum		  *viewed = palloc(sizeof(Datum) * Max(n, 1));
	int			   nviewed = 0;
	bool		   isnull;

	for (uint64 i = 0; i < n; i++)
	{
		Datum process = SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull);

		if (wf_privilege_has(DatumGetInt32(process), role, WF_PRIVILEGE_VIEW))
			viewed[nviewed++] = process;
	}
	SPI_freetuptable(table);
	return PointerGetDatum(construct_array(viewed, nviewed, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

uint64
wf_count(WfCounted counted, Oid role)
{
	bool  all = has_privs_of_role(role, ROLE_PG_MONITOR);
	Datum values[4] = {(Datum) 0, BoolGetDatum(all), ObjectIdGetDatum(role),
					   TimestampTzGetDatum(GetCurrentTimestamp())};
	char  nulls[4] = {all ? 'n' : ' ', ' ', ' ', ' '};

	if (!all)
		values[0] = viewed_by(role);
	return wf_query_run(queries[counted], values, nulls);
}
