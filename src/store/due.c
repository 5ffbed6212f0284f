/*
 * due.c
 *		What is due: the index that workers read, and deliveries.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/notes.h"
#include "store/due.h"
#include "store/query.h"

static WfQuery q_scan = {
	.sql = "SELECT due_at, instance, visit FROM workflow_data.visit "
		   "WHERE queue = $1 AND (due_at, instance, visit) > ($2, $3, $4) AND due_at <= $5 "
		   "AND due_at IS NOT NULL AND NOT held ORDER BY queue, due_at, instance, visit LIMIT $6",
	.nargs = 6, .argtypes = {TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID}};
static WfQuery q_scan_processes = {
	.sql = "SELECT due_at, instance, visit, process_id FROM workflow_data.visit "
		   "WHERE queue = $1 AND (due_at, instance, visit) > ($2, $3, $4) AND due_at <= $5 "
		   "AND due_at IS NOT NULL AND NOT held ORDER BY queue, due_at, instance, visit LIMIT $6",
	.nargs = 6, .argtypes = {TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID}};
static WfQuery q_scan_alarms = {
	.sql = "SELECT alarm_at, instance, visit FROM workflow_data.visit "
		   "WHERE (alarm_at, instance, visit) > ($1, $2, $3) AND alarm_at <= $4 "
		   "AND alarm_at IS NOT NULL AND NOT held ORDER BY alarm_at, instance, visit LIMIT $5",
	.nargs = 5, .argtypes = {TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID}};
static WfQuery q_claim = {
	.sql = "SELECT v.due_at, v.instance, v.visit FROM workflow_data.visit v "
		   "JOIN workflow_data.instance i ON i.instance = v.instance "
		   "WHERE v.queue = $1 AND v.due_at <= $2 AND v.due_at IS NOT NULL AND NOT v.held "
		   "ORDER BY v.queue, v.due_at, v.instance, v.visit LIMIT 1 "
		   "FOR NO KEY UPDATE OF i SKIP LOCKED",
	.nargs = 2, .argtypes = {TEXTOID, TIMESTAMPTZOID}};
static WfQuery q_cancels = {
	.sql = "SELECT due_at, instance, visit, process_id FROM workflow_data.visit "
		   "WHERE queue = $1 AND due_at <= $2 AND due_at IS NOT NULL AND NOT held AND state = 'cancelling' "
		   "ORDER BY queue, due_at, instance, visit LIMIT $3",
	.nargs = 3, .argtypes = {TEXTOID, TIMESTAMPTZOID, INT4OID}};
static WfQuery q_any = {
	.sql = "SELECT 1 FROM workflow_data.visit WHERE queue = $1 AND due_at <= $2 AND due_at IS NOT NULL AND NOT held "
		   "LIMIT 1",
	.nargs = 2, .argtypes = {TEXTOID, TIMESTAMPTZOID}};
static WfQuery q_next = {
	.sql = "SELECT due_at FROM workflow_data.visit WHERE queue = $1 AND due_at > $2 "
		   "AND due_at IS NOT NULL AND NOT held ORDER BY queue, due_at LIMIT 1",
	.nargs = 2, .argtypes = {TEXTOID, TIMESTAMPTZOID}};
static WfQuery q_next_alarm = {
	.sql = "SELECT alarm_at FROM workflow_data.visit WHERE alarm_at > $1 AND alarm_at IS NOT NULL AND NOT held "
		   "ORDER BY alarm_at LIMIT 1",
	.nargs = 1, .argtypes = {TIMESTAMPTZOID}};
/* one index probe per queue, however many rows each has */
static WfQuery q_queues = {
	.sql = "WITH RECURSIVE q (queue) AS ("
		   "(SELECT queue FROM workflow_data.visit WHERE due_at IS NOT NULL AND NOT held ORDER BY queue LIMIT 1) "
		   "UNION ALL "
		   "SELECT (SELECT v.queue FROM workflow_data.visit v WHERE v.due_at IS NOT NULL AND NOT v.held "
		   "AND v.queue > q.queue ORDER BY v.queue LIMIT 1) FROM q WHERE q.queue IS NOT NULL) "
		   "SELECT queue FROM q WHERE queue IS NOT NULL"};
