/*
 * batch.c
 *		Batches: their life, locking and loading.
 *
 * All structs live in the batch's context; rows are copied out of SPI's results, so that a batch outlives its queries.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "shmem/shmem.h"
#include "store/batch_internal.h"
#include "store/identity.h"
#include "store/query.h"

static const char *const status_names[] = {"active", "suspended", "completed", "aborted", "failed"};
static const char *const state_names[] = {"ready", "calling", "retrying", "waiting", "cancelling",
	"incident"};

#define INSTANCE_COLUMNS                                                                           \
	"i.instance, i.process_id, i.version, i.attachment, i.tokens, i.incidents, i.started_at, "     \
	"i.status, i.business_key, i.cancel_reason, i.error, i.data, i.cookies"
#define VISIT_COLUMNS                                                                              \
	"v.instance, v.visit, v.due_at, v.deadline, v.entered_at, v.waiting_since, v.attempt, "        \
	"v.has_callback, v.key, v.state, v.step, v.queue, v.waits_for, v.outcome, v.reply, "           \
	"v.callback, v.callback_error, v.caught, v.error, v.result, v.silence_at, v.held, "             \
	"v.cancel_outcome, v.cancel_phase, v.cancel_response, v.warn_at, "     \
	"v.handler_at, v.cancel_handler, v.interrupt_at, v.handler_times, v.restless, " \
	"v.completed_by, v.webhook"

static const int instance_documents[] = {11, 12, 13, 0};
static const int visit_documents[] = {15, 16, 17, 18, 19, 20, 25, 0};

static WfQuery q_lock_wait = {
	.sql = "SELECT " INSTANCE_COLUMNS " FROM workflow_data.instance i WHERE i.instance = ANY ($1) "
		   "ORDER BY i.instance FOR NO KEY UPDATE OF i",
	.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery q_lock_skip = {
	.sql = "SELECT " INSTANCE_COLUMNS " FROM workflow_data.instance i WHERE i.instance = ANY ($1) "
		   "FOR NO KEY UPDATE OF i SKIP LOCKED",
	.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery q_look = {
	.sql = "SELECT " INSTANCE_COLUMNS " FROM workflow_data.instance i WHERE i.instance = ANY ($1)",
	.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery q_living = {
	.sql = "SELECT i.instance, i.process_id FROM workflow_data.instance i WHERE i.instance = ANY ($1) "
		   "ORDER BY i.instance",
	.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery *const lock_queries[] = {&q_lock_wait, &q_lock_skip, &q_look};
static WfQuery q_visit = {
	.sql = "SELECT " VISIT_COLUMNS " FROM workflow_data.visit v WHERE v.instance = $1 AND v.visit = $2",
	.nargs = 2, .argtypes = {INT8OID, INT8OID}};
static WfQuery q_visits = {
	.sql = "SELECT " VISIT_COLUMNS " FROM ROWS FROM (unnest($1), unnest($2)) AS k (instance, visit) "
		   "JOIN workflow_data.visit v ON v.instance = k.instance AND v.visit = k.visit",
	.nargs = 2, .argtypes = {INT8ARRAYOID, INT8ARRAYOID}};
static WfQuery q_all_visits = {
	.sql = "SELECT " VISIT_COLUMNS " FROM workflow_data.visit v WHERE v.instance = $1 ORDER BY v.visit",
	.nargs = 1, .argtypes = {INT8OID}};

#define SH_PREFIX wf_by_id
#define SH_ELEMENT_TYPE WfByIdEntry
#define SH_KEY_TYPE int64
#define SH_KEY id
#define SH_HASH_KEY(tb, key) hash_bytes_uint32((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE extern
#define SH_DEFINE
#include "lib/simplehash.h"

const char *
wf_status_name(WfStatus status)
{
	return status_names[status];
}

const char *
wf_state_name(WfState state)
{
	return state_names[state];
}

static int
name_index(const char *const *list, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return i;
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED), errmsg("unknown word \"%s\" in a row", name));
}

WfBatch *
wf_batch_begin(void)
{
	MemoryContext context = AllocSetContextCreate(CurTransactionContext, "workflow batch",
												  ALLOCSET_DEFAULT_SIZES);
	WfBatch    *batch = MemoryContextAllocZero(context, sizeof(WfBatch));

	batch->context = context;
	batch->now = GetCurrentTimestamp();
	batch->by_id = wf_by_id_create(context, 16, NULL);
	return batch;
}

void
wf_batch_end(WfBatch *batch)
{
	MemoryContextDelete(batch->context);
}

static void
remember(WfBatch *batch, WfInstance *instance)
{
	bool		found;

	batch->instances = lappend(batch->instances, instance);
	wf_by_id_insert(batch->by_id, instance->id, &found)->instance = instance;
}

WfInstance *
wf_batch_instance(WfBatch *batch, int64 id)
{
	WfByIdEntry *entry = wf_by_id_lookup(batch->by_id, id);

	return entry != NULL ? entry->instance : NULL;
}

WfInstance *
wf_batch_new_instance(WfBatch *batch, WfProcess *process, int64 id)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfInstance *instance = palloc0(sizeof(WfInstance));

	instance->id = id != 0 ? id : wf_next_instance();
	instance->process = process;
	instance->status = WF_STATUS_ACTIVE;
	instance->data = process->def->data;
	instance->started_at = batch->now;
	instance->is_new = true;
	remember(batch, instance);
	MemoryContextSwitchTo(old);
	return instance;
}

/* Random bytes are fetched for many at a time. */
void
wf_batch_make_key(pg_uuid_t *key)
{
	static char pool[256 * UUID_LEN];
	static int	left = 0;

	if (left == 0 && !pg_strong_random(pool, sizeof(pool)))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
	if (left == 0)
		left = sizeof(pool) / UUID_LEN;
	left--;
	memcpy(key->data, pool + left * UUID_LEN, UUID_LEN);
	/* version 4, variant 1 (RFC 4122) */
	key->data[6] = (key->data[6] & 0x0f) | 0x40;
	key->data[8] = (key->data[8] & 0x3f) | 0x80;
}

