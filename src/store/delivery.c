/*
 * delivery.c
 *		The table of deliveries: what waits to be brought to an instance, in order, and what executors owe.
 *
 * It has the SQL of what waits for instances; write-backs are inserted by flush.c and attachment.c, those that have
 * failed are owed.c's, and others only count or look. Who makes a delivery due leaves
 * the wake-up in the same transaction; where the header does not say so, that is left to the caller.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/delivery.h"
#include "store/executor_work.h"
#include "store/query.h"
#include "store/receivers.h"

/* ---- by queue ---- */

static WfQuery q_callbacks = {
	.sql =
		"SELECT d.instance, d.visit, COALESCE(d.payload ->> 'kind', 'callback') FROM workflow_data.delivery d WHERE d.instance = ANY ($1) AND "
		"d.kind = '" WF_DELIVERY_CALLBACK "'",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_add = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, payload) "
		   "VALUES ($1, $2, $3, $4, $5, $6)",
	.nargs = 6,
	.argtypes = {INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID},
};
#define COLUMNS "delivery, instance, visit, attempt, due_at, kind, queue, payload"
static WfQuery q_take = {
	.sql = "SELECT " COLUMNS
		   " FROM workflow_data.delivery WHERE queue = $1 AND due_at <= $2 AND (due_at, delivery) > ($3, $4) "
		   "ORDER BY queue, due_at, delivery LIMIT 1 FOR UPDATE SKIP LOCKED",
	.nargs = 4,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID},
};
static WfQuery q_next = {
	.sql = "SELECT due_at FROM workflow_data.delivery WHERE queue = $1 ORDER BY queue, due_at LIMIT 1",
	.nargs = 1,
	.argtypes = {TEXTOID},
};
static WfQuery q_payload = {
	.sql = "SELECT payload FROM workflow_data.delivery WHERE delivery = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.delivery WHERE delivery = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_postpone = {
	.sql = "UPDATE workflow_data.delivery SET due_at = $2, attempt = attempt + 1 WHERE delivery = $1",
	.nargs = 2,
	.argtypes = {INT8OID, TIMESTAMPTZOID},
};
static WfQuery q_set = {
	.sql = "UPDATE workflow_data.delivery SET due_at = $2, attempt = $3 WHERE delivery = $1",
	.nargs = 3,
	.argtypes = {INT8OID, TIMESTAMPTZOID, INT4OID},
};
static WfQuery q_hasten_upkeep = {
	.sql = "UPDATE workflow_data.delivery SET due_at = $1 WHERE delivery IN ("
		   "SELECT delivery FROM workflow_data.delivery WHERE kind = '" WF_DELIVERY_MAINTAIN "' AND due_at > $1 "
		   "AND ($2 OR attempt = 0) FOR UPDATE SKIP LOCKED)",
	.nargs = 2,
	.argtypes = {TIMESTAMPTZOID, BOOLOID},
};

/* Read row number `row` of a result that has COLUMNS. The caller reads the payload, which may be large. */
static void
read_delivery(WfDelivery *delivery, uint64 row)
{
	bool isnull;

	delivery->id = wf_result_int64(row, 1);
	delivery->instance = wf_result_int64(row, 2);
	delivery->visit = wf_result_int64(row, 3);
	delivery->attempt = DatumGetInt32(wf_result(row, 4, &isnull));
	delivery->due_at = wf_result_int64(row, 5);
	delivery->kind = wf_result_text(row, 6);
	delivery->queue = wf_result_text(row, 7);
	delivery->payload = NULL;
}

void
wf_delivery_add(int64 instance, int64 visit, const char *kind, const char *queue, TimestampTz due_at, Jsonb *payload)
{
	Datum values[6] = {Int64GetDatum(instance),	   Int64GetDatum(visit),		CStringGetTextDatum(kind),
					   CStringGetTextDatum(queue), TimestampTzGetDatum(due_at), JsonbPGetDatum(payload)};
	char  nulls[6] = {' ', ' ', ' ', ' ', ' ', payload != NULL ? ' ' : 'n'};

	wf_query_run(&q_add, values, nulls);
}

WfDelivery *
wf_delivery_take(const char *queue, TimestampTz now, const WfDelivery *after)
{
	Datum		values[4] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now),
							 TimestampTzGetDatum(after != NULL ? after->due_at : DT_NOBEGIN),
							 Int64GetDatum(after != NULL ? after->id : 0)};
	WfDelivery *delivery;

	if (wf_query_run(&q_take, values, NULL) == 0)
		return NULL;
	delivery = palloc(sizeof(WfDelivery));
	read_delivery(delivery, 0);
	return delivery;
}

