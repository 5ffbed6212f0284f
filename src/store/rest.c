/*
 * rest.c
 *		When an instance rests, for those who are told.
 *
 * Nobody who has asked is forgotten: who sets `asked` holds the lock of the instance, and a batch that moves it afterwards, under
 * the same lock, adds the delivery, unless there is one, which judges after that. Who adds one holds the lock of the instance, or not:
 * what was called tells its caller without.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/executor_work.h"
#include "store/history.h"
#include "store/played.h"
#include "store/process.h"
#include "store/query.h"
#include "store/rest.h"

/* Is the visit `v` at work? Only clocks, or the outside, go on with others; what is accepted is on its way. */
#define AT_WORK \
	"(v.state IN ('ready', 'calling', 'retrying', 'cancelling') OR v.accepted IS NOT NULL OR v.queue <> '" WF_QUEUE_TIMER \
	"')"
#define ON_ITS_WAY \
	"EXISTS (SELECT FROM workflow_data.delivery d WHERE d.instance = t.instance AND " WF_DELIVERY_IN_LINE \
	" AND d.queue <> '" WF_QUEUE_SUSPENDED "')"

/*
 * Without waiting for anybody: a delivery that somebody else holds may be carried out already, or be taken back, so another one is
 * added. One that stays is held until the end of the transaction, lest it be carried out before what it has to see.
 */
static WfQuery q_add = {
	.sql = "WITH there AS MATERIALIZED (SELECT d.delivery, d.instance, d.due_at FROM workflow_data.delivery d "
		   "WHERE d.instance = ANY ($1) AND d.kind = '" WF_DELIVERY_REST "' FOR UPDATE SKIP LOCKED), "
		   "sooner AS (UPDATE workflow_data.delivery d SET due_at = $3, attempt = 0 FROM there t "
		   "WHERE d.delivery = t.delivery AND t.due_at > $3 RETURNING 1), "
		   "new AS (INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at) "
		   "SELECT i.instance, 0, '" WF_DELIVERY_REST "', i.queue, $3 FROM unnest($1, $2) AS i (instance, queue) "
		   "WHERE NOT EXISTS (SELECT FROM there t WHERE t.instance = i.instance) RETURNING 1) "
		   "SELECT FROM sooner UNION ALL SELECT FROM new LIMIT 1",
	.nargs = 3,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID},
};
/* If another one is due no later, and free, one of them is enough. */
static WfQuery q_postpone = {
	.sql =
		"WITH other AS MATERIALIZED (SELECT d.delivery FROM workflow_data.delivery d WHERE d.instance = $1 "
		"AND d.kind = '" WF_DELIVERY_REST "' AND d.delivery <> $2 AND d.due_at <= $3 LIMIT 1 FOR UPDATE SKIP LOCKED), "
		"gone AS (DELETE FROM workflow_data.delivery WHERE delivery = $2 AND EXISTS (SELECT FROM other)) "
		"UPDATE workflow_data.delivery SET due_at = $3, attempt = attempt + 1 "
		"WHERE delivery = $2 AND NOT EXISTS (SELECT FROM other)",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TIMESTAMPTZOID},
};
/*
 * The first one, of the instance itself and all that it has called, that is at work (true) or to which something is on its way, and
 * who has led there by calls.
 */
