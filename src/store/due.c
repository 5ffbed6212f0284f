/*
 * due.c
 *		What is due: the visits that a worker has to look at, by queue and time.
 *
 * The scans follow one of two partial indexes of workflow_data.visit: by queue and due time, or by next timer. So each
 * of them repeats the condition of its index, and sorts in the index's order.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/due.h"
#include "store/query.h"
#include "store/row_place.h"

static WfQuery q_scan = {
	.sql = "SELECT due_at, instance, visit FROM workflow_data.visit "
		   "WHERE queue = $1 AND (due_at, instance, visit) > ($2, $3, $4) AND due_at <= $5 "
		   "AND due_at IS NOT NULL AND NOT suspended ORDER BY queue, due_at, instance, visit LIMIT $6",
	.nargs = 6,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID},
};
static WfQuery q_scan_processes = {
	.sql = "SELECT due_at, instance, visit, process_id, ctid FROM workflow_data.visit "
		   "WHERE queue = $1 AND (due_at, instance, visit) > ($2, $3, $4) AND due_at <= $5 "
		   "AND due_at IS NOT NULL AND NOT suspended ORDER BY queue, due_at, instance, visit LIMIT $6",
	.nargs = 6,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID},
};
static WfQuery q_scan_alarms = {
	.sql = "SELECT next_timer, instance, visit FROM workflow_data.visit "
		   "WHERE (next_timer, instance, visit) > ($1, $2, $3) AND next_timer <= $4 "
		   "AND next_timer IS NOT NULL AND NOT suspended ORDER BY next_timer, instance, visit LIMIT $5",
	.nargs = 5,
	.argtypes = {TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID},
};
static WfQuery q_scan_work = {
	.sql = "SELECT due_at, instance, visit, state NOT IN ('calling', 'retrying') OR accepted = 0 "
		   "FROM workflow_data.visit "
		   "WHERE queue = $1 AND (due_at, instance, visit) > ($2, $3, $4) AND due_at <= $5 "
		   "AND due_at IS NOT NULL AND NOT suspended ORDER BY queue, due_at, instance, visit LIMIT $6",
	.nargs = 6,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID},
};
static WfQuery q_lock = {
	.sql = "SELECT FROM workflow_data.instance WHERE instance = $1 FOR NO KEY UPDATE SKIP LOCKED",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_cancels = {
	.sql = "SELECT due_at, instance, visit, process_id FROM workflow_data.visit "
		   "WHERE queue = $1 AND due_at <= $2 AND due_at IS NOT NULL AND NOT suspended AND state = 'cancelling' "
		   "ORDER BY queue, due_at, instance, visit LIMIT $3",
	.nargs = 3,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, INT4OID},
};
/* One index probe for each process; the queue of a server may have very many rows. */
static WfQuery q_any_cancels = {
	.sql = "SELECT FROM workflow_data.process p, LATERAL (SELECT FROM workflow_data.visit v "
		   "WHERE v.process_id = p.process_id AND v.state = 'cancelling' LIMIT 1) v LIMIT 1",
};
static WfQuery q_next = {
	.sql = "SELECT due_at FROM workflow_data.visit WHERE queue = $1 AND due_at > $2 "
		   "AND due_at IS NOT NULL AND NOT suspended ORDER BY queue, due_at LIMIT 1",
	.nargs = 2,
	.argtypes = {TEXTOID, TIMESTAMPTZOID},
};
static WfQuery q_next_alarm = {
	.sql =
		"SELECT next_timer FROM workflow_data.visit WHERE next_timer > $1 AND next_timer IS NOT NULL AND NOT suspended "
		"ORDER BY next_timer LIMIT 1",
	.nargs = 1,
	.argtypes = {TIMESTAMPTZOID},
};
/* Find the queues with one index probe for each, however many rows it has. */
static WfQuery q_queues = {
	.sql = "WITH RECURSIVE q (queue) AS ("
		   "(SELECT queue FROM workflow_data.visit WHERE due_at IS NOT NULL AND NOT suspended ORDER BY queue LIMIT 1) "
		   "UNION ALL "
		   "SELECT (SELECT v.queue FROM workflow_data.visit v WHERE v.due_at IS NOT NULL AND NOT v.suspended "
		   "AND v.queue > q.queue ORDER BY v.queue LIMIT 1) FROM q WHERE q.queue IS NOT NULL) "
		   "SELECT queue FROM q WHERE queue IS NOT NULL",
};
static WfQuery q_postpone_visit = {
	.sql = "UPDATE workflow_data.visit SET due_at = $3 WHERE instance = $1 AND visit = $2 AND due_at IS NOT NULL",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TIMESTAMPTZOID},
};
static WfQuery q_living = {
	.sql = "SELECT instance FROM workflow_data.instance WHERE instance = ANY ($1)",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

static WfQuery q_not_calling = {
	.sql = "SELECT f.visit FROM unnest($1, $2) f (instance, visit) WHERE NOT EXISTS ("
		   "SELECT FROM workflow_data.visit v WHERE v.instance = f.instance AND v.visit = f.visit "
		   "AND v.state IN ('calling', 'retrying', 'cancelling'))",
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID},
};

