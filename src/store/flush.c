/*
 * flush.c
 *		Writing a batch: one statement per table and kind, whatever the number of rows.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "shmem/claims.h"
#include "shmem/news.h"
#include "shmem/wakeups.h"
#include "store/attempt_log.h"
#include "store/batch.h"
#include "store/columns.h"
#include "store/delivery.h"
#include "store/executor_work.h"
#include "store/history.h"
#include "store/item.h"
#include "store/kept_headers.h"
#include "store/notice.h"
#include "store/query.h"
#include "store/rest.h"
#include "store/row_result.h"
#include "store/subscription.h"
#include "store/work.h"

static const WfColumn attempt_columns[] = {{"instance", INT8OID},		 {"visit", INT8OID},
										   {"process_id", INT4OID},		 {"attempt", INT4OID},
										   {"http_status", INT4OID},	 {"started_at", TIMESTAMPTZOID},
										   {"ended_at", TIMESTAMPTZOID}, {"error", JSONBOID},
										   {"incident", BOOLOID},		 {"ended_with", TEXTOID},
										   {"ended_by", TEXTOID}};
static const WfColumn key_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}};
static const WfColumn delivery_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}, {"queue", TEXTOID}};

static WfShape attempt_shape = {attempt_columns, lengthof(attempt_columns)};
static WfShape key_shape = {key_columns, lengthof(key_columns)};
static WfShape delivery_shape = {delivery_columns, lengthof(delivery_columns)};

static WfQuery q_insert_instances = {.shape = &wf_instance_table.shape};
static WfQuery q_update_instances = {.shape = &wf_instance_table.shape};
static WfQuery q_delete_instances = {
	.sql = "DELETE FROM workflow_data.instance i USING moved m WHERE i.instance = m.instance",
	.shape = &key_shape,
};
static WfQuery q_keep_instances = {.shape = &wf_instance_table.shape};
static WfQuery q_stray_instances = {.shape = &wf_instance_table.shape};
static WfQuery q_insert_visits = {.shape = &wf_visit_table.shape};
static WfQuery q_update_visits = {.shape = &wf_visit_table.shape};
static WfQuery q_delete_visits = {
	.sql = "DELETE FROM workflow_data.visit v USING moved m "
		   "WHERE v.instance = m.instance AND v.visit = m.visit",
	.shape = &key_shape,
};
static WfQuery q_keep_visits = {.shape = &wf_visit_table.shape};
static WfQuery q_stray_visits = {.shape = &wf_visit_table.shape};
#define KEEP_ATTEMPTS(table) \
	"INSERT INTO workflow_data." table " (instance, visit, process_id, attempt, " \
	"http_status, started_at, ended_at, stored_at, error, incident, ended_with, ended_by) " \
	"SELECT m.instance, m.visit, m.process_id, m.attempt, m.http_status, m.started_at, " \
	"m.ended_at, m.ended_at, m.error, m.incident, m.ended_with, m.ended_by FROM moved m"
static WfQuery q_keep_attempts = {.sql = KEEP_ATTEMPTS("attempt_history"), .shape = &attempt_shape};
static WfQuery q_stray_attempts = {.sql = KEEP_ATTEMPTS("attempt_stray"), .shape = &attempt_shape};
static WfQuery q_shows = {
	.sql = "SELECT result_columns FROM workflow_data.attachment WHERE attachment = $1 AND detached_at IS NULL AND "
		   "(serial_column IS NOT NULL OR status_column IS NOT NULL OR instance_column IS NOT NULL OR "
		   "result_columns IS NOT NULL)",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_write_back = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) "
		   "SELECT m.instance, m.visit, clock_timestamp(), 'write_back', m.queue FROM moved m",
	.shape = &delivery_shape,
};

/* The statements of one flush, in the order in which they run. */
typedef enum Kind
{
	INSERT_INSTANCES,
	UPDATE_INSTANCES,
	INSERT_VISITS,
	UPDATE_VISITS,
	DELETE_VISITS,
	KEEP_VISITS,
	KEEP_ATTEMPTS,
	DELETE_INSTANCES,
	KEEP_INSTANCES,
	WRITE_BACK,
	NKINDS
} Kind;

static WfQuery *const queries[NKINDS] = {&q_insert_instances, &q_update_instances, &q_insert_visits,
										 &q_update_visits,	  &q_delete_visits,	   &q_keep_visits,
										 &q_keep_attempts,	  &q_delete_instances, &q_keep_instances,
										 &q_write_back};

