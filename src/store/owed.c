/*
 * owed.c
 *		Write-backs to attached rows that have failed and are owed.
 *
 * A write-back is a delivery; its first try leaves nothing behind. One that fails stays, with a
 * payload {attachment, business_key, status, results, since, error}: `status`, and `results` of
 * result_columns, only of an instance that has ended, whose history may be gone before the row can be
 * written.
 *
 * Whoever tries a write-back has the delivery's row locked, and nobody may wait for that lock: the
 * holder may himself be waiting for the attached row, or its table.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/careful.h"
#include "shmem/wakeups.h"
#include "store/delivery.h"
#include "store/executor_work.h"
#include "store/history.h"
#include "store/owed.h"
#include "store/query.h"
#include "store/row_result.h"

/* Bytes of an error message that are kept: a trigger may say anything. */
#define LONGEST_ERROR 2000

#define OWED "kind = 'write_back' AND payload IS NOT NULL AND payload ->> 'attachment' = $1 "

static WfQuery q_supersede = {
	.sql =
		"WITH o AS (SELECT delivery FROM workflow_data.delivery WHERE " OWED
		"AND payload ->> 'business_key' = $2 AND instance <= $3 AND delivery <> $4), "
		"d AS (DELETE FROM workflow_data.delivery WHERE delivery IN (SELECT w.delivery FROM workflow_data.delivery w "
		"WHERE w.delivery IN (SELECT o.delivery FROM o) FOR UPDATE SKIP LOCKED) "
		"RETURNING (payload ->> 'since')::timestamptz AS since) "
		"SELECT (SELECT min(since) FROM d), (SELECT count(*) FROM o) = (SELECT count(*) FROM d)",
	.nargs = 4,
	.argtypes = {TEXTOID, TEXTOID, INT8OID, INT8OID},
};
static WfQuery q_keep = {
	.sql =
		"WITH o AS (SELECT payload ->> 'error' AS error FROM workflow_data.delivery WHERE delivery = $1) "
		"UPDATE workflow_data.delivery d SET due_at = $2, attempt = d.attempt + 1, "
		"payload = jsonb_strip_nulls(jsonb_build_object('attachment', $3, 'business_key', $4, 'status', $5, 'error', $6, "
		"'since', least($7, coalesce((d.payload ->> 'since')::timestamptz, d.due_at)))) "
		"|| CASE WHEN $8 IS NULL THEN '{}' ELSE jsonb_build_object('results', $8) END "
		"FROM o WHERE d.delivery = $1 RETURNING o.error IS DISTINCT FROM $6",
	.nargs = 8,
	.argtypes = {INT8OID, TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID},
};
static WfQuery q_record_error = {
	.sql = "UPDATE workflow_data.delivery SET payload = coalesce(payload, '{}') || jsonb_build_object('error', $2, "
		   "'since', coalesce((payload ->> 'since')::timestamptz, due_at)) "
		   "WHERE delivery = $1 AND kind = 'write_back'",
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
};
static WfQuery q_due = {
	.sql = "UPDATE workflow_data.delivery SET due_at = $2, attempt = 0 WHERE delivery IN ("
		   "SELECT delivery FROM workflow_data.delivery WHERE " OWED
		   "AND due_at > $2 FOR UPDATE SKIP LOCKED) RETURNING delivery",
	.nargs = 2,
	.argtypes = {TEXTOID, TIMESTAMPTZOID},
};
static WfQuery q_delete = {
	.sql =
		"DELETE FROM workflow_data.delivery WHERE delivery IN ("
		"SELECT delivery FROM workflow_data.delivery WHERE queue = $1 AND kind = 'write_back' FOR UPDATE SKIP LOCKED)",
	.nargs = 1,
	.argtypes = {TEXTOID},
};
/*
 * Delete the write-backs of an instance: owed ones are found by their key, those that are due for
 * the first time, which have no payload yet, by their queue.
 */