/* Run a query for keys. Those with a fourth column give the process, too, those with a fifth the place of the row. */
static int
read_keys(WfQuery *query, Datum *values, WfDueKey *keys)
{
	uint64 n = wf_query_run(query, values, NULL);
	int	   columns = SPI_tuptable->tupdesc->natts;
	bool   isnull;

	for (uint64 i = 0; i < n; i++)
	{
		keys[i] = (WfDueKey){wf_result_int64(i, 1), wf_result_int64(i, 2), wf_result_int64(i, 3)};
		if (columns > 3)
			keys[i].process_id = DatumGetInt32(wf_result(i, 4, &isnull));
		if (columns > 4)
			wf_row_place_note(keys[i].instance, keys[i].visit,
							  *(ItemPointer) DatumGetPointer(wf_result(i, 5, &isnull)));
	}
	SPI_freetuptable(SPI_tuptable);
	return (int) n;
}

static int
scan(WfQuery *query, const char *queue, const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys)
{
	Datum values[6] = {CStringGetTextDatum(queue),	TimestampTzGetDatum(after->due_at), Int64GetDatum(after->instance),
					   Int64GetDatum(after->visit), TimestampTzGetDatum(now),			Int32GetDatum(limit)};

	return read_keys(query, values, keys);
}

int
wf_due_scan(const char *queue, const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys)
{
	return scan(&q_scan, queue, after, now, limit, keys);
}

int
wf_due_scan_processes(const char *queue, const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys)
{
	return scan(&q_scan_processes, queue, after, now, limit, keys);
}

int
wf_alarm_scan(const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys)
{
	Datum values[5] = {TimestampTzGetDatum(after->due_at), Int64GetDatum(after->instance), Int64GetDatum(after->visit),
					   TimestampTzGetDatum(now), Int32GetDatum(limit)};

	return read_keys(&q_scan_alarms, values, keys);
}

int
wf_due_cancels(const char *queue, TimestampTz before, int limit, WfDueKey *keys)
{
	Datum values[3] = {CStringGetTextDatum(queue), TimestampTzGetDatum(before), Int32GetDatum(limit)};

	/* mostly nothing is being cancelled, and then the queue is not read for it */
	if (wf_query_run(&q_any_cancels, NULL, NULL) == 0)
		return 0;
	return read_keys(&q_cancels, values, keys);
}

int
wf_due_scan_work(const char *queue, const WfWorkItem *after, TimestampTz now, int limit, WfWorkItem *items)
{
	Datum  values[6] = {CStringGetTextDatum(queue),	 TimestampTzGetDatum(after->due_at), Int64GetDatum(after->instance),
						Int64GetDatum(after->visit), TimestampTzGetDatum(now),			 Int32GetDatum(limit)};
	uint64 n = wf_query_run(&q_scan_work, values, NULL);
	bool   isnull;

	for (uint64 i = 0; i < n; i++)
		items[i] = (WfWorkItem){.due_at = wf_result_int64(i, 1),
								.instance = wf_result_int64(i, 2),
								.visit = wf_result_int64(i, 3),
								.moves = DatumGetBool(wf_result(i, 4, &isnull))};
	SPI_freetuptable(SPI_tuptable);
	return (int) n;
}

bool
wf_due_lock(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};

	return wf_query_run(&q_lock, values, NULL) > 0;
}

static TimestampTz
read_due_time(WfQuery *query, Datum *values)
{
	return wf_query_run(query, values, NULL) > 0 ? wf_result_int64(0, 1) : 0;
}

TimestampTz
wf_due_next(const char *queue, TimestampTz now)
{
	Datum values[2] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now)};

	return read_due_time(&q_next, values);
}

TimestampTz
wf_alarm_next(TimestampTz now)
{
	Datum values[1] = {TimestampTzGetDatum(now)};

	return read_due_time(&q_next_alarm, values);
}

List *
wf_due_queues(void)
{
	List  *queues = NIL;
	uint64 n = wf_query_run(&q_queues, NULL, NULL);

	for (uint64 i = 0; i < n; i++)
		queues = lappend(queues, wf_result_text(i, 1));
	return queues;
}

void
wf_due_postpone(int64 instance, int64 visit, TimestampTz due_at)
{
	Datum values[3] = {Int64GetDatum(instance), Int64GetDatum(visit), TimestampTzGetDatum(due_at)};

	wf_query_run(&q_postpone_visit, values, NULL);
}

int
wf_instances_living(const int64 *ids, int n, int64 *living)
{
	Datum  values[1] = {wf_int64_array(ids, n)};
	uint64 rows;

	rows = wf_query_run(&q_living, values, NULL);
	for (uint64 i = 0; i < rows; i++)
		living[i] = wf_result_int64(i, 1);
	return (int) rows;
}

int
wf_visits_not_calling(const int64 *instances, const int64 *visits, int n, int64 *gone)
{
	Datum  values[2] = {wf_int64_array(instances, n), wf_int64_array(visits, n)};
	uint64 rows;

	rows = wf_query_run(&q_not_calling, values, NULL);
	for (uint64 i = 0; i < rows; i++)
		gone[i] = wf_result_int64(i, 1);
	return (int) rows;
}
