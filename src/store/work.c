/*
 * work.c
 *		Work that workers fetch: what visits with a topic wait for.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/query.h"
#include "store/work.h"

#define SWEEP_ROWS 1000

static const WfColumn row_columns[] = {{"instance", INT8OID},	  {"visit", INT8OID}, {"process_id", INT4OID},
									   {"index", INT4OID},		  {"held", BOOLOID},  {"heartbeat", BOOLOID},
									   {"interrupt", BOOLOID},	  {"topic", TEXTOID}, {"step", TEXTOID},
									   {"since", TIMESTAMPTZOID}, {"data", JSONBOID}, {"item", JSONBOID}};
static const WfColumn key_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}};
static const WfColumn step_columns[] = {{"instance", INT8OID},
										{"visit", INT8OID},
										{"heartbeat", BOOLOID},
										{"interrupt", BOOLOID},
										{"step", TEXTOID}};

static WfShape row_shape = {row_columns, lengthof(row_columns)};
static WfShape key_shape = {key_columns, lengthof(key_columns)};
static WfShape step_shape = {step_columns, lengthof(step_columns)};

/* ---- for whoever moves tokens ---- */

#define IS_GONE "EXISTS (SELECT FROM workflow_data.work_note n WHERE n.work = w.work AND n.gone)"

