/*
 * late.c
 *		Callbacks that came too late.
 *
 * The answer "it has ended" comes from the latest state, whatever the isolation level. That is
 * right for all but serializable transactions: one that began before the end must not hear of it,
 * and fails instead.
 *
 * The record of late callbacks is bounded, since whoever may complete a visit could call for ever:
 * the first ones are kept.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "model/template.h"
#include "store/late.h"
#include "store/query.h"

#define MAX_DATA_BYTES 8192
#define BYTES_AROUND   128 /* size of the object around a text that was cut */
#define MAX_PER_VISIT  100
#define STRINGIFY(n)   #n
#define LITERAL(n)	   STRINGIFY(n)

#define STORED(table, more) "SELECT h.xmin, h.process_id" more " FROM workflow_data." table " h WHERE h.instance = $1"
/* SQL that is put together */
/* clang-format off */
static WfQuery q_visit = {
	.sql = STORED("visit_history", ", h.step") " AND h.visit = $2 UNION ALL "
		   STORED("visit_stray", ", h.step") " AND h.visit = $2",
	.nargs = 2, .argtypes = {INT8OID, INT8OID},
};
/* clang-format on */
static WfQuery q_instance = {
	.sql = STORED("instance_history", "") " UNION ALL " STORED("instance_stray", ""),
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_version = {
	.sql = STORED("instance_history", ", h.version") " UNION ALL " STORED("instance_stray", ", h.version"),
	.nargs = 1,
	.argtypes = {INT8OID},
};
#define STATUS(table) "SELECT i.status FROM workflow_data." table " i WHERE i.instance = $1"
static WfQuery q_status = {
	.sql = STATUS("instance") " UNION ALL " STATUS("instance_history") " UNION ALL " STATUS("instance_stray"),
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_living = {
	.sql = "SELECT v.xmin, v.process_id, v.step FROM workflow_data.visit v WHERE v.instance = $1 AND v.visit = $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};
static WfQuery q_record = {
	.sql = "INSERT INTO workflow_data.late_callback (instance, visit, process_id, received_at, role, webhook, data) "
		   "SELECT $1, $2, $3, workflow.now(), $4, $5, $6 "
		   "WHERE (SELECT count(*) FROM (SELECT FROM workflow_data.late_callback l "
		   "WHERE workflow.serial_number(l.instance, l.visit) COLLATE \"C\" = "
		   "workflow.serial_number($1, $2) LIMIT " LITERAL(MAX_PER_VISIT) ") k) < " LITERAL(MAX_PER_VISIT),
	.nargs = 6,
	.argtypes = {INT8OID, INT8OID, INT4OID, NAMEOID, BOOLOID, JSONBOID},
};

/*
 * ERROR 40001 unless the transaction's snapshot sees the row whose xmin is in column 1 of the
 * result.
 */
static void
require_seen(void)
{
	TransactionId xmin;
	bool		  isnull;

	xmin = DatumGetTransactionId(wf_result(0, 1, &isnull));
	if (!TransactionIdIsCurrentTransactionId(xmin) && XidInMVCCSnapshot(xmin, GetTransactionSnapshot()))
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access due to concurrent update"),
				errhint("The transaction might succeed if retried."));
}

static bool
find_late(WfQuery *query, Datum *values, int *process_id)
{
	bool isnull;

	if (wf_query_run(query, values, NULL) == 0)
		return false;
	*process_id = DatumGetInt32(wf_result(0, 2, &isnull));
	return true;
}

bool
wf_late_visit(int64 instance, int64 visit, int *process_id, char **step)
{
	Datum values[2] = {Int64GetDatum(instance), Int64GetDatum(visit)};
	bool  found = find_late(&q_visit, values, process_id);

	if (found && step != NULL)
		*step = wf_result_text(0, 3);
	return found;
}

char *
wf_late_step(int64 instance, int64 visit)
{
	Datum values[2] = {Int64GetDatum(instance), Int64GetDatum(visit)};

	if (wf_query_run(&q_living, values, NULL) > 0 || wf_query_run(&q_visit, values, NULL) > 0)
		return wf_result_text(0, 3);
	return NULL;
}

char *
wf_late_status(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};

	return wf_query_run(&q_status, values, NULL) > 0 ? wf_result_text(0, 1) : NULL;
}

int
wf_late_version(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};
	bool  isnull;

	return wf_query_run(&q_version, values, NULL) > 0 ? DatumGetInt32(wf_result(0, 3, &isnull)) : 0;
}

bool
wf_late_instance(int64 instance, int *process_id)
{
	Datum values[1] = {Int64GetDatum(instance)};

	return find_late(&q_instance, values, process_id);
}

void
wf_late_require_seen(int64 instance, int64 visit)
{
	Datum values[2] = {Int64GetDatum(instance), Int64GetDatum(visit)};

	if (!IsolationIsSerializable())
		return;
	if (visit == 0 ? wf_query_run(&q_instance, values, NULL) > 0
				   : wf_query_run(&q_living, values, NULL) > 0 || wf_query_run(&q_visit, values, NULL) > 0)
		require_seen();
}

/* Limit the data: of what is too large, the beginning of its text is kept. */
static Jsonb *
cut(Jsonb *data)
{
	JsonbValue truth = {.type = jbvBool, .val.boolean = true};
	char	  *text;
	int		   len;
	WfField	   fields[3];

	if (data == NULL || VARSIZE(data) <= MAX_DATA_BYTES)
		return data;
	text = JsonbToCString(NULL, &data->root, VARSIZE(data));
	len = strlen(text);
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "truncated", .jsonb = JsonbValueToJsonb(&truth)};
	fields[1] = (WfField){.key = "bytes", .kind = WF_FIELD_INT, .number = len};
	text[pg_mbcliplen(text, len, MAX_DATA_BYTES - BYTES_AROUND)] = '\0';
	fields[2] = (WfField){.key = "text", .kind = WF_FIELD_TEXT, .text = text};
	return wf_jsonb_object(fields, lengthof(fields));
}

void
wf_late_record(int64 instance, int64 visit, int process_id, Oid role, bool webhook, Jsonb *data)
{
	NameData name;
	Datum	 values[6];
	char	 nulls[6] = {' ', ' ', ' ', ' ', ' ', ' '};

	data = cut(data);
	namestrcpy(&name, GetUserNameFromId(role, false));
	values[0] = Int64GetDatum(instance);
	values[1] = Int64GetDatum(visit);
	values[2] = Int32GetDatum(process_id);
	values[3] = NameGetDatum(&name);
	values[4] = BoolGetDatum(webhook);
	values[5] = JsonbPGetDatum(data);
	nulls[5] = data != NULL ? ' ' : 'n';
	wf_query_run(&q_record, values, nulls);
}
