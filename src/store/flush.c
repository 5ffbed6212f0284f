/*
 * flush.c
 *		Writing a batch: one statement per table and kind, whatever the number of rows.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "shmem/news.h"
#include "shmem/shmem.h"
#include "store/batch_internal.h"
#include "store/due.h"
#include "store/executor_work.h"
#include "store/history.h"
#include "store/query.h"

static const WfColumn instance_columns[] = {
	{"instance", INT8OID}, {"process_id", INT4OID}, {"version", INT4OID}, {"attachment", INT4OID},
	{"tokens", INT4OID}, {"incidents", INT4OID}, {"started_at", TIMESTAMPTZOID},
	{"status", TEXTOID}, {"business_key", TEXTOID}, {"cancel_reason", TEXTOID},
	{"error", JSONBOID}, {"data", JSONBOID}, {"ended_at", TIMESTAMPTZOID},
	{"data_changed", BOOLOID}, {"cookies", JSONBOID}, {"cookies_changed", BOOLOID}};
static const WfColumn visit_columns[] = {
	{"instance", INT8OID}, {"visit", INT8OID}, {"due_at", TIMESTAMPTZOID},
	{"deadline", TIMESTAMPTZOID}, {"entered_at", TIMESTAMPTZOID},
	{"waiting_since", TIMESTAMPTZOID}, {"attempt", INT4OID}, {"has_callback", BOOLOID},
	{"key", UUIDOID}, {"state", TEXTOID}, {"step", TEXTOID}, {"queue", TEXTOID},
	{"waits_for", TEXTOID}, {"outcome", TEXTOID}, {"reply", JSONBOID}, {"callback", JSONBOID},
	{"callback_error", JSONBOID}, {"caught", JSONBOID}, {"error", JSONBOID}, {"result", JSONBOID},
	{"process_id", INT4OID}, {"ended_at", TIMESTAMPTZOID}, {"docs_changed", BOOLOID},
	{"silence_at", TIMESTAMPTZOID}, {"alarm_at", TIMESTAMPTZOID}, {"held", BOOLOID},
	{"cancel_outcome", TEXTOID}, {"cancel_phase", TEXTOID}, {"cancel_response", JSONBOID},
	{"warn_at", TIMESTAMPTZOID}, {"handler_at", TIMESTAMPTZOID}, {"cancel_handler", INT4OID},
	{"progress", JSONBOID}, {"interrupt_at", TIMESTAMPTZOID}, {"handler_times", TIMESTAMPTZARRAYOID},
	{"restless", INT4OID}, {"completed_by", TEXTOID}, {"webhook", BOOLOID}};
static const WfColumn attempt_columns[] = {
	{"instance", INT8OID}, {"visit", INT8OID}, {"process_id", INT4OID}, {"attempt", INT4OID},
	{"http_status", INT4OID}, {"started_at", TIMESTAMPTZOID}, {"ended_at", TIMESTAMPTZOID},
	{"error", JSONBOID}, {"incident", BOOLOID}, {"ended_with", TEXTOID}, {"ended_by", TEXTOID}};
static const WfColumn key_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}};
static const WfColumn delivery_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}, {"queue", TEXTOID}};

static WfShape instance_shape = {instance_columns, lengthof(instance_columns)};
static WfShape visit_shape = {visit_columns, lengthof(visit_columns)};
static WfShape attempt_shape = {attempt_columns, lengthof(attempt_columns)};
static WfShape key_shape = {key_columns, lengthof(key_columns)};
static WfShape delivery_shape = {delivery_columns, lengthof(delivery_columns)};

static WfQuery q_insert_instances = {
	.sql = "INSERT INTO workflow_data.instance (instance, process_id, version, attachment, tokens, "
		   "incidents, started_at, status, business_key, cancel_reason, error, data, cookies) "
		   "SELECT m.instance, m.process_id, m.version, m.attachment, m.tokens, m.incidents, "
		   "m.started_at, m.status, m.business_key, m.cancel_reason, m.error, m.data, m.cookies "
		   "FROM moved m",
	.shape = &instance_shape};
static WfQuery q_update_instances = {
	.sql = "UPDATE workflow_data.instance i SET tokens = m.tokens, incidents = m.incidents, "
		   "status = m.status, cancel_reason = m.cancel_reason, error = m.error, "
		   "version = m.version, "
		   "data = CASE WHEN m.data_changed THEN m.data ELSE i.data END, "
		   "cookies = CASE WHEN m.cookies_changed THEN m.cookies ELSE i.cookies END "
		   "FROM moved m WHERE i.instance = m.instance",
	.shape = &instance_shape};
static WfQuery q_delete_instances = {
	.sql = "DELETE FROM workflow_data.instance i USING moved m WHERE i.instance = m.instance",
	.shape = &key_shape};
#define KEEP_INSTANCES(table) \
	"INSERT INTO workflow_data." table " (instance, process_id, version, attachment, " \
	"started_at, ended_at, stored_at, status, business_key, error, data) " \
	"SELECT m.instance, m.process_id, m.version, m.attachment, m.started_at, m.ended_at, " \
	"m.ended_at, m.status, m.business_key, m.error, m.data FROM moved m"
static WfQuery q_keep_instances = {.sql = KEEP_INSTANCES("instance_history"), .shape = &instance_shape};
static WfQuery q_stray_instances = {.sql = KEEP_INSTANCES("instance_stray"), .shape = &instance_shape};
static WfQuery q_insert_visits = {
	.sql = "INSERT INTO workflow_data.visit (instance, visit, due_at, deadline, entered_at, "
		   "waiting_since, attempt, has_callback, key, state, step, queue, waits_for, outcome, "
		   "reply, callback, callback_error, caught, error, result, silence_at, alarm_at, held, "
		   "cancel_outcome, cancel_phase, cancel_response, warn_at, handler_at, cancel_handler, "
		   "interrupt_at, handler_times, restless, process_id, completed_by, webhook) "
		   "SELECT m.instance, m.visit, m.due_at, m.deadline, m.entered_at, m.waiting_since, "
		   "m.attempt, m.has_callback, m.key, m.state, m.step, m.queue, m.waits_for, m.outcome, "
		   "m.reply, m.callback, m.callback_error, m.caught, m.error, m.result, m.silence_at, "
		   "m.alarm_at, m.held, m.cancel_outcome, m.cancel_phase, m.cancel_response, m.warn_at, "
		   "m.handler_at, m.cancel_handler, m.interrupt_at, m.handler_times, m.restless, m.process_id, m.completed_by, m.webhook FROM moved m",
	.shape = &visit_shape};
static WfQuery q_update_visits = {
	.sql = "UPDATE workflow_data.visit v SET due_at = m.due_at, deadline = m.deadline, "
		   "waiting_since = m.waiting_since, key = m.key, attempt = m.attempt, has_callback = m.has_callback, "
		   "state = m.state, queue = m.queue, waits_for = m.waits_for, outcome = m.outcome, "
		   "error = m.error, silence_at = m.silence_at, alarm_at = m.alarm_at, held = m.held, warn_at = m.warn_at, "
		   "handler_at = m.handler_at, interrupt_at = m.interrupt_at, handler_times = m.handler_times, "
		   "cancel_handler = m.cancel_handler, completed_by = m.completed_by, webhook = m.webhook, "
		   "cancel_outcome = m.cancel_outcome, cancel_phase = m.cancel_phase, "
		   "cancel_response = CASE WHEN m.docs_changed THEN m.cancel_response "
		   "ELSE v.cancel_response END, "
		   "reply = CASE WHEN m.docs_changed THEN m.reply ELSE v.reply END, "
		   "callback = CASE WHEN m.docs_changed THEN m.callback ELSE v.callback END, "
		   "callback_error = CASE WHEN m.docs_changed THEN m.callback_error ELSE v.callback_error END, "
		   "result = CASE WHEN m.docs_changed THEN m.result ELSE v.result END, "
		   "progress = coalesce(m.progress, v.progress) "
		   "FROM moved m WHERE v.instance = m.instance AND v.visit = m.visit",
	.shape = &visit_shape};
static WfQuery q_delete_visits = {
	.sql = "DELETE FROM workflow_data.visit v USING moved m "
		   "WHERE v.instance = m.instance AND v.visit = m.visit",
	.shape = &key_shape};
#define KEEP_VISITS(table) \
	"INSERT INTO workflow_data." table " (instance, visit, process_id, attempts, entered_at, " \
	"ended_at, stored_at, step, outcome, result, completed_by, webhook) " \
	"SELECT m.instance, m.visit, m.process_id, m.attempt, m.entered_at, m.ended_at, " \
	"m.ended_at, m.step, m.outcome, m.result, m.completed_by, m.webhook FROM moved m"
static WfQuery q_keep_visits = {.sql = KEEP_VISITS("visit_history"), .shape = &visit_shape};
static WfQuery q_stray_visits = {.sql = KEEP_VISITS("visit_stray"), .shape = &visit_shape};
#define KEEP_ATTEMPTS(table) \
	"INSERT INTO workflow_data." table " (instance, visit, process_id, attempt, " \
	"http_status, started_at, ended_at, stored_at, error, incident, ended_with, ended_by) " \
	"SELECT m.instance, m.visit, m.process_id, m.attempt, m.http_status, m.started_at, " \
	"m.ended_at, m.ended_at, m.error, m.incident, m.ended_with, m.ended_by FROM moved m"
static WfQuery q_keep_attempts = {.sql = KEEP_ATTEMPTS("attempt_history"), .shape = &attempt_shape};
static WfQuery q_stray_attempts = {.sql = KEEP_ATTEMPTS("attempt_stray"), .shape = &attempt_shape};
static WfQuery q_shows = {
	.sql = "SELECT 1 FROM workflow_data.attachment WHERE attachment = $1 AND detached_at IS NULL AND "
		   "(serial_column IS NOT NULL OR status_column IS NOT NULL OR instance_column IS NOT NULL)",
	.nargs = 1, .argtypes = {INT4OID}};
static WfQuery q_write_back = {
	.sql = "INSERT INTO workflow_data.delivery (instance, visit, due_at, kind, queue) "
		   "SELECT m.instance, m.visit, clock_timestamp(), 'write_back', m.queue FROM moved m",
	.shape = &delivery_shape};

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

static WfQuery *const queries[NKINDS] = {&q_insert_instances, &q_update_instances,
	&q_insert_visits, &q_update_visits, &q_delete_visits, &q_keep_visits, &q_keep_attempts, &q_delete_instances,
	&q_keep_instances, &q_write_back};

/* Where the rows of these go while their week has no partition. */
static const struct
{
	Kind		kind;
	WfHistory	history;
	WfQuery    *stray;
} histories[] = {{KEEP_VISITS, WF_VISIT_HISTORY, &q_stray_visits}, {KEEP_ATTEMPTS, WF_ATTEMPT_HISTORY, &q_stray_attempts},
	{KEEP_INSTANCES, WF_INSTANCE_HISTORY, &q_stray_instances}};