static WfQuery q_insert = {
	.sql =
		"INSERT INTO workflow_data.work (instance, visit, process_id, index, held, heartbeat, interrupt, topic, step, "
		"since, free_at, data, item) SELECT m.instance, m.visit, m.process_id, m.index, m.held, m.heartbeat, m.interrupt, "
		"m.topic, m.step, m.since, m.since, m.data, m.item FROM moved m",
	.shape = &row_shape,
};
/* What a fetcher has locked stays. A visit may be named twice: its handler's work is done, which ends the visit. */
static WfQuery q_delete = {
	.sql =
		"WITH gone AS (DELETE FROM workflow_data.work w USING (SELECT l.work FROM moved m, LATERAL ("
		"SELECT w.work FROM workflow_data.work w WHERE w.instance = m.instance AND w.visit = m.visit "
		"FOR UPDATE SKIP LOCKED) l) f WHERE w.work = f.work RETURNING w.work) "
		"INSERT INTO workflow_data.work_note (work, process_id, gone) SELECT DISTINCT w.work, w.process_id, true FROM moved m "
		"JOIN workflow_data.work w ON w.instance = m.instance AND w.visit = m.visit "
		"WHERE NOT EXISTS (SELECT FROM gone g WHERE g.work = w.work) AND NOT " IS_GONE
		" ON CONFLICT (work) DO UPDATE SET gone = true",
	.shape = &key_shape,
};
/* Under another version the step may have another name; one that is just being fetched keeps the old one. */
static WfQuery q_carry = {
	.sql =
		"UPDATE workflow_data.work w SET step = f.step, heartbeat = f.heartbeat, interrupt = f.interrupt FROM ("
		"SELECT l.work, m.step, m.heartbeat, m.interrupt FROM moved m, LATERAL ("
		"SELECT w.work FROM workflow_data.work w WHERE w.instance = m.instance AND w.visit = m.visit AND NOT " IS_GONE
		" FOR NO KEY UPDATE SKIP LOCKED) l) f WHERE w.work = f.work",
	.shape = &step_shape,
};
/* Fetchers look at the note of what could not be held. */
static WfQuery q_hold = {
	.sql = "WITH held AS (UPDATE workflow_data.work w SET held = true FROM ("
		   "SELECT w.work FROM workflow_data.work w WHERE w.instance = ANY ($1) AND NOT w.held "
		   "FOR NO KEY UPDATE SKIP LOCKED) f WHERE w.work = f.work RETURNING w.work) "
		   "INSERT INTO workflow_data.work_note (work, process_id, gone) SELECT w.work, w.process_id, false "
		   "FROM workflow_data.work w WHERE w.instance = ANY ($1) AND NOT w.held "
		   "AND NOT EXISTS (SELECT FROM held h WHERE h.work = w.work) ON CONFLICT (work) DO NOTHING",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_hold_inside = {
	.sql =
		"WITH RECURSIVE inside AS (SELECT v.visit FROM workflow_data.visit v WHERE v.instance = $1 AND v.scope = $2 "
		"AND v.step <> ALL ($3) UNION ALL SELECT v.visit FROM inside i JOIN workflow_data.visit v ON v.instance = $1 "
		"AND v.scope = i.visit AND v.step <> ALL ($3)) "
		"UPDATE workflow_data.work w SET held = true FROM (SELECT l.work FROM inside i, LATERAL ("
		"SELECT w.work FROM workflow_data.work w WHERE w.instance = $1 AND w.visit = i.visit AND NOT w.held "
		"FOR NO KEY UPDATE SKIP LOCKED) l) f WHERE w.work = f.work",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TEXTARRAYOID},
};
static WfQuery q_forget_held = {
	.sql = "DELETE FROM workflow_data.work_note n USING workflow_data.work w "
		   "WHERE w.instance = ANY ($1) AND n.work = w.work AND NOT n.gone RETURNING w.topic, w.free_at",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_free = {
	.sql = "UPDATE workflow_data.work w SET held = false FROM ("
		   "SELECT w.work FROM workflow_data.work w WHERE w.instance = ANY ($1) AND w.held "
		   "FOR NO KEY UPDATE SKIP LOCKED) f WHERE w.work = f.work RETURNING w.topic, w.free_at",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
/*
 * Held work can be locked all the same: by fetchers that saw it before it was held, and did not get it. They may go on for
 * long, so it is replaced.
 */
static WfQuery q_replace = {
	.sql =
		"WITH locked AS MATERIALIZED (SELECT w.* FROM workflow_data.work w WHERE w.instance = ANY ($1) AND w.held "
		"AND NOT " IS_GONE "), "
		"gone AS (INSERT INTO workflow_data.work_note (work, process_id, gone) SELECT l.work, l.process_id, true FROM locked l) "
		"INSERT INTO workflow_data.work (instance, visit, process_id, index, heartbeat, interrupt, topic, step, since, free_at, "
		"failures, lock_token, worker, fetched_at, data, item) SELECT l.instance, l.visit, l.process_id, l.index, l.heartbeat, "
		"l.interrupt, l.topic, l.step, l.since, l.free_at, l.failures, l.lock_token, l.worker, l.fetched_at, l.data, l.item "
		"FROM locked l RETURNING topic, free_at",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_read = {
	.sql = "SELECT w.work, w.instance, w.visit, w.free_at, w.fetched_at, w.failures, w.lock_token, w.topic, w.worker "
		   "FROM (SELECT k.instance, k.visit FROM unnest($1, $2) k (instance, visit)) k "
		   "JOIN workflow_data.work w ON w.instance = k.instance AND w.visit = k.visit WHERE NOT " IS_GONE,
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID},
};
/* The one that has it may be about to lose it to somebody else. */
#define CHANGE(set, nargs_, ...) \
	{ \
		.sql = \
			"UPDATE workflow_data.work w SET " set " FROM (SELECT w.work FROM workflow_data.work w WHERE w.work = $1 " \
			"AND w.lock_token IS NOT DISTINCT FROM $2 FOR NO KEY UPDATE SKIP LOCKED) f WHERE w.work = f.work", \
		.nargs = nargs_, \
		.argtypes = \
		{ INT8OID, \
		  UUIDOID, \
		  TIMESTAMPTZOID, \
		  ##__VA_ARGS__ } \
	}
static WfQuery q_release =
	CHANGE("free_at = $3, lock_token = NULL, worker = NULL, fetched_at = NULL, failures = $4", 4, INT4OID);
static WfQuery q_extend = CHANGE("free_at = $3", 3);

static void
put_made(WfRows *rows, const WfBatch *batch, const WfSubscription *made)
{
	const WfVisit *visit = made->visit;
	const WfStep  *def = visit->def;
	const WfEntry *entry = &def->entries[made->entry];
	bool		   waits = made->entry < def->nwaits;
	const WfOffer *offer = made->offer;
	bool		   nulls[lengthof(row_columns)] =
		{[3] = offer->index == WF_NO_ITEM, [6] = waits, [10] = offer->data == NULL, [11] = offer->item == NULL};

	if (rows->store == NULL)
		wf_rows_begin(rows, &row_shape);
	wf_rows_put(rows,
				(Datum[]){Int64GetDatum(visit->instance->id), Int64GetDatum(visit->id),
						  Int32GetDatum(visit->instance->process->process_id), Int32GetDatum(offer->index),
						  BoolGetDatum(visit->suspended), BoolGetDatum(waits && def->heartbeat.present),
						  BoolGetDatum(entry->interrupt), CStringGetTextDatum(entry->event.name),
						  CStringGetTextDatum(visit->step), TimestampTzGetDatum(batch->now),
						  JsonbPGetDatum(offer->data), JsonbPGetDatum(offer->item)},
				nulls);
	if (!visit->suspended)
		wf_wakeup_topic(entry->event.name, 0);
}

static void
put_key(WfRows *rows, const WfUnsubscribed *gone)
{
	bool nulls[lengthof(key_columns)] = {0};

	if (rows->store == NULL)
		wf_rows_begin(rows, &key_shape);
	wf_rows_put(rows, (Datum[]){Int64GetDatum(gone->instance), Int64GetDatum(gone->visit)}, nulls);
}

static void
put_carried(WfRows *rows, const WfSubscription *carried)
{
	const WfVisit *visit = carried->visit;
	bool		   waits = carried->entry < visit->def->nwaits;
	bool		   nulls[lengthof(step_columns)] = {[3] = waits};

	if (rows->store == NULL)
		wf_rows_begin(rows, &step_shape);
	wf_rows_put(rows,
				(Datum[]){Int64GetDatum(visit->instance->id), Int64GetDatum(visit->id),
						  BoolGetDatum(waits && visit->def->heartbeat.present),
						  BoolGetDatum(visit->def->entries[carried->entry].interrupt),
						  CStringGetTextDatum(visit->step)},
				nulls);
}

static void
write_rows(WfQuery *query, WfRows *rows)
{
	if (rows->store == NULL)
		return;
	(void) wf_query_run_rows(query, rows);
	wf_rows_end(rows);
}

void
wf_works_write(WfBatch *batch, const List *gone, const List *subscribed)
{
	WfRows	  deleted = {0};
	WfRows	  carried = {0};
	WfRows	  made = {0};
	ListCell *lc;

	foreach (lc, gone)
		if ((((const WfUnsubscribed *) lfirst(lc))->tables & WF_IN_WORK) != 0)
			put_key(&deleted, lfirst(lc));
	foreach (lc, subscribed)
	{
		const WfSubscription *one = lfirst(lc);

		if (one->offer != NULL)
			put_made(&made, batch, one);
		else
			put_carried(&carried, one);
	}
	write_rows(&q_delete, &deleted);
	write_rows(&q_carry, &carried);
	write_rows(&q_insert, &made);
}

/* What is free again is told to those who listen. */
static void
wake_fetchers(uint64 rows)
{
	for (uint64 i = 0; i < rows; i++)
		wf_wakeup_topic(wf_result_text(i, 1), wf_result_int64(i, 2));
	SPI_freetuptable(SPI_tuptable);
}

/* Those instances of a batch whose work is to be held, or is not any more. */
static int
find_holding(const WfBatch *batch, bool held, int64 *ids)
{
	int		  n = 0;
	ListCell *lc;

	foreach (lc, batch->instances)
	{
		const WfInstance *instance = lfirst(lc);

		if (instance->holds_work && (instance->status == WF_STATUS_SUSPENDED) == held)
			ids[n++] = instance->id;
	}
	return n;
}

void
wf_works_flush(WfBatch *batch)
{
	int64 *ids = palloc(sizeof(int64) * Max(list_length(batch->instances), 1));
	int	   n = find_holding(batch, true, ids);
	Datum  values[1];

	values[0] = wf_int64_array(ids, n);
	if (n > 0)
		(void) wf_query_run(&q_hold, values, NULL);
	n = find_holding(batch, false, ids);
	values[0] = wf_int64_array(ids, n);
	if (n == 0)
		return;
	wake_fetchers(wf_query_run(&q_forget_held, values, NULL));
	wake_fetchers(wf_query_run(&q_free, values, NULL));
	wake_fetchers(wf_query_run(&q_replace, values, NULL));
}

void
wf_works_hold_inside(const WfVisit *scope, const char **but_steps, int nsteps)
{
	Datum values[3] = {Int64GetDatum(scope->instance->id), Int64GetDatum(scope->id), wf_text_array(but_steps, nsteps)};

	(void) wf_query_run(&q_hold_inside, values, NULL);
}

/* ---- reading and changing ---- */

static TimestampTz
result_time(uint64 row, int column)
{
	bool  isnull;
	Datum value = wf_result(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

static void
read_work(WfWork *work, uint64 row)
{
	bool  isnull;
	Datum token;

	*work = (WfWork){.number = wf_result_int64(row, 1),
					 .instance = wf_result_int64(row, 2),
					 .visit = wf_result_int64(row, 3),
					 .free_at = result_time(row, 4),
					 .fetched_at = result_time(row, 5),
					 .failures = DatumGetInt32(wf_result(row, 6, &isnull)),
					 .topic = wf_result_text(row, 8),
					 .worker = wf_result_text(row, 9)};
	token = wf_result(row, 7, &isnull);
	work->is_locked = !isnull;
	if (!isnull)
		work->lock_token = *DatumGetUUIDP(token);
}

int
wf_works_read(const int64 *instances, const int64 *visits, int n, WfWork **works)
{
	Datum		   values[2] = {wf_int64_array(instances, n), wf_int64_array(visits, n)};
	uint64		   rows = wf_query_run(&q_read, values, NULL);
	SPITupleTable *table = SPI_tuptable;

	*works = palloc(sizeof(WfWork) * Max(rows, 1));
	for (uint64 i = 0; i < rows; i++)
		read_work(&(*works)[i], i);
	SPI_freetuptable(table);
	return (int) rows;
}

WfWork
wf_work_read(int64 instance, int64 visit)
{
	WfWork *works;

	return wf_works_read(&instance, &visit, 1, &works) > 0 ? works[0] : (WfWork){0};
}

bool
wf_work_is_taken(const WfWork *work, TimestampTz now)
{
	return work->is_locked && work->free_at > now;
}

bool
wf_work_has_token(const WfWork *work, const pg_uuid_t *token)
{
	return work->is_locked && memcmp(&work->lock_token, token, UUID_LEN) == 0;
}

/* Change one that has been read. */
static bool
change(WfQuery *query, const WfWork *work, TimestampTz free_at, int failures)
{
	Datum values[4] = {Int64GetDatum(work->number), UUIDPGetDatum(&work->lock_token), TimestampTzGetDatum(free_at),
					   Int32GetDatum(failures)};
	char  nulls[4] = {' ', work->is_locked ? ' ' : 'n', ' ', ' '};

	return wf_query_run(query, values, nulls) > 0;
}

bool
wf_work_release(const WfWork *work, TimestampTz free_at, int failures)
{
	if (!change(&q_release, work, free_at, failures))
		return false;
	wf_wakeup_topic(work->topic, free_at);
	return true;
}

bool
wf_work_extend(const WfWork *work, TimestampTz until)
{
	return change(&q_extend, work, until, 0);
}

/* ---- for whoever fetches ---- */

/* So many rows of a process and step are looked at as they come; of more the first of each part are. */
#define FEW_ROWS "500"
/* Those behind $2, $3, by a probe each. */
#define OFFERINGS \
	"WITH RECURSIVE o AS ((SELECT w.process_id, w.step, 1 AS n FROM workflow_data.work w WHERE w.topic = $1 AND NOT w.held " \
	"AND (w.process_id, w.step) > ($2, $3) ORDER BY w.process_id, w.step LIMIT 1) " \
	"UNION ALL SELECT s.process_id, s.step, o.n + 1 FROM o, LATERAL (" \
	"SELECT w.process_id, w.step FROM workflow_data.work w WHERE w.topic = $1 AND NOT w.held " \
	"AND (w.process_id, w.step) > (o.process_id, o.step) ORDER BY w.process_id, w.step LIMIT 1) s WHERE o.n < $4) "
static WfQuery q_offerings = {
	.sql = OFFERINGS "SELECT o.process_id, o.step FROM o",
	.nargs = 4,
	.argtypes = {TEXTOID, INT4OID, TEXTOID, INT4OID},
};
/* With what can be fetched at $5, and when there will be more; the last column is false if there are too many to tell. */
static WfQuery q_offerings_when = {
	.sql = OFFERINGS
	"SELECT o.process_id, o.step, s.ready, s.next, s.n < " FEW_ROWS
	" FROM o, LATERAL (SELECT pg_catalog.count(*) AS n, "
	"pg_catalog.min(f.free_at) FILTER (WHERE f.free_at <= $5) AS ready, pg_catalog.min(f.free_at) FILTER (WHERE f.free_at > $5) AS next "
	"FROM (SELECT w.free_at FROM workflow_data.work w WHERE w.topic = $1 AND w.process_id = o.process_id AND w.step = o.step "
	"AND NOT w.held LIMIT " FEW_ROWS ") f) s",
	.nargs = 5,
	.argtypes = {TEXTOID, INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID},
};
static WfQuery q_last_offering = {
	.sql =
		"SELECT w.process_id FROM workflow_data.work w WHERE w.topic = $1 AND NOT w.held ORDER BY w.process_id DESC LIMIT 1",
	.nargs = 1,
	.argtypes = {TEXTOID},
};
/* Part by part, until there is enough. A row that was locked, and then turns out to be noted, stays locked until the commit. */
static WfQuery q_fetch = {
	.sql = "WITH picked AS MATERIALIZED (SELECT f.work FROM pg_catalog.generate_series($4, $4 + 63) p, LATERAL ("
		   "SELECT w.work FROM workflow_data.work w WHERE w.topic = $1 AND w.process_id = $2 AND w.step = $3 "
		   "AND (w.work & 63) = (p & 63) AND NOT w.held AND w.free_at <= $5 ORDER BY w.free_at, w.work "
		   "FOR NO KEY UPDATE SKIP LOCKED) f "
		   "WHERE NOT EXISTS (SELECT FROM workflow_data.work_note n WHERE n.work = f.work) LIMIT $6) "
		   "UPDATE workflow_data.work w SET free_at = $7, lock_token = pg_catalog.gen_random_uuid(), worker = $8, "
		   "fetched_at = $5 FROM picked p WHERE w.work = p.work "
		   "RETURNING w.instance, w.visit, w.data, w.item, w.index, w.lock_token, w.heartbeat",
	.nargs = 8,
	.argtypes = {TEXTOID, INT4OID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, TEXTOID},
};

int
wf_work_offerings(const char *topic, const WfOffering *behind, int limit, WfOffering *offerings)
{
	Datum values[4] = {CStringGetTextDatum(topic), Int32GetDatum(behind->process_id), CStringGetTextDatum(behind->step),
					   Int32GetDatum(limit)};
	uint64 rows = wf_query_run(&q_offerings, values, NULL);
	bool   isnull;

	for (uint64 i = 0; i < rows; i++)
		offerings[i] = (WfOffering){.process_id = DatumGetInt32(wf_result(i, 1, &isnull)),
									.step = wf_result_text(i, 2),
									.may_be_ready = true};
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

int
wf_work_offerings_when(const char *topic, const WfOffering *behind, int limit, TimestampTz now, WfOffering *offerings)
{
	Datum values[5] = {CStringGetTextDatum(topic), Int32GetDatum(behind->process_id), CStringGetTextDatum(behind->step),
					   Int32GetDatum(limit), TimestampTzGetDatum(now)};
	uint64 rows = wf_query_run(&q_offerings_when, values, NULL);
	bool   isnull;

	for (uint64 i = 0; i < rows; i++)
	{
		bool few = DatumGetBool(wf_result(i, 5, &isnull));

		offerings[i] = (WfOffering){.process_id = DatumGetInt32(wf_result(i, 1, &isnull)),
									.step = wf_result_text(i, 2),
									.may_be_ready = !few || result_time(i, 3) != 0,
									.next = result_time(i, 4),
									.few = few};
	}
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

int
wf_work_last_process(const char *topic)
{
	Datum values[1] = {CStringGetTextDatum(topic)};
	bool  isnull;
	int	  last = wf_query_run(&q_last_offering, values, NULL) > 0 ? DatumGetInt32(wf_result(0, 1, &isnull)) : 0;

	SPI_freetuptable(SPI_tuptable);
	return last;
}

uint64
wf_work_fetch(const WfFetch *fetch, const WfOffering *offering, int limit)
{
	Datum values[8] = {CStringGetTextDatum(fetch->topic),	Int32GetDatum(offering->process_id),
					   CStringGetTextDatum(offering->step), Int64GetDatum(fetch->from),
					   TimestampTzGetDatum(fetch->now),		Int64GetDatum(limit),
					   TimestampTzGetDatum(fetch->until),	CStringGetTextDatum(fetch->worker)};

	return wf_query_run(&q_fetch, values, NULL);
}

/* ---- for the dispatcher, and upkeep ---- */

static WfQuery q_topics = {
	.sql =
		"WITH RECURSIVE t AS ((SELECT w.topic, 1 AS n FROM workflow_data.work w WHERE w.topic > $1 AND NOT w.held "
		"ORDER BY w.topic LIMIT 1) UNION ALL SELECT s.topic, t.n + 1 FROM t, LATERAL ("
		"SELECT w.topic FROM workflow_data.work w WHERE w.topic > t.topic AND NOT w.held ORDER BY w.topic LIMIT 1) s "
		"WHERE t.n < $2) SELECT t.topic FROM t",
	.nargs = 2,
	.argtypes = {TEXTOID, INT4OID},
};
#define EARLIEST(condition) \
	"SELECT pg_catalog.min(f.free_at) FROM pg_catalog.generate_series(0, 63) p, LATERAL (SELECT w.free_at " \
	"FROM workflow_data.work w WHERE w.topic = $1 AND w.process_id = $2 AND w.step = $3 AND (w.work & 63) = p " \
	"AND NOT w.held AND w.free_at " condition " ORDER BY w.free_at, w.work LIMIT 1) f"
static WfQuery q_earliest = {
	.sql = "SELECT (" EARLIEST("<= $4") "), (" EARLIEST("> $4") ")",
	.nargs = 4,
	.argtypes = {TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID},
};
static WfQuery q_sweep = {
	.sql =
		"WITH found AS MATERIALIZED (SELECT n.work FROM workflow_data.work_note n WHERE n.gone "
		"OR NOT EXISTS (SELECT FROM workflow_data.work w WHERE w.work = n.work) FOR UPDATE SKIP LOCKED LIMIT $1), locked AS MATERIALIZED (SELECT l.work FROM found f, LATERAL ("
		"SELECT w.work FROM workflow_data.work w WHERE w.work = f.work FOR UPDATE SKIP LOCKED) l), "
		"gone AS (DELETE FROM workflow_data.work w USING locked l WHERE w.work = l.work) "
		"DELETE FROM workflow_data.work_note n USING found f WHERE n.work = f.work AND (EXISTS ("
		"SELECT FROM locked l WHERE l.work = f.work) OR NOT EXISTS (SELECT FROM workflow_data.work w WHERE w.work = f.work))",
	.nargs = 1,
	.argtypes = {INT4OID},
};

int
wf_work_topics(const char *behind, int limit, const char **topics)
{
	Datum  values[2] = {CStringGetTextDatum(behind), Int32GetDatum(limit)};
	uint64 rows = wf_query_run(&q_topics, values, NULL);

	for (uint64 i = 0; i < rows; i++)
		topics[i] = wf_result_text(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

/* The same of one that has more rows than were looked at: by its parts. */
static void
look_at_parts(const char *topic, WfOffering *offering, TimestampTz now)
{
	Datum values[4] = {CStringGetTextDatum(topic), Int32GetDatum(offering->process_id),
					   CStringGetTextDatum(offering->step), TimestampTzGetDatum(now)};

	(void) wf_query_run(&q_earliest, values, NULL);
	offering->may_be_ready = result_time(0, 1) != 0;
	offering->next = result_time(0, 2);
	SPI_freetuptable(SPI_tuptable);
}

bool
wf_work_is_ready(const char *topic, TimestampTz now, TimestampTz *next)
{
	WfOffering offerings[WF_OFFERINGS];
	WfOffering behind = {.step = ""};
	bool	   ready = false;
	int		   n;

	*next = 0;
	do
	{
		n = wf_work_offerings_when(topic, &behind, WF_OFFERINGS, now, offerings);
		for (int i = 0; i < n; i++)
		{
			behind = offerings[i];
			if (!offerings[i].few)
				look_at_parts(topic, &offerings[i], now);
			ready |= offerings[i].may_be_ready;
			if (offerings[i].next != 0 && (*next == 0 || offerings[i].next < *next))
				*next = offerings[i].next;
		}
	} while (n == WF_OFFERINGS);
	return ready;
}

bool
wf_work_sweep(void)
{
	Datum values[1] = {Int32GetDatum(SWEEP_ROWS)};

	return wf_query_run(&q_sweep, values, NULL) >= SWEEP_ROWS;
}