static WfQuery q_erase = {
	.sql = "WITH h AS (SELECT attachment, business_key FROM " WF_ENDED(
		"instance") " h "
					"WHERE instance = $1 AND business_key IS NOT NULL), "
					"o AS (SELECT d.delivery FROM h, workflow_data.delivery d WHERE d.kind = 'write_back' AND d.payload IS NOT NULL "
					"AND d.payload ->> 'attachment' = h.attachment::text AND d.payload ->> 'business_key' = h.business_key "
					"AND d.instance = $1 "
					"UNION ALL SELECT d.delivery FROM h, workflow_data.delivery d WHERE d.queue = 'executor table ' || h.attachment "
					"AND d.due_at <= clock_timestamp() AND d.kind = 'write_back' AND d.payload IS NULL AND d.instance = $1), "
					"d AS (DELETE FROM workflow_data.delivery WHERE delivery IN (SELECT w.delivery FROM workflow_data.delivery w "
					"WHERE w.delivery IN (SELECT o.delivery FROM o) FOR UPDATE SKIP LOCKED) RETURNING 1) "
					"SELECT (SELECT count(*) FROM o) = (SELECT count(*) FROM d)",
	.nargs = 1,
	.argtypes = {INT8OID},
};

static Datum
attachment_text(int attachment)
{
	return CStringGetTextDatum(psprintf("%d", attachment));
}

bool
wf_owed_supersede(int64 delivery, int64 instance, const WfShown *shown, TimestampTz *since)
{
	Datum values[4] = {attachment_text(shown->attachment.id), CStringGetTextDatum(shown->business_key),
					   Int64GetDatum(instance), Int64GetDatum(delivery)};
	bool  isnull;

	wf_query_run(&q_supersede, values, NULL);
	*since = wf_result_int64(0, 1);
	return DatumGetBool(wf_result(0, 2, &isnull));
}

static Datum
error_text(const char *error)
{
	return PointerGetDatum(cstring_to_text_with_len(error, pg_mbcliplen(error, strlen(error), LONGEST_ERROR)));
}

bool
wf_owed_keep(int64 delivery, const WfShown *shown, const char *error, TimestampTz again, TimestampTz since)
{
	Datum values[8] = {Int64GetDatum(delivery),
					   TimestampTzGetDatum(again),
					   Int32GetDatum(shown->attachment.id),
					   CStringGetTextDatum(shown->business_key),
					   (Datum) 0,
					   error_text(error),
					   TimestampTzGetDatum(since)};
	char  nulls[8] = {' ', ' ', ' ', ' ', 'n', ' ', since == 0 ? 'n' : ' ', 'n'};
	bool  isnull;

	if (!shown->living && shown->status != NULL)
	{
		values[4] = CStringGetTextDatum(shown->status);
		nulls[4] = ' ';
		if (shown->results != NULL)
		{
			values[7] = JsonbPGetDatum(wf_row_results_keep(&shown->attachment, shown->results));
			nulls[7] = ' ';
		}
	}
	wf_wakeup_due(WF_QUEUE_EXECUTOR, again);
	return wf_query_run(&q_keep, values, nulls) > 0 && DatumGetBool(wf_result(0, 1, &isnull));
}

void
wf_owed_record_error(int64 delivery, const char *error)
{
	Datum values[2] = {Int64GetDatum(delivery), error_text(error)};

	wf_query_run(&q_record_error, values, NULL);
}

int64
wf_owed_due(int attachment, TimestampTz now)
{
	Datum  values[2] = {attachment_text(attachment), TimestampTzGetDatum(now)};
	uint64 n = wf_query_run(&q_due, values, NULL);

	/*
	 * the record of a crash may still name a delivery, if the worker that gave it up died before it
	 * could remove that
	 */
	for (uint64 i = 0; i < n; i++)
		wf_careful_forget(WF_PIECE_DELIVERY, wf_result_int64(i, 1));
	if (n > 0)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, now);
	return (int64) n;
}

void
wf_owed_delete(int attachment)
{
	Datum values[1] = {CStringGetTextDatum(wf_executor_queue_of_table(attachment))};

	wf_query_run(&q_delete, values, NULL);
}

bool
wf_owed_erase(int64 instance)
{
	Datum values[1] = {Int64GetDatum(instance)};
	bool  isnull;

	wf_query_run(&q_erase, values, NULL);
	return DatumGetBool(wf_result(0, 1, &isnull));
}