/* Tables that take the rows of these statements while their week has no partition. */
static const struct
{
	Kind	  kind;
	WfHistory history;
	WfQuery	 *stray;
} histories[] = {{KEEP_VISITS, WF_VISIT_HISTORY, &q_stray_visits},
				 {KEEP_ATTEMPTS, WF_ATTEMPT_HISTORY, &q_stray_attempts},
				 {KEEP_INSTANCES, WF_INSTANCE_HISTORY, &q_stray_instances}};

static void
prepare_flush_queries(void)
{
	if (q_stray_visits.sql != NULL)
		return;
	q_insert_instances.sql = wf_table_insert(&wf_instance_table);
	q_update_instances.sql = wf_table_update(&wf_instance_table);
	q_keep_instances.sql = wf_table_keep(&wf_instance_table, "instance_history");
	q_stray_instances.sql = wf_table_keep(&wf_instance_table, "instance_stray");
	q_insert_visits.sql = wf_table_insert(&wf_visit_table);
	q_update_visits.sql = wf_table_update(&wf_visit_table);
	q_keep_visits.sql = wf_table_keep(&wf_visit_table, "visit_history");
	q_stray_visits.sql = wf_table_keep(&wf_visit_table, "visit_stray");
}

typedef struct Flush
{
	WfBatch		*batch;
	WfRows		 rows[NKINDS];
	bool		 released;	 /* visits of suspended instances have ended, or these were resumed */
	WfAttachment attachment; /* the one that was last looked up: its number, and its columns for results */
	bool		 attachment_shows;
} Flush;

/* A row that is set column by column. */
typedef struct Row
{
	Datum values[lengthof(attempt_columns)];
	bool  nulls[lengthof(attempt_columns)];
	int	  n;
} Row;

static void
add_value(Row *row, Datum value)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = false;
}

static void
add_or_null(Row *row, Datum value, bool isnull)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = isnull;
}