static WfQuery q_add = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, payload) "
		   "VALUES ($1, $2, $3, $4, $5, $6)",
	.nargs = 6, .argtypes = {INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID}};
static WfQuery q_take = {
	.sql = "SELECT delivery, instance, visit, attempt, due_at, kind, payload FROM workflow_data.delivery "
		   "WHERE queue = $1 AND due_at <= $2 ORDER BY queue, due_at, delivery LIMIT 1 "
		   "FOR UPDATE SKIP LOCKED",
	.nargs = 2, .argtypes = {TEXTOID, TIMESTAMPTZOID}};
static WfQuery q_delivery_next = {
	.sql = "SELECT due_at FROM workflow_data.delivery WHERE queue = $1 ORDER BY queue, due_at LIMIT 1",
	.nargs = 1, .argtypes = {TEXTOID}};
static WfQuery q_delivery_count = {
	.sql = "SELECT count(*) FROM (SELECT FROM workflow_data.delivery WHERE queue = $1 AND due_at <= $2 "
		   "ORDER BY queue, due_at LIMIT $3) d",
	.nargs = 3, .argtypes = {TEXTOID, TIMESTAMPTZOID, INT4OID}};
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.delivery WHERE delivery = $1",
	.nargs = 1, .argtypes = {INT8OID}};
static WfQuery q_postpone = {
	.sql = "UPDATE workflow_data.delivery SET due_at = $2, attempt = attempt + 1 WHERE delivery = $1",
	.nargs = 2, .argtypes = {INT8OID, TIMESTAMPTZOID}};
static WfQuery q_set = {
	.sql = "UPDATE workflow_data.delivery SET due_at = $2, attempt = $3 WHERE delivery = $1",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, INT4OID}};
static WfQuery q_hasten_upkeep = {
	.sql = "UPDATE workflow_data.delivery SET due_at = $1 WHERE delivery IN ("
		   "SELECT delivery FROM workflow_data.delivery WHERE kind = '" WF_DELIVERY_MAINTAIN "' AND due_at > $1 "
		   "AND ($2 OR attempt = 0) FOR UPDATE SKIP LOCKED)",
	.nargs = 2, .argtypes = {TIMESTAMPTZOID, BOOLOID}};
static WfQuery q_hold = {
	.sql = "UPDATE workflow_data.delivery SET queue = 'held' WHERE delivery = $1",
	.nargs = 1, .argtypes = {INT8OID}};
static WfQuery q_release = {
	.sql = "UPDATE workflow_data.delivery SET queue = 'move', due_at = $2 "
		   "WHERE kind = 'reply' AND queue = 'held' AND instance = ANY ($1)",
	.nargs = 2, .argtypes = {INT8ARRAYOID, TIMESTAMPTZOID}};
static WfQuery q_to_executor = {
	.sql = "UPDATE workflow_data.delivery SET queue = $3, due_at = $2 WHERE delivery = $1",
	.nargs = 3, .argtypes = {INT8OID, TIMESTAMPTZOID, TEXTOID}};
static WfQuery q_postpone_visit = {
	.sql = "UPDATE workflow_data.visit SET due_at = $3 WHERE instance = $1 AND visit = $2 AND due_at IS NOT NULL",
	.nargs = 3, .argtypes = {INT8OID, INT8OID, TIMESTAMPTZOID}};
static WfQuery q_replies = {
	.sql = "SELECT instance, visit, queue LIKE 'executor%' FROM workflow_data.delivery WHERE kind = 'reply'"};