WfVisit *
wf_batch_new_visit(WfBatch *batch, WfInstance *instance, WfStep *step, int64 id)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfVisit    *visit = palloc0(sizeof(WfVisit));

	visit->instance = instance;
	visit->id = id != 0 ? id : wf_next_visit();
	visit->def = step;
	visit->step = step->name;
	visit->entered_at = batch->now;
	visit->is_new = true;
	wf_batch_make_key(&visit->key);
	instance->visits = lappend(instance->visits, visit);
	MemoryContextSwitchTo(old);
	return visit;
}

static Jsonb *
result_jsonb(uint64 row, int column)
{
	bool		isnull;
	Datum		value = wf_result(row, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

static TimestampTz
result_time(uint64 row, int column)
{
	bool		isnull;
	Datum		value = wf_result(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

static int
result_int(uint64 row, int column)
{
	bool		isnull;

	return DatumGetInt32(wf_result(row, column, &isnull));
}

/* Returns whether what is in these columns of a row, ended by 0, can be loaded too; the first always can. Nothing is read for that. */
static bool
fits(WfBatch *batch, uint64 row, const int *columns)
{
	HeapTuple	tuple = SPI_tuptable->vals[row];
	size_t		bytes = tuple->t_len;
	bool		isnull;

	if (batch->room == 0)
		return true;
	/* what is not stored outside of the row is small, even if it is compressed */
	for (; HeapTupleHasExternal(tuple) && *columns != 0; columns++)
	{
		Datum		value = wf_result(row, *columns, &isnull);

		if (!isnull)
			bytes += toast_raw_datum_size(value);
	}
	if (batch->loaded > 0 && batch->loaded + bytes > batch->room)
		return false;
	batch->loaded += bytes;
	return true;
}

static void
leave_out(WfBatch *batch, int64 instance, int64 visit)
{
	WfKey	   *key = palloc(sizeof(WfKey));

	*key = (WfKey){instance, visit};
	batch->left_out = lappend(batch->left_out, key);
}

bool
wf_batch_left_out(const WfBatch *batch, int64 instance, int64 visit)
{
	ListCell   *lc;

	foreach (lc, batch->left_out)
	{
		const WfKey *key = lfirst(lc);

		if (key->instance == instance && (key->visit == 0 || key->visit == visit))
			return true;
	}
	return false;
}

/* Each row holds where its process is, since looking that up runs another query. */
typedef struct ProcessRef
{
	int			process_id;
	int			version;
} ProcessRef;

static void
read_instance(WfBatch *batch, uint64 row, ProcessRef *ref)
{
	WfInstance *instance = palloc0(sizeof(WfInstance));

	instance->id = wf_result_int64(row, 1);
	ref->process_id = result_int(row, 2);
	ref->version = result_int(row, 3);
	instance->attachment = result_int(row, 4);
	instance->tokens = result_int(row, 5);
	instance->stored_tokens = instance->tokens;
	instance->incidents = result_int(row, 6);
	instance->started_at = result_time(row, 7);
	instance->status = (WfStatus) name_index(status_names, lengthof(status_names),
											 wf_result_text(row, 8));
	instance->business_key = wf_result_text(row, 9);
	instance->cancel_reason = wf_result_text(row, 10);
	instance->error = result_jsonb(row, 11);
	instance->data = result_jsonb(row, 12);
	instance->cookies = result_jsonb(row, 13);
	remember(batch, instance);
}

int
wf_batch_lock(WfBatch *batch, const int64 *ids, int n, WfLock lock)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	int			before = list_length(batch->instances);
	Datum		values[1] = {wf_int64_array(ids, n)};
	uint64		rows;
	ProcessRef *refs;

	rows = wf_query_run(lock_queries[lock], values, NULL);
	if (rows > 0 && lock != WF_LOCK_NONE)
		wf_note_locked();
	refs = palloc(sizeof(ProcessRef) * Max(rows, 1));
	for (uint64 i = 0; i < rows; i++)
	{
		if (wf_batch_instance(batch, wf_result_int64(i, 1)) != NULL)
			continue;
		if (fits(batch, i, instance_documents))
			read_instance(batch, i, &refs[list_length(batch->instances) - before]);
		else
			leave_out(batch, wf_result_int64(i, 1), 0);
	}
	SPI_freetuptable(SPI_tuptable);
	for (int i = before; i < list_length(batch->instances); i++)
	{
		WfInstance *instance = list_nth(batch->instances, i);
		ProcessRef *ref = &refs[i - before];

		instance->process = wf_process_get(ref->process_id, ref->version);
	}
	batch->now = GetCurrentTimestamp(); /* the lock may have been waited for */
	MemoryContextSwitchTo(old);
	return list_length(batch->instances) - before;
}

int
wf_batch_living(const int64 *ids, int n, WfLiving **living)
{
	Datum		values[1] = {wf_int64_array(ids, n)};
	uint64		rows = wf_query_run(&q_living, values, NULL);
	bool		isnull;

	*living = palloc(sizeof(WfLiving) * Max(rows, 1));
	for (uint64 i = 0; i < rows; i++)
	{
		(*living)[i].instance = wf_result_int64(i, 1);
		(*living)[i].process_id = DatumGetInt32(wf_result(i, 2, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

/* When its handlers of clocks begin; NULL: it has none. */
static TimestampTz *
read_handler_times(const WfStep *def, uint64 row, int column)
{
	TimestampTz *times;
	Datum	   *elems;
	bool	   *nulls;
	bool		isnull;
	int			n;
	Datum		value = wf_result(row, column, &isnull);

	if (isnull || def == NULL)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &elems, &nulls, &n);
	times = palloc0(sizeof(TimestampTz) * Max(def->ncatches, 1));
	for (int i = 0; i < Min(n, def->ncatches); i++)
		times[i] = nulls[i] ? 0 : DatumGetTimestampTz(elems[i]);
	return times;
}

static void
read_visit(WfBatch *batch, uint64 row)
{
	WfInstance *instance = wf_batch_instance(batch, wf_result_int64(row, 1));
	WfVisit    *visit;
	char	   *outcome;
	int			step;
	bool		isnull;

	if (instance == NULL || wf_batch_visit(batch, instance->id, wf_result_int64(row, 2)) != NULL)
		return;
	if (!fits(batch, row, visit_documents))
	{
		leave_out(batch, instance->id, wf_result_int64(row, 2));
		return;
	}
	visit = palloc0(sizeof(WfVisit));
	visit->instance = instance;
	visit->id = wf_result_int64(row, 2);
	visit->due_at = result_time(row, 3);
	visit->deadline = result_time(row, 4);
	visit->entered_at = result_time(row, 5);
	visit->waiting_since = result_time(row, 6);
	visit->attempt = result_int(row, 7);
	visit->has_callback = DatumGetBool(wf_result(row, 8, &isnull));
	memcpy(&visit->key, DatumGetUUIDP(wf_result(row, 9, &isnull)), sizeof(pg_uuid_t));
	visit->state = (WfState) name_index(state_names, lengthof(state_names), wf_result_text(row, 10));
	visit->step = wf_result_text(row, 11);
	visit->queue = wf_result_text(row, 12);
	visit->waits_for = wf_result_text(row, 13);
	outcome = wf_result_text(row, 14);
	visit->outcome = outcome != NULL ? wf_outcome_from_name(outcome) : WF_OUTCOME_NONE;
	visit->reply = result_jsonb(row, 15);
	visit->callback = result_jsonb(row, 16);
	visit->callback_error = result_jsonb(row, 17);
	visit->caught = result_jsonb(row, 18);
	visit->error = result_jsonb(row, 19);
	visit->result = result_jsonb(row, 20);
	visit->silence_at = result_time(row, 21);
	visit->held = DatumGetBool(wf_result(row, 22, &isnull));
	outcome = wf_result_text(row, 23);
	visit->cancel_outcome = outcome != NULL ? wf_outcome_from_name(outcome) : WF_OUTCOME_NONE;
	visit->cancel_phase = wf_result_text(row, 24);
	visit->cancel_response = result_jsonb(row, 25);
	visit->warn_at = result_time(row, 26);
	visit->handler_at = result_time(row, 27);
	visit->cancel_handler = DatumGetInt32(wf_result(row, 28, &isnull));
	visit->interrupt_at = result_time(row, 29);
	visit->restless = result_int(row, 31);
	visit->completed_by = wf_result_text(row, 32);
	visit->webhook = DatumGetBool(wf_result(row, 33, &isnull));
	visit->has_reply = visit->reply != NULL;
	step = wf_definition_step(instance->process->def, visit->step);
	visit->def = step >= 0 ? &instance->process->def->steps[step] : NULL;
	visit->handler_times = read_handler_times(visit->def, row, 30);
	instance->visits = lappend(instance->visits, visit);
}

static void
read_visits(WfBatch *batch, WfQuery *query, Datum *values)
{
	uint64		rows = wf_query_run(query, values, NULL);

	for (uint64 i = 0; i < rows; i++)
		read_visit(batch, i);
	SPI_freetuptable(SPI_tuptable);
}

void
wf_batch_load_visits(WfBatch *batch, const int64 *instances, const int64 *visits, int n)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum		values[2];

	if (n == 1)
	{
		values[0] = Int64GetDatum(instances[0]);
		values[1] = Int64GetDatum(visits[0]);
		read_visits(batch, &q_visit, values);
	}
	else if (n > 1)
	{
		values[0] = wf_int64_array(instances, n);
		values[1] = wf_int64_array(visits, n);
		read_visits(batch, &q_visits, values);
	}
	MemoryContextSwitchTo(old);
}

void
wf_batch_load_all_visits(WfBatch *batch, WfInstance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum		values[1] = {Int64GetDatum(instance->id)};
	size_t		room = batch->room;

	batch->room = 0; /* all of them are needed */
	if (!instance->is_new)
		read_visits(batch, &q_all_visits, values);
	batch->room = room;
	MemoryContextSwitchTo(old);
}

WfVisit *
wf_batch_visit(WfBatch *batch, int64 instance_id, int64 visit_id)
{
	WfInstance *instance = wf_batch_instance(batch, instance_id);
	ListCell   *lc;

	if (instance == NULL)
		return NULL;
	foreach (lc, instance->visits)
	{
		WfVisit    *visit = lfirst(lc);

		if (visit->id == visit_id)
			return visit;
	}
	return NULL;
}