TimestampTz
wf_delivery_next(const char *queue)
{
	Datum values[1] = {CStringGetTextDatum(queue)};

	return wf_query_run(&q_next, values, NULL) > 0 ? wf_result_int64(0, 1) : 0;
}

Jsonb *
wf_delivery_payload(int64 id)
{
	Datum values[1] = {Int64GetDatum(id)};
	bool  isnull;

	wf_query_run(&q_payload, values, NULL);
	return DatumGetJsonbPCopy(wf_result(0, 1, &isnull));
}

void
wf_delivery_delete(int64 id)
{
	Datum values[1] = {Int64GetDatum(id)};

	wf_query_run(&q_delete, values, NULL);
}

void
wf_delivery_postpone(int64 id, TimestampTz due_at)
{
	Datum values[2] = {Int64GetDatum(id), TimestampTzGetDatum(due_at)};

	wf_query_run(&q_postpone, values, NULL);
}

void
wf_delivery_set(int64 id, TimestampTz due_at, int attempt)
{
	Datum values[3] = {Int64GetDatum(id), TimestampTzGetDatum(due_at), Int32GetDatum(attempt)};

	wf_query_run(&q_set, values, NULL);
}

void
wf_delivery_hasten_upkeep(bool anyway)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[2] = {TimestampTzGetDatum(now), BoolGetDatum(anyway)};

	if (wf_query_run(&q_hasten_upkeep, values, NULL) > 0)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, now);
}

/* ---- by instance, in order ---- */

/*
 * Is the row in this queue? Written so that the planner cannot use the index on the queue: an instance has far fewer
 * deliveries than a queue.
 */
#define IS_IN(queue) "queue || '' = '" queue "'"
#define INSTANCES	 "unnest($1) AS i (instance)"
#define OF_INSTANCE	 "d.instance = i.instance AND " WF_DELIVERY_IN_LINE
/* The first or last delivery of an instance, which may have thousands, is found by the index that has this order. */
#define IN_ORDER(order) " ORDER BY d.instance" order ", d.delivery" order " "