typedef struct Flush
{
	WfBatch    *batch;
	WfRows		rows[NKINDS];
	bool		released;	/* visits of suspended instances have ended */
	int			attachment; /* the last one looked up */
	bool		attachment_shows;
} Flush;

/* One row on its way: values set column by column. */
typedef struct Row
{
	Datum		values[lengthof(visit_columns)];
	bool		nulls[lengthof(visit_columns)];
	int			n;
} Row;

static void
add(Row *row, Datum value)
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
add_text(Row *row, const char *text)
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
add_times(Row *row, const TimestampTz *times, int n)
{
	Datum	   *elems;
	bool	   *nulls;
	int			lower = 1;

	if (times == NULL)
	{
		add_or_null(row, (Datum) 0, true);
		return;
	}
	elems = palloc(sizeof(Datum) * n);
	nulls = palloc(sizeof(bool) * n);
	for (int i = 0; i < n; i++)
	{
		elems[i] = TimestampTzGetDatum(times[i]);
		nulls[i] = times[i] == 0;
	}
	add(row, PointerGetDatum(construct_md_array(elems, nulls, 1, &n, &lower, TIMESTAMPTZOID, sizeof(TimestampTz),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
}

static void
put(Flush *flush, Kind kind, Row *row)
{
	WfRows	   *rows = &flush->rows[kind];

	if (rows->store == NULL)
		wf_rows_begin(rows, queries[kind]->shape);
	Assert(row->n == rows->shape->ncolumns);
	wf_rows_put(rows, row->values, row->nulls);
}

static void
put_key(Flush *flush, Kind kind, int64 instance, int64 visit)
{
	Row			row = {.n = 0};

	add(&row, Int64GetDatum(instance));
	add(&row, Int64GetDatum(visit));
	put(flush, kind, &row);
}

static void
put_delivery(Flush *flush, Kind kind, int64 instance, int64 visit, const char *queue)
{
	Row			row = {.n = 0};

	add(&row, Int64GetDatum(instance));
	add(&row, Int64GetDatum(visit));
	add_text(&row, queue);
	put(flush, kind, &row);
}

static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || b == 0 ? Max(a, b) : Min(a, b);
}

/* The earliest of its clocks. */
static TimestampTz
alarm_of(const WfVisit *visit)
{
	return earlier(earlier(visit->deadline, visit->silence_at),
				   earlier(visit->handler_at, visit->warn_at));
}

static void
put_visit(Flush *flush, Kind kind, WfVisit *visit)
{
	Row			row = {.n = 0};
	bool		docs;

	add(&row, Int64GetDatum(visit->instance->id));
	add(&row, Int64GetDatum(visit->id));
	add_time(&row, visit->due_at);
	add_time(&row, visit->deadline);
	add_time(&row, visit->entered_at);
	add_time(&row, visit->waiting_since);
	add(&row, Int32GetDatum(visit->attempt));
	add(&row, BoolGetDatum(visit->has_callback));
	add(&row, UUIDPGetDatum(&visit->key));
	add_text(&row, wf_state_name(visit->state));
	add_text(&row, visit->step);
	add_text(&row, visit->queue);
	add_text(&row, visit->waits_for);
	add_text(&row, wf_outcome_name(visit->outcome));
	/* documents travel only where the statement stores them */
	docs = kind == INSERT_VISITS || (kind == UPDATE_VISITS && visit->docs_changed);
	add_jsonb(&row, docs ? visit->reply : NULL);
	add_jsonb(&row, docs ? visit->callback : NULL);
	add_jsonb(&row, docs ? visit->callback_error : NULL);
	add_jsonb(&row, kind == INSERT_VISITS ? visit->caught : NULL);
	add_jsonb(&row, kind == KEEP_VISITS ? NULL : visit->error);
	add_jsonb(&row, docs || kind == KEEP_VISITS ? visit->result : NULL);
	add(&row, Int32GetDatum(visit->instance->process->process_id));
	add_time(&row, visit->ended_at);
	add(&row, BoolGetDatum(visit->docs_changed));
	add_time(&row, visit->silence_at);
	add_time(&row, alarm_of(visit));
	add(&row, BoolGetDatum(visit->held));
	add_text(&row, wf_outcome_name(visit->cancel_outcome));
	add_text(&row, visit->cancel_phase);
	add_jsonb(&row, docs ? visit->cancel_response : NULL);
	add_time(&row, visit->warn_at);
	add_time(&row, visit->handler_at);
	add_or_null(&row, Int32GetDatum(visit->cancel_handler), visit->cancel_handler == 0);
	add_jsonb(&row, kind == UPDATE_VISITS ? visit->progress : NULL);
	add_time(&row, visit->interrupt_at);
	if (visit->handler_times == NULL || kind == KEEP_VISITS)
		add_times(&row, NULL, 0);
	else
		add_times(&row, visit->handler_times, visit->def->ncatches);
	add(&row, Int32GetDatum(visit->restless));
	add_text(&row, visit->completed_by);
	add(&row, BoolGetDatum(visit->webhook));
	put(flush, kind, &row);
}

static void
put_attempt(Flush *flush, const WfAttempt *attempt)
{
	Row			row = {.n = 0};

	add(&row, Int64GetDatum(attempt->visit->instance->id));
	add(&row, Int64GetDatum(attempt->visit->id));
	add(&row, Int32GetDatum(attempt->visit->instance->process->process_id));
	add(&row, Int32GetDatum(attempt->attempt));
	add_or_null(&row, Int32GetDatum(attempt->http_status), attempt->http_status == 0);
	add_time(&row, attempt->started_at);
	add_time(&row, flush->batch->now);
	add_jsonb(&row, attempt->error);
	add(&row, BoolGetDatum(attempt->incident));
	add_text(&row, attempt->ended_with);
	add_text(&row, attempt->ended_with != NULL ? GetUserNameFromId(attempt->ended_by, false) : NULL);
	put(flush, KEEP_ATTEMPTS, &row);
}

static void
put_instance(Flush *flush, Kind kind, WfInstance *instance)
{
	Row			row = {.n = 0};

	add(&row, Int64GetDatum(instance->id));
	add(&row, Int32GetDatum(instance->process->process_id));
	add(&row, Int32GetDatum(instance->process->version));
	add(&row, Int32GetDatum(instance->attachment));
	add(&row, Int32GetDatum(instance->tokens));
	add(&row, Int32GetDatum(instance->incidents));
	add_time(&row, instance->started_at);
	add_text(&row, wf_status_name(instance->status));
	add_text(&row, instance->business_key);
	add_text(&row, instance->cancel_reason);
	add_jsonb(&row, instance->error);
	add_jsonb(&row, kind != UPDATE_INSTANCES || instance->data_changed ? instance->data : NULL);
	add_time(&row, instance->ended_at);
	add(&row, BoolGetDatum(instance->data_changed));
	add_jsonb(&row, kind == KEEP_INSTANCES ? NULL : instance->cookies);
	add(&row, BoolGetDatum(instance->cookies_changed));
	put(flush, kind, &row);
}

/* Does an attached row show anything of its instance? One look-up per attachment and batch. */
static bool
shows(Flush *flush, int attachment)
{
	if (flush->attachment != attachment)
	{
		Datum		values[1] = {Int32GetDatum(attachment)};

		flush->attachment_shows = wf_query_run(&q_shows, values, NULL) > 0;
		flush->attachment = attachment;
	}
	return flush->attachment_shows;
}

static void
sort_visit(Flush *flush, WfVisit *visit)
{
	if (visit->ended)
	{
		if (visit->held && !visit->is_new)
			flush->released = true;
		put_visit(flush, KEEP_VISITS, visit);
		if (!visit->is_new)
			put_key(flush, DELETE_VISITS, visit->instance->id, visit->id);
		return;
	}
	if (!visit->is_new && !visit->changed)
		return;
	put_visit(flush, visit->is_new ? INSERT_VISITS : UPDATE_VISITS, visit);
	if (visit->held)
		return;
	if (visit->due_at != 0)
		wf_note_due(wf_is_executor_queue(visit->queue) ? WF_QUEUE_EXECUTOR : visit->queue, visit->due_at);
	if (alarm_of(visit) != 0)
		wf_note_due(WF_QUEUE_ALARM, alarm_of(visit));
}

static void
sort_instance(Flush *flush, WfInstance *instance)
{
	ListCell   *lc;

	foreach (lc, instance->visits)
		sort_visit(flush, lfirst(lc));
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
	{
		wf_note_ended(instance->id);
		if (instance->attachment != 0 && shows(flush, instance->attachment))
			put_delivery(flush, WRITE_BACK, instance->id, 0, wf_executor_queue_of_table(instance->attachment));
	}
}

/* What was kept until they are resumed has nobody to go to: let that be found. */
static void
release_kept(WfBatch *batch)
{
	int64	   *instances = palloc(sizeof(int64) * list_length(batch->instances));
	int			n = 0;
	ListCell   *lc;

	foreach (lc, batch->instances)
		instances[n++] = ((WfInstance *) lfirst(lc))->id;
	wf_delivery_release(instances, n, batch->now);
}

/* Looked up as late as can be: what comes in between, a partition that is being detached, would make the statement fail. */
static WfQuery *
query_for(Kind kind, TimestampTz now)
{
	for (int i = 0; i < lengthof(histories); i++)
	{
		if (histories[i].kind != kind || wf_history_has(histories[i].history, now))
			continue;
		wf_note_due(WF_QUEUE_UPKEEP, now);
		return histories[i].stray;
	}
	return queries[kind];
}

/* What has become of them in the batch since then counts. */
static void
spread_news(const WfBatch *batch)
{
	ListCell   *lc;

	foreach (lc, batch->incidents)
	{
		WfVisit    *visit = lfirst(lc);

		if (!visit->ended && visit->state == WF_STATE_INCIDENT)
			wf_news_note(WF_NEWS_INCIDENT, visit->instance->process->name, visit->step, visit->instance->id, visit->id,
						 visit->waiting_since);
	}
	foreach (lc, batch->warnings)
	{
		WfVisit    *visit = lfirst(lc);

		if (!visit->ended && visit->state == WF_STATE_WAITING)
			wf_news_note(WF_NEWS_WAITING_LONG, visit->instance->process->name, visit->step, visit->instance->id, visit->id,
						 visit->waiting_since);
	}
}

void
wf_batch_flush(WfBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Flush		flush = {.batch = batch, .attachment = -1};
	ListCell   *lc;

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
	spread_news(batch);
	if (flush.released)
		release_kept(batch);
	if (flush.rows[INSERT_INSTANCES].n > 0 && !wf_history_begun())
		wf_note_due(WF_QUEUE_UPKEEP, batch->now);
	if (flush.rows[WRITE_BACK].n > 0)
		wf_note_due(WF_QUEUE_EXECUTOR, batch->now);
	if (batch->makes_due)
		ForceSyncCommit();
	MemoryContextSwitchTo(old);
}
