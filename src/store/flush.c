/*
 * flush.c
 *		Writing a batch: which rows, and in which order. Those of visits, instances and the history go to their tables
 *		through store/relation.h; the rest by a statement for each table, whatever the number of rows.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "shmem/claims.h"
#include "shmem/news.h"
#include "shmem/wakeups.h"
#include "store/access.h"
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
#include "store/row_place.h"
#include "store/row_result.h"
#include "store/subscription.h"
#include "store/work.h"

static const WfRelationColumn  attempt_columns[] = {{"instance", INT8OID},		  {"visit", INT8OID},
													{"process_id", INT4OID},	  {"attempt", INT4OID},
													{"http_status", INT4OID},	  {"started_at", TIMESTAMPTZOID},
													{"ended_at", TIMESTAMPTZOID}, {"stored_at", TIMESTAMPTZOID},
													{"error", JSONBOID},		  {"incident", BOOLOID},
													{"ended_with", TEXTOID},	  {"ended_by", NAMEOID}};
static const WfRelationColumns attempts = {attempt_columns, lengthof(attempt_columns)};

static const WfColumn delivery_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}, {"queue", TEXTOID}};
static WfShape		  delivery_shape = {delivery_columns, lengthof(delivery_columns)};

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

/* The rows of one flush, in the order in which they are written. */
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
	NKINDS
} Kind;

typedef struct Flush
{
	WfBatch		*batch;
	List		*rows[NKINDS]; /* WfInstance, WfVisit, WfAttempt */
	WfRows		 write_backs;
	bool		 released;	 /* visits of suspended instances have ended, or these were resumed */
	WfAttachment attachment; /* the one that was last looked up: its number, and its columns for results */
	bool		 attachment_shows;
} Flush;

static void
add(Flush *flush, Kind kind, void *row)
{
	flush->rows[kind] = lappend(flush->rows[kind], row);
}

/* ---- rows of each kind ---- */

static bool
insert_instance(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	wf_table_new_row(&wf_instance_table, row, values);
	return wf_relation_insert(rel, values->values, values->nulls);
}

static bool
update_instance(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	const WfInstance *instance = row;
	WfRowPlace		  place = {.keys = {instance->id}, .nkeys = 1, .place = instance->place};

	wf_table_changed_row(&wf_instance_table, row, values);
	if (!wf_relation_update(rel, &place, values->values, values->nulls, values->given))
		return false;
	wf_row_place_note(instance->id, 0, wf_relation_new_place(rel));
	return true;
}

static bool
delete_instance(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	const WfInstance *instance = row;
	WfRowPlace		  place = {.keys = {instance->id}, .nkeys = 1, .place = instance->place};

	return wf_relation_delete(rel, &place);
}

static bool
keep_instance(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	wf_table_ended_row(&wf_instance_table, row, values);
	return wf_relation_insert(rel, values->values, values->nulls);
}

static bool
insert_visit(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	wf_table_new_row(&wf_visit_table, row, values);
	return wf_relation_insert(rel, values->values, values->nulls);
}

static bool
update_visit(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	const WfVisit *visit = row;
	WfRowPlace	   place = {.keys = {visit->instance->id, visit->id}, .nkeys = 2, .place = visit->place};

	wf_table_changed_row(&wf_visit_table, row, values);
	if (!wf_relation_update(rel, &place, values->values, values->nulls, values->given))
		return false;
	wf_row_place_note(visit->instance->id, visit->id, wf_relation_new_place(rel));
	return true;
}

static bool
delete_visit(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	const WfVisit *visit = row;
	WfRowPlace	   place = {.keys = {visit->instance->id, visit->id}, .nkeys = 2, .place = visit->place};

	return wf_relation_delete(rel, &place);
}

static bool
keep_visit(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	wf_table_ended_row(&wf_visit_table, row, values);
	return wf_relation_insert(rel, values->values, values->nulls);
}

static Datum
name_of_role(Oid role)
{
	return DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(role, false)));
}

static bool
keep_attempt(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values)
{
	const WfAttempt *attempt = row;
	Datum			*value = values->values;
	bool			*null = values->nulls;

	memset(null, false, sizeof(bool) * attempts.n);
	value[0] = Int64GetDatum(attempt->visit->instance->id);
	value[1] = Int64GetDatum(attempt->visit->id);
	value[2] = Int32GetDatum(attempt->visit->instance->process->process_id);
	value[3] = Int32GetDatum(attempt->attempt);
	value[4] = Int32GetDatum(attempt->http_status);
	null[4] = attempt->http_status == 0;
	value[5] = TimestampTzGetDatum(attempt->started_at);
	null[5] = attempt->started_at == 0;
	value[6] = value[7] = TimestampTzGetDatum(batch->now);
	value[8] = JsonbPGetDatum(attempt->error);
	null[8] = attempt->error == NULL;
	value[9] = BoolGetDatum(attempt->incident);
	null[10] = null[11] = attempt->ended_with == NULL;
	if (attempt->ended_with != NULL)
	{
		value[10] = CStringGetTextDatum(attempt->ended_with);
		value[11] = name_of_role(attempt->ended_by);
	}
	return wf_relation_insert(rel, value, null);
}

