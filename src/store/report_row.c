/*
 * report_row.c
 *		What operations know of their callbacks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/operation.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/report_row.h"

#define COLUMNS \
	"o.operation, o.instance, o.process_id, o.role, o.role_name, o.callback_url, o.callback_process, o.callback, " \
	"o.callback_due, o.done_at IS NOT NULL, o.error IS NOT NULL, h.headers " \
	"FROM workflow_data.operation o LEFT JOIN workflow_data.operation_headers h USING (operation) "
/* One that somebody is just erasing is left to him. */
static WfQuery q_due = {
	.sql = "SELECT " COLUMNS "WHERE o.instance = $1 AND o.callback_due ORDER BY o.instance, o.operation LIMIT $2 "
		   "FOR UPDATE OF o SKIP LOCKED",
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};
static WfQuery q_any_due = {
	.sql = "SELECT FROM workflow_data.operation o WHERE o.instance = $1 AND o.callback_due LIMIT 1",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_lock = {
	.sql = "SELECT " COLUMNS "WHERE o.operation = $1 FOR UPDATE OF o",
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_posted = {
	.sql = "WITH h AS (DELETE FROM workflow_data.operation_headers WHERE operation = $1) "
		   "UPDATE workflow_data.operation SET callback = $2, callback_error = $3, callback_due = NULL, "
		   "callbacks_before = CASE WHEN callback <> $2 THEN callbacks_before || callback ELSE callbacks_before END "
		   "WHERE operation = $1",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, JSONBOID},
};
static const WfRelationColumn  posted_columns[] = {{"callback", INT8OID, true},
												   {"callback_error", JSONBOID, true},
												   {"callback_due", BOOLOID, true}};
static const WfRelationColumns posted_row = {posted_columns, lengthof(posted_columns)};
static WfQuery				   q_due_again = {
					.sql = "UPDATE workflow_data.operation SET callback_due = true, callback_error = NULL WHERE operation = $1",
					.nargs = 1,
					.argtypes = {INT8OID},
};

static bool
flag(uint64 i, int column)
{
	bool  isnull;
	Datum value = wf_result(i, column, &isnull);

	return !isnull && DatumGetBool(value);
}

static void
read_row(WfReportRow *row, uint64 i)
{
	bool  isnull;
	Datum headers = wf_result(i, 12, &isnull);

	row->headers = isnull ? NULL : DatumGetJsonbPCopy(headers);
	row->operation = wf_result_int64(i, 1);
	row->instance = wf_result_int64(i, 2);
	row->of_process = DatumGetInt32(wf_result(i, 3, &isnull));
	row->role = DatumGetObjectId(wf_result(i, 4, &isnull));
	row->role_name = pstrdup(NameStr(*DatumGetName(wf_result(i, 5, &isnull))));
	row->url = wf_result_text(i, 6);
	row->process_id = DatumGetInt32(wf_result(i, 7, &isnull));
	row->posting = wf_result_int64(i, 8);
	row->due = flag(i, 9);
	row->done = flag(i, 10);
	row->failed = flag(i, 11);
}

/* May run a query itself. */
static void
resolve_roles(WfReportRow *rows, int n)
{
	SPI_freetuptable(SPI_tuptable);
	for (int i = 0; i < n; i++)
		rows[i].role = wf_role_resolve(rows[i].role, rows[i].role_name);
}

int
wf_reports_due(int64 instance, int limit, WfReportRow **rows)
{
	Datum values[2] = {Int64GetDatum(instance), Int32GetDatum(limit)};
	int	  n = (int) wf_query_run(&q_due, values, NULL);

	*rows = palloc0(sizeof(WfReportRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
		read_row(&(*rows)[i], i);
	resolve_roles(*rows, n);
	return n;
}

bool
wf_reports_any_due(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};

	return wf_query_run(&q_any_due, values, NULL) > 0;
}

bool
wf_report_lock(int64 operation, WfReportRow *row)
{
	Datum values[1] = {Int64GetDatum(operation)};

	if (wf_query_run(&q_lock, values, NULL) == 0)
		return false;
	read_row(row, 0);
	resolve_roles(row, 1);
	return true;
}

/* For the first time, without headers. */
static void
posted_first(const WfReportRow *row, int64 posting, Jsonb *error)
{
	Datum values[] = {Int64GetDatum(posting), JsonbPGetDatum(error), (Datum) 0};
	bool  nulls[] = {posting == 0, error == NULL, true};

	wf_operation_update(row->operation, &posted_row, values, nulls);
}

void
wf_report_posted(const WfReportRow *row, int64 posting, Jsonb *error)
{
	Datum values[3] = {Int64GetDatum(row->operation), Int64GetDatum(posting), JsonbPGetDatum(error)};
	char  nulls[3] = {' ', posting != 0 ? ' ' : 'n', error != NULL ? ' ' : 'n'};

	if (row->posting == 0 && row->headers == NULL)
		posted_first(row, posting, error);
	else
		wf_query_run(&q_posted, values, nulls);
}

void
wf_report_due_again(const WfReportRow *row)
{
	Datum values[1] = {Int64GetDatum(row->operation)};

	wf_query_run(&q_due_again, values, NULL);
}