static WfQuery q_busy = {
	.sql = "WITH RECURSIVE tree (instance, path) AS (SELECT $1, ARRAY[$1] UNION ALL SELECT v.child, t.path || v.child "
		   "FROM tree t JOIN workflow_data.visit v ON v.instance = t.instance WHERE v.child IS NOT NULL), "
		   "busy AS (SELECT t.path, EXISTS (SELECT FROM workflow_data.visit v WHERE v.instance = t.instance "
		   "AND " AT_WORK ") AS works, " ON_ITS_WAY " AS expects FROM tree t) "
		   "SELECT b.path, b.works FROM busy b WHERE b.works OR b.expects ORDER BY cardinality(b.path), b.path LIMIT 1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
/* The same of one that has no visits, and so has called nobody. */
static WfQuery q_expects = {
	.sql = "SELECT FROM (SELECT $1 AS instance) t WHERE " ON_ITS_WAY,
	.nargs = 1,
	.argtypes = {INT8OID},
};
/* Without waiting: a caller holds what it has called for a moment only here, and others the other way round. */
static WfQuery q_ask = {
	.sql =
		"WITH l AS MATERIALIZED (SELECT i.instance, i.asked FROM workflow_data.instance i WHERE i.instance = ANY ($1) "
		"FOR NO KEY UPDATE SKIP LOCKED), "
		"u AS (UPDATE workflow_data.instance i SET asked = true FROM l WHERE i.instance = l.instance "
		"AND l.asked IS NOT TRUE) SELECT FROM l",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_told = {
	.sql = "UPDATE workflow_data.instance SET asked = NULL WHERE instance = $1 AND asked RETURNING parent",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_asks = {
	.sql = "SELECT i.process_id FROM workflow_data.instance i WHERE i.instance = $1 AND i.asked",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static const WfRelationColumn  standing_columns[] = {{"process_id", INT4OID},
													 {"status", TEXTOID},
													 {"data", JSONBOID},
													 {"started_at", TIMESTAMPTZOID},
													 {"traceparent", TEXTOID}};
static const WfRelationColumns standing_row = {standing_columns, lengthof(standing_columns)};
static WfQuery				   q_ended = {
					.sql = "SELECT process_id, status, data, started_at, traceparent FROM " WF_ENDED(
						"instance") " s WHERE s.instance = $1",
					.nargs = 1,
					.argtypes = {INT8OID},
};

/* ---- telling ---- */

static void
add(const int64 *instances, Datum *queues, int n, TimestampTz due_at)
{
	Datum values[3] = {wf_int64_array(instances, n),
					   PointerGetDatum(construct_array(queues, n, TEXTOID, -1, false, TYPALIGN_INT)),
					   TimestampTzGetDatum(due_at)};

	if (wf_query_run(&q_add, values, NULL) > 0)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, due_at);
}

void
wf_rest_deliver(int64 instance, int process_id, TimestampTz due_at)
{
	Datum queue = CStringGetTextDatum(wf_executor_queue(process_id));

	add(&instance, &queue, 1, due_at);
}

void
wf_rest_postpone(const WfDelivery *taken, TimestampTz until)
{
	Datum values[3] = {Int64GetDatum(taken->instance), Int64GetDatum(taken->id), TimestampTzGetDatum(until)};

	(void) wf_query_run(&q_postpone, values, NULL);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, until);
}

static bool
is_at_work(const WfVisit *visit)
{
	if (visit->ended)
		return false;
	switch (visit->state)
	{
		case WF_STATE_READY:
		case WF_STATE_CALLING:
		case WF_STATE_RETRYING:
		case WF_STATE_CANCELLING:
			return true;
		case WF_STATE_WAITING:
		case WF_STATE_INCIDENT:
			break;
	}
	return wf_has_accepted(visit) || (visit->queue != NULL && strcmp(visit->queue, WF_QUEUE_TIMER) != 0);
}

/* As far as the batch knows: what it has not loaded is for who judges. */
static bool
may_rest(const WfInstance *instance)
{
	ListCell *lc;

	if (!instance->asked)
		return false;
	if (instance->ended)
		return true;
	foreach (lc, instance->visits)
		if (is_at_work(lfirst(lc)))
			return false;
	return true;
}

void
wf_rest_note(WfBatch *batch)
{
	int64	 *instances = NULL;
	Datum	 *queues = NULL;
	int		  n = 0;
	ListCell *lc;

	foreach (lc, batch->instances)
	{
		WfInstance *instance = lfirst(lc);

		if (!may_rest(instance))
			continue;
		if (instances == NULL)
		{
			instances = palloc(sizeof(int64) * list_length(batch->instances));
			queues = palloc(sizeof(Datum) * list_length(batch->instances));
		}
		queues[n] = CStringGetTextDatum(wf_executor_queue(instance->process->process_id));
		instances[n++] = instance->id;
	}
	if (n > 0)
		add(instances, queues, n, batch->now);
}

/* ---- judging ---- */

/* One that is busy, the instance itself if it is. */
typedef struct Busy
{
	int64 *path; /* who has led there by calls, from the instance on, and itself; NULL: nothing is busy */
	int	   length;
	bool   works;
} Busy;

static Busy
find_busy(int64 instance)
{
	Datum  values[1] = {Int64GetDatum(instance)};
	Busy   busy = {0};
	Datum *elems;
	bool   isnull;

	if (wf_query_run(&q_busy, values, NULL) == 0)
		return busy;
	deconstruct_array(DatumGetArrayTypeP(wf_result(0, 1, &isnull)), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elems, NULL, &busy.length);
	busy.path = palloc(sizeof(int64) * busy.length);
	for (int i = 0; i < busy.length; i++)
		busy.path[i] = DatumGetInt64(elems[i]);
	busy.works = DatumGetBool(wf_result(0, 2, &isnull));
	return busy;
}

/* All of the path. Returns false if somebody holds one of them, or it has ended. */
static bool
ask(const Busy *busy)
{
	Datum values[1] = {wf_int64_array(busy->path, busy->length)};

	return wf_query_run(&q_ask, values, NULL) == (uint64) busy->length;
}

/* As most that have ended are. */
static bool
is_still(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};

	return !wf_batch_has_visits(instance) && wf_query_run(&q_expects, values, NULL) == 0;
}

WfRest
wf_rest_judge(int64 instance)
{
	Busy busy;
	Busy again;

	if (is_still(instance))
		return WF_RESTS;
	busy = find_busy(instance);
	if (busy.path == NULL)
		return WF_RESTS;
	if (!ask(&busy) || !busy.works)
		return WF_RESTS_PERHAPS;
	if (busy.length == 1)
		return WF_RESTS_NOT;
	/* only now it is locked: it may have come to rest when nobody asked yet */
	again = find_busy(instance);
	return again.works && again.length == busy.length && again.path[busy.length - 1] == busy.path[busy.length - 1]
			   ? WF_RESTS_NOT
			   : WF_RESTS_PERHAPS;
}

void
wf_rest_told(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};
	bool  isnull;

	if (wf_query_run(&q_told, values, NULL) == 0)
		return;
	values[0] = wf_result(0, 1, &isnull);
	if (!isnull && wf_query_run(&q_asks, values, NULL) > 0)
		wf_rest_deliver(DatumGetInt64(values[0]), DatumGetInt32(wf_result(0, 1, &isnull)), wf_now());
}