static WfQuery q_replies_of = {
	.sql = "SELECT instance, visit, queue LIKE 'executor%' FROM workflow_data.delivery "
		   "WHERE kind = 'reply' AND instance = ANY ($1)",
	.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery q_living = {
	.sql = "SELECT instance FROM workflow_data.instance WHERE instance = ANY ($1)",
	.nargs = 1, .argtypes = {INT8ARRAYOID}};

static WfQuery q_not_calling = {
	.sql = "SELECT f.visit FROM unnest($1, $2) f (instance, visit) WHERE NOT EXISTS ("
		   "SELECT FROM workflow_data.visit v WHERE v.instance = f.instance AND v.visit = f.visit "
		   "AND v.state IN ('calling', 'retrying', 'cancelling'))",
	.nargs = 2, .argtypes = {INT8ARRAYOID, INT8ARRAYOID}};

static int
read_keys(WfQuery *query, Datum *values, WfDueKey *keys)
{
	uint64		n = wf_query_run(query, values, NULL);
	bool		isnull;

	for (uint64 i = 0; i < n; i++)
	{
		keys[i] = (WfDueKey){wf_result_int64(i, 1), wf_result_int64(i, 2), wf_result_int64(i, 3)};
		if (SPI_tuptable->tupdesc->natts > 3)
			keys[i].process_id = DatumGetInt32(wf_result(i, 4, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return (int) n;
}

static int
scan(WfQuery *query, const char *queue, const WfDueKey *after, TimestampTz now, int limit, WfDueKey *keys)
{
	Datum		values[6] = {CStringGetTextDatum(queue), TimestampTzGetDatum(after->due_at),
		Int64GetDatum(after->instance), Int64GetDatum(after->visit), TimestampTzGetDatum(now),
		Int32GetDatum(limit)};

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
	Datum		values[5] = {TimestampTzGetDatum(after->due_at), Int64GetDatum(after->instance),
		Int64GetDatum(after->visit), TimestampTzGetDatum(now), Int32GetDatum(limit)};

	return read_keys(&q_scan_alarms, values, keys);
}

int
wf_due_cancels(const char *queue, TimestampTz before, int limit, WfDueKey *keys)
{
	Datum		values[3] = {CStringGetTextDatum(queue), TimestampTzGetDatum(before),
		Int32GetDatum(limit)};

	return read_keys(&q_cancels, values, keys);
}

bool
wf_due_claim(const char *queue, TimestampTz now, WfWorkItem *item, bool *skipped)
{
	Datum		values[2] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now)};
	WfDueKey	key;

	*skipped = false;
	if (read_keys(&q_claim, values, &key) > 0)
	{
		*item = (WfWorkItem){.instance = key.instance, .visit = key.visit, .due_at = key.due_at};
		return true;
	}
	*skipped = wf_query_run(&q_any, values, NULL) > 0;
	return false;
}

static TimestampTz
read_time(WfQuery *query, Datum *values)
{
	return wf_query_run(query, values, NULL) > 0 ? wf_result_int64(0, 1) : 0;
}

TimestampTz
wf_due_next(const char *queue, TimestampTz now)
{
	Datum		values[2] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now)};

	return read_time(&q_next, values);
}

TimestampTz
wf_alarm_next(TimestampTz now)
{
	Datum		values[1] = {TimestampTzGetDatum(now)};

	return read_time(&q_next_alarm, values);
}

List *
wf_due_queues(void)
{
	List	   *queues = NIL;
	uint64		n = wf_query_run(&q_queues, NULL, NULL);

	for (uint64 i = 0; i < n; i++)
		queues = lappend(queues, wf_result_text(i, 1));
	return queues;
}

void
wf_delivery_add(int64 instance, int64 visit, const char *kind, const char *queue,
				TimestampTz due_at, Jsonb *payload)
{
	Datum		values[6] = {Int64GetDatum(instance), Int64GetDatum(visit),
		CStringGetTextDatum(kind), CStringGetTextDatum(queue), TimestampTzGetDatum(due_at),
		JsonbPGetDatum(payload)};
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', payload != NULL ? ' ' : 'n'};

	wf_query_run(&q_add, values, nulls);
}

WfDelivery *
wf_delivery_take(const char *queue, TimestampTz now)
{
	Datum		values[2] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now)};
	WfDelivery *delivery;
	Datum		payload;
	bool		isnull;

	if (wf_query_run(&q_take, values, NULL) == 0)
		return NULL;
	delivery = palloc0(sizeof(WfDelivery));
	delivery->id = wf_result_int64(0, 1);
	delivery->instance = wf_result_int64(0, 2);
	delivery->visit = wf_result_int64(0, 3);
	delivery->attempt = DatumGetInt32(wf_result(0, 4, &isnull));
	delivery->due_at = wf_result_int64(0, 5);
	delivery->kind = wf_result_text(0, 6);
	payload = wf_result(0, 7, &isnull);
	if (!isnull)
		delivery->payload = DatumGetJsonbPCopy(payload);
	return delivery;
}

