/*
 * operation.c
 *		The table of operations: calls that were made asynchronously, and what has become of them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "model/template.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/executor_work.h"
#include "store/history.h"
#include "store/operation.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/query.h"

#define PURGE_CHUNK 5000

static const char *const names[] = {"start", "set_data", "cancel",		 "complete",
									"fail",	 "claim",	 "send_message", "send_signal"};

/* How each is called, with its arguments in an object. The first column is the answer. */
#define RUN(call) .sql = "SELECT (workflow." call ")::text", .nargs = 1, .argtypes = {JSONBOID}
static WfQuery q_run[] = {
	[WF_CALL_START] = {RUN(
		"start($1 ->> 'process', $1 -> 'data', $1 ->> 'business_key', ($1 ->> 'version')::integer)")},
	[WF_CALL_SET_DATA] = {RUN("set_data(($1 ->> 'instance')::bigint, $1 -> 'data')")},
	[WF_CALL_CANCEL] = {RUN("cancel(($1 ->> 'instance')::bigint, $1 ->> 'reason')")},
	[WF_CALL_COMPLETE] = {RUN("complete($1 ->> 'serial_number', $1 -> 'data', ($1 ->> 'lock_token')::uuid)")},
	[WF_CALL_FAIL] = {RUN("fail($1 ->> 'serial_number', $1 ->> 'code', $1 ->> 'message', $1 -> 'data', "
						  "($1 ->> 'retry')::boolean, ($1 ->> 'lock_token')::uuid)")},
	[WF_CALL_CLAIM] = {RUN("claim($1 ->> 'serial_number', $1 ->> 'person')")},
	[WF_CALL_SEND_MESSAGE] = {RUN("send_message($1 ->> 'name', $1 ->> 'key', $1 -> 'data', ($1 ->> 'ttl')::interval, "
								  "$1 ->> 'message_id', ($1 ->> 'instance')::bigint, ($1 ->> 'to_all')::boolean)")},
	[WF_CALL_SEND_SIGNAL] = {.sql = "SELECT NULL::text FROM workflow.send_signal($1 ->> 'name', $1 -> 'data')",
							 .nargs = 1,
							 .argtypes = {JSONBOID}},
};