/* Values of the row that was found, in the order of standing_columns; data and texts are copied. */
static void
read_standing(WfStanding *standing, const Datum *values, const bool *nulls)
{
	standing->process_id = DatumGetInt32(values[0]);
	standing->status = TextDatumGetCString(values[1]);
	standing->data = DatumGetJsonbPCopy(values[2]);
	standing->started_at = DatumGetTimestampTz(values[3]);
	standing->traceparent = nulls[4] ? NULL : TextDatumGetCString(values[4]);
}

static bool
read_row(WfRelation *rel, int64 instance, WfStanding *standing)
{
	bool  found = wf_relation_find(rel, &instance, 1);
	Datum values[lengthof(standing_columns)];
	bool  nulls[lengthof(standing_columns)];

	for (int i = 0; found && i < lengthof(standing_columns); i++)
		values[i] = wf_relation_value(rel, i, &nulls[i]);
	if (found)
		read_standing(standing, values, nulls);
	wf_relation_close(rel);
	return found;
}

static bool
read_long_ended(int64 instance, WfStanding *standing)
{
	Datum args[1] = {Int64GetDatum(instance)};
	Datum values[lengthof(standing_columns)];
	bool  nulls[lengthof(standing_columns)];

	if (wf_query_run(&q_ended, args, NULL) == 0)
		return false;
	for (int i = 0; i < lengthof(standing_columns); i++)
		values[i] = wf_result(0, i + 1, &nulls[i]);
	read_standing(standing, values, nulls);
	return true;
}

/* Most have ended just now. */
bool
wf_rest_read(int64 instance, WfStanding *standing)
{
	WfRelation *living = wf_relation_open(wf_store_relation("instance"), &standing_row, WF_RELATION_READ, NULL);

	if (!read_row(living, instance, standing) &&
		!read_row(wf_history_look(WF_INSTANCE_HISTORY, wf_now(), &standing_row), instance, standing) &&
		!read_long_ended(instance, standing))
		return false;
	standing->process = wf_process_name(standing->process_id);
	return true;
}