TimestampTz
wf_delivery_next(const char *queue)
{
	Datum		values[1] = {CStringGetTextDatum(queue)};

	return read_time(&q_delivery_next, values);
}

int
wf_delivery_count(const char *queue, TimestampTz now, int limit)
{
	Datum		values[3] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now),
		Int32GetDatum(limit)};

	wf_query_run(&q_delivery_count, values, NULL);
	return (int) wf_result_int64(0, 1);
}

void
wf_delivery_delete(int64 id)
{
	Datum		values[1] = {Int64GetDatum(id)};

	wf_query_run(&q_delete, values, NULL);
}

void
wf_delivery_postpone(int64 id, TimestampTz due_at)
{
	Datum		values[2] = {Int64GetDatum(id), TimestampTzGetDatum(due_at)};

	wf_query_run(&q_postpone, values, NULL);
}

void
wf_delivery_set(int64 id, TimestampTz due_at, int attempt)
{
	Datum		values[3] = {Int64GetDatum(id), TimestampTzGetDatum(due_at), Int32GetDatum(attempt)};

	wf_query_run(&q_set, values, NULL);
}

void
wf_delivery_hasten_upkeep(bool anyway)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[2] = {TimestampTzGetDatum(now), BoolGetDatum(anyway)};

	if (wf_query_run(&q_hasten_upkeep, values, NULL) > 0)
		wf_note_due(WF_QUEUE_EXECUTOR, now);
}

void
wf_delivery_hold(int64 id)
{
	Datum		values[1] = {Int64GetDatum(id)};

	wf_query_run(&q_hold, values, NULL);
}

void
wf_delivery_to_executor(int64 id, const char *queue, TimestampTz now)
{
	Datum		values[3] = {Int64GetDatum(id), TimestampTzGetDatum(now), CStringGetTextDatum(queue)};

	wf_query_run(&q_to_executor, values, NULL);
	wf_note_due(WF_QUEUE_EXECUTOR, now);
}

void
wf_due_postpone(int64 instance, int64 visit, TimestampTz due_at)
{
	Datum		values[3] = {Int64GetDatum(instance), Int64GetDatum(visit),
		TimestampTzGetDatum(due_at)};

	wf_query_run(&q_postpone_visit, values, NULL);
}

void
wf_delivery_release(const int64 *instances, int n, TimestampTz now)
{
	Datum		values[2] = {wf_int64_array(instances, n), TimestampTzGetDatum(now)};

	if (wf_query_run(&q_release, values, NULL) > 0)
		wf_note_due(WF_QUEUE_MOVE, now);
}

int
wf_delivery_replies(const int64 *instances, int ninstances, WfReplyKey **keys)
{
	Datum		values[1];
	uint64		n;
	bool		isnull;

	if (instances != NULL)
		values[0] = wf_int64_array(instances, ninstances);
	n = wf_query_run(instances != NULL ? &q_replies_of : &q_replies, values, NULL);
	*keys = palloc(sizeof(WfReplyKey) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
		(*keys)[i] = (WfReplyKey){wf_result_int64(i, 1), wf_result_int64(i, 2),
			DatumGetBool(wf_result(i, 3, &isnull))};
	return (int) n;
}

int
wf_instances_living(const int64 *ids, int n, int64 *living)
{
	Datum		values[1] = {wf_int64_array(ids, n)};
	uint64		rows;

	rows = wf_query_run(&q_living, values, NULL);
	for (uint64 i = 0; i < rows; i++)
		living[i] = wf_result_int64(i, 1);
	return (int) rows;
}

int
wf_visits_not_calling(const int64 *instances, const int64 *visits, int n, int64 *gone)
{
	Datum		values[2] = {wf_int64_array(instances, n), wf_int64_array(visits, n)};
	uint64		rows;

	rows = wf_query_run(&q_not_calling, values, NULL);
	for (uint64 i = 0; i < rows; i++)
		gone[i] = wf_result_int64(i, 1);
	return (int) rows;
}