static WfQuery q_add = {
	.sql =
		"WITH o AS (INSERT INTO workflow_data.operation (call, process_id, instance, visit, role, role_name, requested_at, "
		"arguments, session_role, session_role_name, traceparent, callback_url, callback_process) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, $11, $12, $13, $14) RETURNING operation, instance) "
		"INSERT INTO workflow_data.delivery (instance, visit, kind, queue, due_at, payload) "
		"SELECT coalesce(o.instance, 0), 0, '" WF_DELIVERY_OPERATION "', $9, $7, "
		"jsonb_build_object('operation', o.operation) FROM o RETURNING (payload ->> 'operation')::bigint, delivery",
	.nargs = 14,
	.argtypes = {TEXTOID, INT4OID, INT8OID, INT8OID, OIDOID, NAMEOID, TIMESTAMPTZOID, JSONBOID, TEXTOID, OIDOID,
				 NAMEOID, TEXTOID, TEXTOID, INT4OID},
};
static const WfColumn headers_columns[] = {{"operation", INT8OID}, {"headers", JSONBOID}};
static WfShape		  headers_shape = {headers_columns, lengthof(headers_columns)};
static WfQuery		  q_add_headers = {
		   .sql =
			   "INSERT INTO workflow_data.operation_headers (operation, headers) SELECT m.operation, m.headers FROM moved m",
		   .shape = &headers_shape,
};
static WfQuery q_delete_headers = {
	.sql = "DELETE FROM workflow_data.operation_headers WHERE operation = $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_starts = {
	.sql =
		"SELECT o.process_id FROM workflow_data.operation o WHERE o.instance = $1 AND o.call = 'start' AND o.done_at IS NULL",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_read = {
	.sql =
		"SELECT o.operation, o.call, o.process_id, o.instance, o.visit, o.role, o.role_name, o.arguments, "
		"o.session_role, o.session_role_name, o.traceparent, o.callback_url, h.headers "
		"FROM workflow_data.delivery d JOIN workflow_data.operation o ON o.operation = (d.payload ->> 'operation')::bigint "
		"LEFT JOIN workflow_data.operation_headers h ON h.operation = o.operation "
		"WHERE d.delivery = $1 AND o.done_at IS NULL FOR UPDATE OF o",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_next = {
	.sql =
		"SELECT d.delivery FROM workflow_data.delivery d WHERE d.instance = $1 AND d.delivery > $2 AND d.kind = '" WF_DELIVERY_OPERATION
		"' AND d.kind <> 'write_back' ORDER BY d.instance, d.delivery LIMIT 1",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};
static WfQuery q_take = {
	.sql = "SELECT instance, attempt FROM workflow_data.delivery WHERE delivery = $1 FOR UPDATE",
	.nargs = 1,
	.argtypes = {INT8OID},
};
/* whatever it is due: who puts it off may not have committed yet */
static WfQuery q_hasten = {
	.sql = "UPDATE workflow_data.delivery SET due_at = least(due_at, $2), attempt = 0 WHERE delivery = $1",
	.nargs = 2,
	.argtypes = {INT8OID, TIMESTAMPTZOID},
};
static WfQuery q_put_off = {
	.sql = "WITH w AS MATERIALIZED (SELECT d.delivery FROM workflow_data.delivery d WHERE d.instance = $1 "
		   "AND d.delivery > $3 AND d.kind = '" WF_DELIVERY_OPERATION "' AND d.kind <> 'write_back' AND d.due_at <= $2 "
		   "ORDER BY d.instance, d.delivery LIMIT 1000 FOR UPDATE OF d SKIP LOCKED), "
		   "u AS (UPDATE workflow_data.delivery d SET attempt = d.attempt + 1, "
		   "due_at = $2 + least(interval '2 ms' * 4 ^ least(d.attempt, 8), interval '1 min') FROM w "
		   "WHERE d.delivery = w.delivery RETURNING d.due_at) SELECT min(due_at) FROM u",
	.nargs = 3,
	.argtypes = {INT8OID, TIMESTAMPTZOID, INT8OID},
};
static const WfRelationColumn  done_columns[] = {{"done_at", TIMESTAMPTZOID, true},
												 {"answer", TEXTOID, true},
												 {"error", JSONBOID, true},
												 {"arguments", JSONBOID, true},
												 {"callback_due", BOOLOID, true}};
static const WfRelationColumns done_row = {done_columns, lengthof(done_columns)};
/* In the order of their numbers, which is nearly that of time: behind a chunk of which none is old there is none to be looked for. */
static WfQuery q_purge = {
	.sql =
		"WITH chunk AS MATERIALIZED (SELECT o.operation, o.instance, o.callback, o.callback_due, o.requested_at, o.done_at FROM workflow_data.operation o "
		"WHERE $1::interval > interval '0' AND o.operation > $2 ORDER BY o.operation LIMIT $3), "
		"gone AS (DELETE FROM workflow_data.operation o USING chunk c WHERE o.operation = c.operation "
		"AND c.done_at < clock_timestamp() - $1::interval AND c.callback_due IS NOT TRUE "
		"AND NOT EXISTS (SELECT FROM workflow_data.instance i WHERE i.instance = c.instance) "
		"AND NOT EXISTS (SELECT FROM workflow_data.instance i WHERE i.instance = c.callback) "
		"AND NOT EXISTS (SELECT FROM " WF_ENDED(
			"instance") " h WHERE h.instance = c.instance)) "
						"SELECT max(operation), count(*), "
						"min(requested_at) < clock_timestamp() - $1::interval FROM chunk",
	.nargs = 3,
	.argtypes = {TEXTOID, INT8OID, INT4OID},
};

static int64 last_added = 0;
static int64 reserved = 0; /* number of the instance that wf_operation_run is about to start */

/* ---- calling ---- */

/* As rows in memory, never as text or parameters, which logs and statistics may show. */
static void
add_headers(int64 operation, Jsonb *headers)
{
	Datum  values[] = {Int64GetDatum(operation), JsonbPGetDatum(headers)};
	bool   nulls[] = {false, false};
	WfRows rows = {0};

	wf_rows_begin(&rows, &headers_shape);
	wf_rows_put(&rows, values, nulls);
	(void) wf_query_run_rows(&q_add_headers, &rows);
	wf_rows_end(&rows);
}

/* For who plays this transaction: the instance of a start is one of its own from now on. */
static void
note_played(const WfOperation *operation, int64 delivery)
{
	if (operation->call == WF_CALL_START)
		wf_play_started(operation->instance);
	if (operation->instance == 0 || wf_play_has_started(operation->instance))
		wf_play_delivery(delivery);
}

int64
wf_operation_add(const WfOperation *operation)
{
	NameData	role_name;
	NameData	session_role;
	TimestampTz now = wf_now();
	bool		of_process = operation->process_id != 0;
	Datum		values[] = {
			  CStringGetTextDatum(names[operation->call]),
			  Int32GetDatum(operation->process_id),
			  Int64GetDatum(operation->instance),
			  Int64GetDatum(operation->visit),
			  ObjectIdGetDatum(operation->role),
			  NameGetDatum(&role_name),
			  TimestampTzGetDatum(now),
			  JsonbPGetDatum(operation->arguments),
			  CStringGetTextDatum(of_process ? wf_executor_queue(operation->process_id) : WF_QUEUE_EXECUTOR),
			  ObjectIdGetDatum(GetSessionUserId()),
			  NameGetDatum(&session_role),
		  operation->traceparent != NULL ? CStringGetTextDatum(operation->traceparent) : (Datum) 0,
		  operation->callback_url != NULL ? CStringGetTextDatum(operation->callback_url) : (Datum) 0,
			  Int32GetDatum(operation->callback_process),
	  };
	char nulls[] = {' ',
					of_process ? ' ' : 'n',
					operation->instance != 0 ? ' ' : 'n',
					operation->visit != 0 ? ' ' : 'n',
					' ',
					' ',
					' ',
					' ',
					' ',
					' ',
					' ',
					operation->traceparent != NULL ? ' ' : 'n',
					operation->callback_url != NULL ? ' ' : 'n',
					operation->callback_url != NULL ? ' ' : 'n'};

	namestrcpy(&role_name, GetUserNameFromId(operation->role, false));
	namestrcpy(&session_role, GetUserNameFromId(GetSessionUserId(), false));
	wf_query_run(&q_add, values, nulls);
	last_added = wf_result_int64(0, 1);
	note_played(operation, wf_result_int64(0, 2));
	if (operation->headers != NULL)
		add_headers(last_added, operation->headers);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, now);
	ForceSyncCommit(); /* its caller is told that it will be done */
	return last_added;
}

int64
wf_operation_last(void)
{
	return last_added;
}

int
wf_operation_starts(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};
	bool  isnull;

	return wf_query_run(&q_starts, values, NULL) > 0 ? DatumGetInt32(wf_result(0, 1, &isnull)) : 0;
}