/* Where rows of a kind go, and how. In the history `table` is NULL. */
static const struct
{
	WfRelationUse			 use;
	const char				*table;
	WfHistory				 history;
	const WfRelationColumns *columns;
	bool (*write)(WfRelation *rel, const WfBatch *batch, const void *row, WfRowValues *values);
} kinds[NKINDS] = {
	[INSERT_INSTANCES] = {WF_RELATION_INSERT, "instance", 0, &wf_instance_table.stored, insert_instance},
	[UPDATE_INSTANCES] = {WF_RELATION_UPDATE, "instance", 0, &wf_instance_table.stored, update_instance},
	[INSERT_VISITS] = {WF_RELATION_INSERT, "visit", 0, &wf_visit_table.stored, insert_visit},
	[UPDATE_VISITS] = {WF_RELATION_UPDATE, "visit", 0, &wf_visit_table.stored, update_visit},
	[DELETE_VISITS] = {WF_RELATION_DELETE, "visit", 0, &wf_visit_table.stored, delete_visit},
	[KEEP_VISITS] = {WF_RELATION_INSERT, NULL, WF_VISIT_HISTORY, &wf_visit_table.history, keep_visit},
	[KEEP_ATTEMPTS] = {WF_RELATION_INSERT, NULL, WF_ATTEMPT_HISTORY, &attempts, keep_attempt},
	[DELETE_INSTANCES] = {WF_RELATION_DELETE, "instance", 0, &wf_instance_table.stored, delete_instance},
	[KEEP_INSTANCES] = {WF_RELATION_INSERT, NULL, WF_INSTANCE_HISTORY, &wf_instance_table.history, keep_instance},
};

/* The partition is looked up as late as possible. Upkeep moves strays on. */
static WfRelation *
open_history(WfHistory history, const WfRelationColumns *columns, TimestampTz now)
{
	bool		stray;
	WfRelation *rel = wf_history_open(history, now, columns, &stray);

	if (stray)
		wf_wakeup_due(WF_QUEUE_UPKEEP, now);
	return rel;
}

pg_noreturn static void
lost_row(void)
{
	ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			errmsg("could not serialize access to an instance due to concurrent update"));
}

static void
write_rows(Kind kind, const WfBatch *batch, List *rows, MemoryContext row_context)
{
	WfRelation *rel = kinds[kind].table != NULL ? wf_relation_open(wf_store_relation(kinds[kind].table),
																   kinds[kind].columns, kinds[kind].use, NULL)
												: open_history(kinds[kind].history, kinds[kind].columns, batch->now);
	WfRowValues values;
	ListCell   *lc;

	foreach (lc, rows)
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);

		if (!kinds[kind].write(rel, batch, lfirst(lc), &values))
			lost_row();
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	wf_relation_close(rel);
}

/* ---- which rows ---- */

static void
put_write_back(Flush *flush, const WfInstance *instance)
{
	const char *queue = wf_executor_queue_of_table(instance->attachment);
	Datum		values[3] = {Int64GetDatum(instance->id), Int64GetDatum(0), CStringGetTextDatum(queue)};
	bool		nulls[3] = {false};

	if (flush->write_backs.store == NULL)
		wf_rows_begin(&flush->write_backs, &delivery_shape);
	wf_rows_put(&flush->write_backs, values, nulls);
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
		add(flush, KEEP_VISITS, visit);
		if (!visit->is_new)
			add(flush, DELETE_VISITS, visit);
		return;
	}
	if (!visit->is_new && !visit->changed && !wf_tokens_changed(&visit->tokens))
		return;
	if (visit->docs.changed && visit->docs.reply != NULL && visit->def != NULL && visit->def->drops_reply)
		drop_reply(flush->batch, visit);
	add(flush, visit->is_new ? INSERT_VISITS : UPDATE_VISITS, visit);
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
		add(flush, KEEP_INSTANCES, instance);
		if (!instance->is_new)
			add(flush, DELETE_INSTANCES, instance);
	}
	else if (instance->is_new)
		add(flush, INSERT_INSTANCES, instance);
	else if (instance->changed || instance->data_changed || instance->cookies_changed)
		add(flush, UPDATE_INSTANCES, instance);
	if (instance->show_changed)
		wf_wakeup_ended(instance->id);
	if (instance->visits != NIL)
		wf_wakeup_moved(instance->id);
	if (instance->attachment != 0 &&
		(instance->show_changed ? shows_in_row(flush, instance->attachment) : has_new_results(flush, instance)))
		put_write_back(flush, instance);
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

static void
write_all(Flush *flush)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "workflow row", ALLOCSET_DEFAULT_SIZES);

	for (int kind = 0; kind < NKINDS; kind++)
		if (flush->rows[kind] != NIL)
			write_rows(kind, flush->batch, flush->rows[kind], row_context);
	MemoryContextDelete(row_context);
	if (flush->write_backs.store == NULL)
		return;
	if (wf_query_run_rows(&q_write_back, &flush->write_backs) != flush->write_backs.n)
		lost_row();
	wf_rows_end(&flush->write_backs);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, flush->batch->now);
}

void
wf_batch_flush(WfBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Flush		  flush = {.batch = batch, .attachment = {.id = -1}};
	ListCell	 *lc;

	wf_kept_headers_settle(batch);
	foreach (lc, batch->instances)
		sort_instance(&flush, lfirst(lc));
	flush.rows[KEEP_ATTEMPTS] = batch->attempts;
	write_all(&flush);
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
	if (flush.rows[INSERT_INSTANCES] != NIL && !wf_history_begun())
		wf_wakeup_due(WF_QUEUE_UPKEEP, batch->now);
	if (batch->needs_sync_commit)
		ForceSyncCommit();
	MemoryContextSwitchTo(old);
}