static WfQuery q_append = {
	.sql =
		"INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, payload) "
		"SELECT i.instance, $2, $3, CASE WHEN l.queue LIKE 'executor%' AND $4 <> 'suspended' THEN l.queue ELSE $4 END, "
		"greatest($5, CASE WHEN l.queue <> 'suspended' THEN l.due_at END), $6 "
		"FROM (SELECT $1 AS instance) i LEFT JOIN LATERAL (SELECT d.queue, d.due_at FROM workflow_data.delivery d "
		"WHERE " OF_INSTANCE IN_ORDER(" DESC") "LIMIT 1) l ON true RETURNING queue, due_at",
	.nargs = 6,
	.argtypes = {INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID},
};
static WfQuery q_due = {
	.sql = "SELECT DISTINCT instance FROM (SELECT instance FROM workflow_data.delivery "
		   "WHERE queue = $1 AND due_at <= $2 ORDER BY queue, due_at, delivery LIMIT $3) d ORDER BY instance",
	.nargs = 3,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, INT4OID},
};
static WfQuery q_waiting = {
	.sql = "SELECT d.* FROM " INSTANCES " CROSS JOIN LATERAL (SELECT " COLUMNS " FROM workflow_data.delivery d "
		   "WHERE " OF_INSTANCE IN_ORDER("") "LIMIT $2) d LIMIT $2",
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, INT4OID},
};
static WfQuery q_have = {
	.sql = "SELECT i.instance FROM " INSTANCES " CROSS JOIN LATERAL (SELECT FROM workflow_data.delivery d "
		   "WHERE " OF_INSTANCE IN_ORDER("") "LIMIT 1) d ORDER BY i.instance",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
/* Has any that stands between the first and the last of many a delivery? Mostly none has. */
static WfQuery q_have_any = {
	.sql = "SELECT FROM workflow_data.delivery d "
		   "WHERE d.instance BETWEEN $1 AND $2 AND " WF_DELIVERY_IN_LINE IN_ORDER("") "LIMIT 1",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};
static WfQuery q_delete_all = {
	.sql = "DELETE FROM workflow_data.delivery WHERE delivery = ANY ($1)",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_postpone_all = {
	.sql =
		"WITH w AS MATERIALIZED (SELECT d.delivery, i.due_at FROM ROWS FROM (unnest($1), unnest($2)) AS i (instance, due_at) "
		"JOIN workflow_data.delivery d ON " OF_INSTANCE " WHERE d.queue <> 'suspended' FOR UPDATE OF d SKIP LOCKED) "
		"UPDATE workflow_data.delivery d SET due_at = greatest(d.due_at, w.due_at), attempt = d.attempt + 1 "
		"FROM w WHERE d.delivery = w.delivery",
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, TIMESTAMPTZARRAYOID},
};
static WfQuery q_hasten = {
	.sql = "UPDATE workflow_data.delivery d SET due_at = $2 "
		   "WHERE d.instance = $1 AND " WF_DELIVERY_IN_LINE " AND queue <> 'suspended' AND due_at > $2",
	.nargs = 2,
	.argtypes = {INT8OID, TIMESTAMPTZOID},
};
static WfQuery q_hold = {
	.sql = "UPDATE workflow_data.delivery d SET queue = 'suspended' "
		   "WHERE d.instance = ANY ($1) AND " WF_DELIVERY_IN_LINE " AND queue <> 'suspended'",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_release = {
	.sql = "UPDATE workflow_data.delivery SET queue = 'move', due_at = $2, "
		   "payload = CASE kind WHEN 'event' THEN payload || '{\"held\": true}' ELSE payload END "
		   "WHERE instance = ANY ($1) AND kind <> 'write_back' AND " IS_IN("suspended"),
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, TIMESTAMPTZOID},
};
static WfQuery q_to_executor = {
	.sql = "UPDATE workflow_data.delivery SET queue = $3, due_at = $2 WHERE delivery = $1",
	.nargs = 3,
	.argtypes = {INT8OID, TIMESTAMPTZOID, TEXTOID},
};
static WfQuery q_follow = {
	.sql = "WITH f AS (UPDATE workflow_data.delivery d SET queue = $2, due_at = $3 "
		   "WHERE d.instance = $1 AND " WF_DELIVERY_IN_LINE " AND queue || '' = 'move' RETURNING kind, visit) "
		   "SELECT visit FROM f WHERE kind = 'reply'",
	.nargs = 3,
	.argtypes = {INT8OID, TEXTOID, TIMESTAMPTZOID},
};
static WfQuery q_replies = {
	.sql = "SELECT instance, visit, queue LIKE 'executor%' FROM workflow_data.delivery WHERE kind = 'reply'",
};
static WfQuery q_replies_of = {
	.sql = "SELECT instance, visit, queue LIKE 'executor%' FROM workflow_data.delivery "
		   "WHERE kind = 'reply' AND instance = ANY ($1)",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

bool
wf_delivery_append(int64 instance, int64 visit, const char *kind, const char *queue, TimestampTz due_at, Jsonb *payload)
{
	Datum values[6] = {Int64GetDatum(instance),	   Int64GetDatum(visit),		CStringGetTextDatum(kind),
					   CStringGetTextDatum(queue), TimestampTzGetDatum(due_at), JsonbPGetDatum(payload)};
	char  nulls[6] = {' ', ' ', ' ', ' ', ' ', payload != NULL ? ' ' : 'n'};
	char *went_to;
	bool  with_executor;

	wf_query_run(&q_append, values, nulls);
	went_to = wf_result_text(0, 1);
	with_executor = wf_is_executor_queue(went_to);
	if (strcmp(went_to, WF_QUEUE_SUSPENDED) != 0)
		wf_wakeup_due(with_executor ? WF_QUEUE_EXECUTOR : went_to, wf_result_int64(0, 2));
	return with_executor;
}

static int
read_numbers(uint64 rows, int64 *numbers)
{
	for (uint64 i = 0; i < rows; i++)
		numbers[i] = wf_result_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

int
wf_deliveries_due(const char *queue, TimestampTz now, int limit, int64 *instances)
{
	Datum values[3] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now), Int32GetDatum(limit)};

	return read_numbers(wf_query_run(&q_due, values, NULL), instances);
}

int
wf_deliveries_waiting(const int64 *instances, int ninstances, int limit, size_t bytes, WfDelivery **deliveries)
{
	Datum		   values[2] = {wf_int64_array(instances, ninstances), Int32GetDatum(limit)};
	uint64		   rows = wf_query_run(&q_waiting, values, NULL);
	SPITupleTable *table = SPI_tuptable;
	size_t		   sum = 0;
	uint64		   n;

	*deliveries = palloc(sizeof(WfDelivery) * Max(rows, 1));
	for (n = 0; n < rows && sum < bytes; n++)
	{
		bool  isnull;
		Datum payload = wf_result(n, 8, &isnull);

		read_delivery(&(*deliveries)[n], n);
		if (isnull)
			continue;
		sum += toast_raw_datum_size(payload);
		(*deliveries)[n].payload = DatumGetJsonbPCopy(payload);
	}
	SPI_freetuptable(table);
	return (int) n;
}

static bool
any_may_have(const int64 *instances, int n)
{
	int64 first = instances[0];
	int64 last = instances[0];
	Datum values[2];

	for (int i = 1; i < n; i++)
	{
		first = Min(first, instances[i]);
		last = Max(last, instances[i]);
	}
	values[0] = Int64GetDatum(first);
	values[1] = Int64GetDatum(last);
	return wf_query_run(&q_have_any, values, NULL) > 0;
}

int
wf_deliveries_have(const int64 *instances, int n, int64 *have)
{
	Datum values[1];

	if (n > 1 && !any_may_have(instances, n))
		return 0;
	values[0] = wf_int64_array(instances, n);
	return read_numbers(wf_query_run(&q_have, values, NULL), have);
}

int
wf_deliveries_delete(const int64 *ids, int n)
{
	Datum values[1] = {wf_int64_array(ids, n)};

	return n > 0 ? (int) wf_query_run(&q_delete_all, values, NULL) : 0;
}

static Datum
time_array(const TimestampTz *times, int n)
{
	Datum *datums = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		datums[i] = TimestampTzGetDatum(times[i]);
	return PointerGetDatum(
		construct_array(datums, n, TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

void
wf_deliveries_postpone(const int64 *instances, const TimestampTz *due_at, int n)
{
	Datum values[2] = {wf_int64_array(instances, n), time_array(due_at, n)};

	wf_query_run(&q_postpone_all, values, NULL);
}

void
wf_deliveries_hasten(int64 instance, TimestampTz now)
{
	Datum values[2] = {Int64GetDatum(instance), TimestampTzGetDatum(now)};

	if (wf_query_run(&q_hasten, values, NULL) == 0)
		return;
	wf_wakeup_due(WF_QUEUE_EXECUTOR, now);
	wf_wakeup_due(WF_QUEUE_MOVE, now);
}

void
wf_deliveries_hold(const int64 *instances, int n)
{
	Datum values[1] = {wf_int64_array(instances, n)};

	if (wf_query_run(&q_hold, values, NULL) > 0)
		wf_receivers_close(instances, n);
}

void
wf_deliveries_release(const int64 *instances, int n, TimestampTz now)
{
	Datum values[2] = {wf_int64_array(instances, n), TimestampTzGetDatum(now)};

	if (wf_query_run(&q_release, values, NULL) == 0)
		return;
	wf_receivers_open(instances, n);
	wf_wakeup_due(WF_QUEUE_MOVE, now);
}

void
wf_delivery_to_executor(int64 id, const char *queue, TimestampTz now)
{
	Datum values[3] = {Int64GetDatum(id), TimestampTzGetDatum(now), CStringGetTextDatum(queue)};

	wf_query_run(&q_to_executor, values, NULL);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, now);
}

int
wf_deliveries_follow(int64 instance, const char *queue, TimestampTz due_at, int64 **visits)
{
	Datum  values[3] = {Int64GetDatum(instance), CStringGetTextDatum(queue), TimestampTzGetDatum(due_at)};
	uint64 n = wf_query_run(&q_follow, values, NULL);

	*visits = palloc(sizeof(int64) * Max(n, 1));
	wf_wakeup_due(WF_QUEUE_EXECUTOR, due_at);
	return read_numbers(n, *visits);
}

int
wf_delivery_replies(const int64 *instances, int ninstances, WfReplyKey **keys)
{
	Datum  values[1];
	uint64 n;
	bool   isnull;

	if (instances != NULL)
		values[0] = wf_int64_array(instances, ninstances);
	n = wf_query_run(instances != NULL ? &q_replies_of : &q_replies, values, NULL);
	*keys = palloc(sizeof(WfReplyKey) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
		(*keys)[i] = (WfReplyKey){wf_result_int64(i, 1), wf_result_int64(i, 2), DatumGetBool(wf_result(i, 3, &isnull))};
	return (int) n;
}

void
wf_deliveries_mark_callbacks(WfBatch *batch)
{
	int64	 *ids = palloc(sizeof(int64) * Max(list_length(batch->instances), 1));
	int		  n = 0;
	Datum	  values[1];
	uint64	  rows;
	ListCell *lc;

	foreach (lc, batch->instances)
		ids[n++] = ((WfInstance *) lfirst(lc))->id;
	values[0] = wf_int64_array(ids, n);
	rows = wf_query_run(&q_callbacks, values, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		WfVisit *visit = wf_batch_visit(batch, wf_result_int64(i, 1), wf_result_int64(i, 2));

		if (visit != NULL)
			visit->memory.kept = lappend(visit->memory.kept, wf_result_text(i, 3));
	}
	SPI_freetuptable(SPI_tuptable);
}