/* ---- carrying out ---- */

static WfOperationCall
call_of(const char *name)
{
	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(names[i], name) == 0)
			return (WfOperationCall) i;
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED), errmsg("unknown call \"%s\" in an operation", name));
}

static Jsonb *
copy_jsonb(int column)
{
	bool  isnull;
	Datum value = wf_result(0, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

bool
wf_operation_read(const WfDelivery *delivery, WfOperation *operation)
{
	Datum values[1] = {Int64GetDatum(delivery->id)};
	char *session_role_name;
	bool  isnull;

	if (wf_query_run(&q_read, values, NULL) == 0)
		return false;
	operation->id = wf_result_int64(0, 1);
	operation->call = call_of(wf_result_text(0, 2));
	operation->process_id = DatumGetInt32(wf_result(0, 3, &isnull));
	operation->instance = wf_result_int64(0, 4);
	operation->visit = wf_result_int64(0, 5);
	operation->role = DatumGetObjectId(wf_result(0, 6, &isnull));
	operation->role_name = pstrdup(NameStr(*DatumGetName(wf_result(0, 7, &isnull))));
	operation->arguments = copy_jsonb(8);
	operation->session_role = DatumGetObjectId(wf_result(0, 9, &isnull));
	session_role_name = pstrdup(NameStr(*DatumGetName(wf_result(0, 10, &isnull))));
	operation->traceparent = wf_result_text(0, 11);
	operation->callback_url = wf_result_text(0, 12);
	operation->headers = copy_jsonb(13);
	SPI_freetuptable(SPI_tuptable);
	/* these may run queries themselves */
	operation->role = wf_role_resolve(operation->role, operation->role_name);
	operation->session_role = wf_role_resolve(operation->session_role, session_role_name);
	return true;
}

int64
wf_operation_next(int64 instance, int64 after)
{
	Datum values[2] = {Int64GetDatum(instance), Int64GetDatum(after)};

	return wf_query_run(&q_next, values, NULL) > 0 ? wf_result_int64(0, 1) : 0;
}

bool
wf_operation_take(int64 id, WfDelivery *delivery)
{
	Datum values[1] = {Int64GetDatum(id)};
	bool  isnull;

	if (wf_query_run(&q_take, values, NULL) == 0)
		return false;
	delivery->id = id;
	delivery->instance = wf_result_int64(0, 1);
	delivery->attempt = DatumGetInt32(wf_result(0, 2, &isnull));
	return true;
}

void
wf_operation_hasten(int64 id)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[2] = {Int64GetDatum(id), TimestampTzGetDatum(now)};

	if (wf_query_run(&q_hasten, values, NULL) > 0)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, now);
}