static void
add_text_value(Row *row, const char *text)
{
	add_or_null(row, text != NULL ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

static void
add_jsonb(Row *row, Jsonb *jsonb)
{
	add_or_null(row, JsonbPGetDatum(jsonb), jsonb == NULL);
}

static void
add_time(Row *row, TimestampTz time)
{
	add_or_null(row, TimestampTzGetDatum(time), time == 0);
}

static void
put_row(Flush *flush, Kind kind, Row *row)
{
	WfRows *rows = &flush->rows[kind];

	if (rows->store == NULL)
		wf_rows_begin(rows, queries[kind]->shape);
	Assert(row->n == rows->shape->ncolumns);
	wf_rows_put(rows, row->values, row->nulls);
}

static void
put_key(Flush *flush, Kind kind, int64 instance, int64 visit)
{
	Row row = {.n = 0};

	add_value(&row, Int64GetDatum(instance));
	add_value(&row, Int64GetDatum(visit));
	put_row(flush, kind, &row);
}

static void
put_delivery(Flush *flush, Kind kind, int64 instance, int64 visit, const char *queue)
{
	Row row = {.n = 0};

	add_value(&row, Int64GetDatum(instance));
	add_value(&row, Int64GetDatum(visit));
	add_text_value(&row, queue);
	put_row(flush, kind, &row);
}

static void
put_struct(Flush *flush, Kind kind, const WfTable *table, const void *row, WfRowUse use)
{
	WfRows *rows = &flush->rows[kind];

	if (rows->store == NULL)
		wf_rows_begin(rows, queries[kind]->shape);
	wf_table_put(table, rows, row, use);
}

static void
put_visit(Flush *flush, Kind kind, const WfVisit *visit)
{
	put_struct(flush, kind, &wf_visit_table, visit,
			   kind == KEEP_VISITS	   ? WF_ROW_HISTORY
			   : kind == INSERT_VISITS ? WF_ROW_INSERT
									   : WF_ROW_UPDATE);
}

static void
put_attempt(Flush *flush, const WfAttempt *attempt)
{
	Row row = {.n = 0};

	add_value(&row, Int64GetDatum(attempt->visit->instance->id));
	add_value(&row, Int64GetDatum(attempt->visit->id));
	add_value(&row, Int32GetDatum(attempt->visit->instance->process->process_id));
	add_value(&row, Int32GetDatum(attempt->attempt));
	add_or_null(&row, Int32GetDatum(attempt->http_status), attempt->http_status == 0);
	add_time(&row, attempt->started_at);
	add_time(&row, flush->batch->now);
	add_jsonb(&row, attempt->error);
	add_value(&row, BoolGetDatum(attempt->incident));
	add_text_value(&row, attempt->ended_with);
	add_text_value(&row, attempt->ended_with != NULL ? GetUserNameFromId(attempt->ended_by, false) : NULL);
	put_row(flush, KEEP_ATTEMPTS, &row);
}

static void
put_instance(Flush *flush, Kind kind, const WfInstance *instance)
{
	put_struct(flush, kind, &wf_instance_table, instance,
			   kind == KEEP_INSTANCES	  ? WF_ROW_HISTORY
			   : kind == INSERT_INSTANCES ? WF_ROW_INSERT
										  : WF_ROW_UPDATE);
}

/*
 * Does an attached row show anything of its instance? The one that was looked up last is remembered.
 */
static bool
shows_in_row(Flush *flush, int attachment)
{
	if (flush->attachment.id != attachment)
	{
		Datum values[1] = {Int32GetDatum(attachment)};
		Datum columns;
		bool  isnull = true;

		flush->attachment_shows = wf_query_run(&q_shows, values, NULL) > 0;
		columns = flush->attachment_shows ? wf_result(0, 1, &isnull) : (Datum) 0;
		flush->attachment = (WfAttachment){.id = attachment};
		if (!isnull)
			flush->attachment.nresults = wf_row_results_read(DatumGetJsonbPCopy(columns), &flush->attachment.results);
		wf_row_results_compile(&flush->attachment);
	}
	return flush->attachment_shows;
}

/* Do columns of the row that show something of the data show something else from now on? */
static bool
has_new_results(Flush *flush, const WfInstance *instance)
{
	const WfAttachment *attachment = &flush->attachment;
	const char		   *timezone = instance->process->timezone;
	const char		   *unworked;
	WfRowResult		   *before;

	if (!instance->data_changed || instance->is_new || !shows_in_row(flush, instance->attachment) ||
		attachment->nresults == 0)
		return false;
	before = wf_row_results_work_out(attachment, instance->data_before, timezone, &unworked);
	return wf_row_results_differ(before, wf_row_results_work_out(attachment, instance->data, timezone, &unworked),
								 attachment->nresults);
}

/* Is a statement that may be running for the visit not wanted any more? */
static bool
stops_statement(const WfVisit *visit)
{
	if (visit->is_new || visit->def == NULL ||
		(visit->def->action != WF_ACTION_SQL && visit->def->action != WF_ACTION_NOTIFY))
		return false;
	return visit->ended || visit->memory.carried ||
		   (visit->changed &&
			(visit->suspended || (visit->state != WF_STATE_CALLING && visit->state != WF_STATE_RETRYING)));
}

/*
 * Of a reply that the step does not keep, and for which nothing in it can ask any more, only the status stays with a
 * visit that lives on.
 */
static void
drop_reply(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfField		  field = {.key = "status", .jsonb = wf_jsonb_get(visit->docs.reply, "status")};
	bool		  is_http = visit->def->action == WF_ACTION_HTTP;

	visit->docs.reply = wf_jsonb_object(&field, is_http ? 1 : 0);
	MemoryContextSwitchTo(old);
}

static void
sort_visit(Flush *flush, WfVisit *visit)
{
	if (visit->memory.absorbed)
		return;
	if (stops_statement(visit))
		wf_wakeup_stopped(visit->id);
	if (visit->ended)
	{
		if (visit->suspended && !visit->is_new)
			flush->released = true;
		put_visit(flush, KEEP_VISITS, visit);
		if (!visit->is_new)
			put_key(flush, DELETE_VISITS, visit->instance->id, visit->id);
		return;
	}
	if (!visit->is_new && !visit->changed && !wf_tokens_changed(&visit->tokens))
		return;
	if (visit->docs.changed && visit->docs.reply != NULL && visit->def != NULL && visit->def->drops_reply)
		drop_reply(flush->batch, visit);
	put_visit(flush, visit->is_new ? INSERT_VISITS : UPDATE_VISITS, visit);
	if (visit->suspended)
		return;
	if (visit->due_at != 0)
		wf_wakeup_due(wf_is_executor_queue(visit->queue) ? WF_QUEUE_EXECUTOR : visit->queue, visit->due_at);
	if (wf_batch_next_timer(visit) != 0)
		wf_wakeup_due(WF_QUEUE_ALARM, wf_batch_next_timer(visit));
}

static void
sort_instance(Flush *flush, WfInstance *instance)
{
	ListCell *lc;

	foreach (lc, instance->visits)
		sort_visit(flush, lfirst(lc));
	flush->released |= instance->resumed;
	if (instance->ended)
	{
		put_instance(flush, KEEP_INSTANCES, instance);
		if (!instance->is_new)
			put_key(flush, DELETE_INSTANCES, instance->id, 0);
	}
	else if (instance->is_new)
		put_instance(flush, INSERT_INSTANCES, instance);
	else if (instance->changed || instance->data_changed || instance->cookies_changed)
		put_instance(flush, UPDATE_INSTANCES, instance);
	if (instance->show_changed)
		wf_wakeup_ended(instance->id);
	if (instance->attachment != 0 &&
		(instance->show_changed ? shows_in_row(flush, instance->attachment) : has_new_results(flush, instance)))
		put_delivery(flush, WRITE_BACK, instance->id, 0, wf_executor_queue_of_table(instance->attachment));
}

/*
 * Release the deliveries kept for suspended instances that were resumed, by whatever call, or whose
 * visits have ended: workers find that nobody waits for them.
 */
static void
release_kept(WfBatch *batch)
{
	int64	 *instances = palloc(sizeof(int64) * list_length(batch->instances));
	int		  n = 0;
	ListCell *lc;

	foreach (lc, batch->instances)
		instances[n++] = ((WfInstance *) lfirst(lc))->id;
	wf_deliveries_release(instances, n, batch->now);
}

/*
 * The statement for this kind of rows. The partition is looked up as late as possible: one that is
 * detached in between makes the statement fail.
 */
static WfQuery *
query_for(Kind kind, TimestampTz now)
{
	for (int i = 0; i < lengthof(histories); i++)
	{
		if (histories[i].kind != kind || wf_history_has(histories[i].history, now))
			continue;
		wf_wakeup_due(WF_QUEUE_UPKEEP, now);
		return histories[i].stray;
	}
	return queries[kind];
}

/*
 * Note news of incidents and long waits, unless the visit has left that state within the same
 * batch.
 */
static void
spread_news(const WfBatch *batch)
{
	ListCell *lc;

	foreach (lc, batch->incidents)
	{
		WfVisit *visit = lfirst(lc);

		if (!visit->ended && visit->state == WF_STATE_INCIDENT)
			wf_news_add(WF_NEWS_INCIDENT, visit->instance->process->name, visit->step, visit->instance->id, visit->id,
						visit->waiting_since);
	}
	foreach (lc, batch->warnings)
	{
		WfVisit *visit = lfirst(lc);

		if (!visit->ended && (visit->state == WF_STATE_WAITING || wf_has_accepted(visit)))
			wf_news_add(WF_NEWS_WAITING_LONG, visit->instance->process->name, visit->step, visit->instance->id,
						visit->id, visit->waiting_since != 0 ? visit->waiting_since : visit->entered_at);
	}
}

void
wf_batch_flush(WfBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Flush		  flush = {.batch = batch, .attachment = {.id = -1}};
	ListCell	 *lc;

	prepare_flush_queries();
	wf_kept_headers_settle(batch);
	foreach (lc, batch->instances)
		sort_instance(&flush, lfirst(lc));
	foreach (lc, batch->attempts)
		put_attempt(&flush, lfirst(lc));
	for (int kind = 0; kind < NKINDS; kind++)
	{
		if (flush.rows[kind].store == NULL)
			continue;
		if (wf_query_run_rows(query_for(kind, batch->now), &flush.rows[kind]) != flush.rows[kind].n)
			ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("could not serialize access to an instance due to concurrent update"));
		wf_rows_end(&flush.rows[kind]);
	}
	wf_subscriptions_flush(batch);
	wf_works_flush(batch);
	wf_items_flush(batch);
	wf_kept_headers_flush(batch);
	if (batch->notices != NIL)
		wf_notices_flush(batch);
	wf_rest_note(batch);
	spread_news(batch);
	wf_attempts_log(batch);
	if (flush.released)
		release_kept(batch);
	if (flush.rows[INSERT_INSTANCES].n > 0 && !wf_history_begun())
		wf_wakeup_due(WF_QUEUE_UPKEEP, batch->now);
	if (flush.rows[WRITE_BACK].n > 0)
		wf_wakeup_due(WF_QUEUE_EXECUTOR, batch->now);
	if (batch->needs_sync_commit)
		ForceSyncCommit();
	MemoryContextSwitchTo(old);
}