void
wf_operations_put_off(int64 instance, int64 first)
{
	Datum values[3] = {Int64GetDatum(instance), TimestampTzGetDatum(GetCurrentTimestamp()), Int64GetDatum(first)};
	bool  isnull;
	Datum until;

	wf_query_run(&q_put_off, values, NULL);
	until = wf_result(0, 1, &isnull);
	if (!isnull)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, DatumGetTimestampTz(until));
}

const char *
wf_operation_call_name(const WfOperation *operation)
{
	return names[operation->call];
}

char *
wf_operation_run(const WfOperation *operation)
{
	Datum values[1] = {JsonbPGetDatum(operation->arguments)};

	reserved = operation->call == WF_CALL_START ? operation->instance : 0;
	wf_query_run(&q_run[operation->call], values, NULL);
	return wf_result_text(0, 1);
}

int64
wf_operation_take_reserved(void)
{
	int64 instance = reserved;

	reserved = 0;
	return instance;
}

void
wf_operation_forget_reserved(void)
{
	reserved = 0;
}

Jsonb *
wf_operation_error(const char *sqlstate, const char *message, const char *detail, const char *hint)
{
	WfField fields[] = {{.key = "sqlstate", .kind = WF_FIELD_TEXT, .text = sqlstate},
						{.key = "message", .kind = WF_FIELD_TEXT, .text = message},
						{.key = "detail", .kind = WF_FIELD_TEXT, .text = detail, .omit = detail == NULL},
						{.key = "hint", .kind = WF_FIELD_TEXT, .text = hint, .omit = hint == NULL}};

	return wf_jsonb_object(fields, lengthof(fields));
}

void
wf_operation_update(int64 operation, const WfRelationColumns *columns, const Datum *values, const bool *nulls)
{
	WfRelation *rel = wf_relation_open(wf_store_relation("operation"), columns, WF_RELATION_UPDATE, NULL);
	WfRowPlace	row = {.keys = {operation}, .nkeys = 1};
	bool	   *given = palloc(sizeof(bool) * columns->n);

	memset(given, true, sizeof(bool) * columns->n);
	(void) wf_relation_update(rel, &row, values, nulls, given);
	wf_relation_close(rel);
	pfree(given);
}

void
wf_operation_done(const WfOperation *operation, const char *answer, Jsonb *error)
{
	bool  is_told = operation->callback_url != NULL && error == NULL;
	Datum values[] = {TimestampTzGetDatum(wf_now()), answer != NULL ? CStringGetTextDatum(answer) : (Datum) 0,
					  JsonbPGetDatum(error), (Datum) 0, BoolGetDatum(true)};
	bool  nulls[] = {false, answer == NULL, error == NULL, true, !is_told};
	Datum id[1] = {Int64GetDatum(operation->id)};

	wf_operation_update(operation->id, &done_row, values, nulls);
	if (operation->headers != NULL && !is_told)
		wf_query_run(&q_delete_headers, id, NULL);
}

/* ---- upkeep ---- */

bool
wf_operations_purge(const char *retention, int64 *after)
{
	Datum values[3] = {CStringGetTextDatum(retention), Int64GetDatum(*after), Int32GetDatum(PURGE_CHUNK)};
	bool  isnull;

	wf_query_run(&q_purge, values, NULL);
	*after = wf_result_int64(0, 1);
	return wf_result_int64(0, 2) == PURGE_CHUNK && DatumGetBool(wf_result(0, 3, &isnull));
}
