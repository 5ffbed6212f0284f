/*
 * batch.c
 *		Batches: their life, locking and loading.
 *
 * All structs live in the batch's context. Rows are copied out of SPI's results, so that a batch
 * outlives its queries.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "shmem/wakeups.h"
#include "store/batch.h"
#include "store/columns.h"
#include "store/identity.h"
#include "store/item.h"
#include "store/query.h"

static WfQuery q_lock_wait = {.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery q_lock_skip = {.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery q_look = {.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery q_living = {
	.sql = "SELECT i.instance, i.process_id FROM workflow_data.instance i WHERE i.instance = ANY ($1) "
		   "ORDER BY i.instance",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery *const lock_queries[] = {&q_lock_wait, &q_lock_skip, &q_look};
static WfQuery		  q_visit = {.nargs = 2, .argtypes = {INT8OID, INT8OID}};
static WfQuery		  q_visits = {.nargs = 2, .argtypes = {INT8ARRAYOID, INT8ARRAYOID}};
static WfQuery		  q_all_visits = {.nargs = 1, .argtypes = {INT8OID}};
static WfQuery		  q_visits_of = {.nargs = 1, .argtypes = {INT8ARRAYOID}};
static WfQuery		  q_inside = {.nargs = 5, .argtypes = {INT8OID, INT8OID, TEXTARRAYOID, BOOLOID, INT4OID}};
#define MARK_LATE(scope) \
	"UPDATE workflow_data.visit v SET late = array_append(v.late, $4) WHERE v.instance = $1 AND " scope \
	" AND v.step = ANY ($3) AND ($4 = ANY (v.late)) IS NOT TRUE"
static WfQuery q_mark_late = {
	.sql = MARK_LATE("v.scope = $2"),
	.nargs = 4,
	.argtypes = {INT8OID, INT8OID, TEXTARRAYOID, INT4OID},
};
static WfQuery q_mark_late_at_top = {
	.sql = MARK_LATE("v.scope IS NULL AND $2 = 0"),
	.nargs = 4,
	.argtypes = {INT8OID, INT8OID, TEXTARRAYOID, INT4OID},
};

static void
prepare_batch_queries(void)
{
	const WfTable *instance = &wf_instance_table;
	const WfTable *visit = &wf_visit_table;

	if (q_all_visits.sql != NULL)
		return;
	q_lock_wait.sql = wf_table_select(instance, "workflow_data.instance t WHERE t.instance = ANY ($1) "
												"ORDER BY t.instance FOR NO KEY UPDATE OF t");
	q_lock_skip.sql = wf_table_select(instance, "workflow_data.instance t WHERE t.instance = ANY ($1) "
												"FOR NO KEY UPDATE OF t SKIP LOCKED");
	q_look.sql = wf_table_select(instance, "workflow_data.instance t WHERE t.instance = ANY ($1)");
	q_visit.sql = wf_table_select(visit, "workflow_data.visit t WHERE t.instance = $1 AND t.visit = $2");
	q_visits.sql =
		wf_table_select(visit, "ROWS FROM (unnest($1), unnest($2)) AS k (instance, visit) "
							   "JOIN workflow_data.visit t ON t.instance = k.instance AND t.visit = k.visit");
	q_all_visits.sql = wf_table_select(visit, "workflow_data.visit t WHERE t.instance = $1 ORDER BY t.visit");
	q_visits_of.sql = wf_table_select(visit, "workflow_data.visit t WHERE t.instance = ANY ($1) "
											 "ORDER BY t.instance, t.visit");
	q_inside.sql = wf_table_select(visit, "workflow_data.visit t WHERE t.instance = $1 AND t.scope = $2 AND "
										  "t.state <> 'cancelling' AND (t.accepted IS NULL OR t.waits_for = 'call' OR "
										  "t.accepted > 0 AND (starts_with(t.queue, 'http ') OR "
										  "t.state = 'retrying' AND t.due_at > clock_timestamp())) AND "
										  "(t.step <> ALL ($3) OR $4 AND t.state = 'incident') "
										  "ORDER BY t.visit LIMIT $5");
}

/* An instance or visit of the batch, found by its numbers; an instance has visit 0. */
typedef struct ByKeyEntry
{
	WfKey key;
	/* WfInstance or WfVisit; NULL: deferred, since the memory budget was used up */
	void *row;
	char  status; /* for simplehash */
} ByKeyEntry;

#define SH_PREFIX		   by_key
#define SH_ELEMENT_TYPE	   ByKeyEntry
#define SH_KEY_TYPE		   WfKey
#define SH_KEY			   key
#define SH_HASH_KEY(tb, k) hash_combine(hash_bytes_uint32((uint32) (k).instance), hash_bytes_uint32((uint32) (k).visit))
#define SH_EQUAL(tb, a, b) ((a).instance == (b).instance && (a).visit == (b).visit)
#define SH_SCOPE		   static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

WfBatch *
wf_batch_begin(void)
{
	MemoryContext context = AllocSetContextCreate(CurTransactionContext, "workflow batch", ALLOCSET_DEFAULT_SIZES);
	WfBatch		 *batch = MemoryContextAllocZero(context, sizeof(WfBatch));

	batch->context = context;
	batch->now = GetCurrentTimestamp();
	batch->by_key = by_key_create(context, 16, NULL);
	wf_columns_prepare();
	prepare_batch_queries();
	return batch;
}

void
wf_batch_end(WfBatch *batch)
{
	MemoryContextDelete(batch->context);
}

static void
remember(WfBatch *batch, int64 instance, int64 visit, void *row)
{
	bool found;

	by_key_insert(batch->by_key, (WfKey){instance, visit}, &found)->row = row;
}

static void *
recall(const WfBatch *batch, int64 instance, int64 visit)
{
	ByKeyEntry *entry = by_key_lookup(batch->by_key, (WfKey){instance, visit});

	return entry != NULL ? entry->row : NULL;
}

static void
add_instance(WfBatch *batch, WfInstance *instance)
{
	batch->instances = lappend(batch->instances, instance);
	remember(batch, instance->id, 0, instance);
}

static void
add_visit(WfBatch *batch, WfInstance *instance, WfVisit *visit)
{
	instance->visits = lappend(instance->visits, visit);
	remember(batch, instance->id, visit->id, visit);
}

WfInstance *
wf_batch_instance(WfBatch *batch, int64 id)
{
	return recall(batch, id, 0);
}

WfVisit *
wf_batch_visit(WfBatch *batch, int64 instance, int64 visit)
{
	return visit != 0 ? recall(batch, instance, visit) : NULL; /* 0 is the instance itself */
}

WfInstance *
wf_batch_new_instance(WfBatch *batch, WfProcess *process, int64 id)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfInstance	 *instance = palloc0(sizeof(WfInstance));

	instance->id = id != 0 ? id : wf_next_instance();
	instance->process = process;
	instance->status = WF_STATUS_ACTIVE;
	instance->data = process->def->data;
	instance->started_at = batch->now;
	instance->is_new = true;
	add_instance(batch, instance);
	MemoryContextSwitchTo(old);
	return instance;
}

/* Make a random idempotency key. Random bytes are fetched for many keys at a time. */
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
	WfVisit		 *visit = palloc0(sizeof(WfVisit));

	visit->instance = instance;
	visit->id = id != 0 ? id : wf_next_visit();
	visit->def = step;
	visit->step = step->name;
	visit->entered_at = batch->now;
	visit->accepted = WF_ACCEPTED_NOTHING;
	visit->item = WF_NO_ITEM;
	visit->is_new = true;
	wf_batch_make_key(&visit->key);
	add_visit(batch, instance, visit);
	MemoryContextSwitchTo(old);
	return visit;
}

/*
 * May the row be loaded within the memory budget? The first one always may. Its
 * size is that of the row and of its TOAST values, which are not fetched for it.
 */
static bool
fits(WfBatch *batch, const WfTable *table, uint64 row)
{
	HeapTuple tuple = SPI_tuptable->vals[row];
	size_t	  bytes = tuple->t_len;

	if (batch->memory_budget == 0)
		return true;
	/* what is not stored outside of the row is small, even if it is compressed */
	if (HeapTupleHasExternal(tuple))
		bytes += wf_table_external(table, row);
	if (batch->loaded > 0 && batch->loaded + bytes > batch->memory_budget)
		return false;
	batch->loaded += bytes;
	return true;
}

bool
wf_batch_is_deferred(const WfBatch *batch, int64 instance, int64 visit)
{
	ByKeyEntry *of_instance = by_key_lookup(batch->by_key, (WfKey){instance, 0});
	ByKeyEntry *of_visit = by_key_lookup(batch->by_key, (WfKey){instance, visit});

	return (of_instance != NULL && of_instance->row == NULL) || (of_visit != NULL && of_visit->row == NULL);
}

/* Keep what the row says of the tokens of a scope, to be compared with. */
static void
keep_tokens(WfTokens *tokens)
{
	tokens->stored_n = tokens->n;
	tokens->stored_reached_end = tokens->reached_end;
	tokens->stored_njoins = tokens->njoins;
	if (tokens->njoins > 0)
	{
		tokens->stored_joins = palloc(sizeof(WfJoinCount) * tokens->njoins);
		memcpy(tokens->stored_joins, tokens->joins, sizeof(WfJoinCount) * tokens->njoins);
	}
}

bool
wf_tokens_changed(const WfTokens *tokens)
{
	static const WfJoinCount none = {0};

	if (tokens->n != tokens->stored_n || tokens->reached_end != tokens->stored_reached_end)
		return true;
	for (int i = 0; i < tokens->njoins; i++)
	{
		const WfJoinCount *stored = i < tokens->stored_njoins ? &tokens->stored_joins[i] : &none;

		if (memcmp(&tokens->joins[i], stored, sizeof(WfJoinCount)) != 0)
			return true;
	}
	return false;
}

static void
read_instance_row(WfBatch *batch, uint64 row)
{
	WfInstance *instance = palloc0(sizeof(WfInstance));

	wf_table_read(&wf_instance_table, instance, row);
	instance->data_before = instance->data;
	keep_tokens(&instance->tokens);
	add_instance(batch, instance);
}

/* Add the instances of the current result. Returns how many were added. */
static int
read_instances(WfBatch *batch, uint64 rows)
{
	int before = list_length(batch->instances);

	for (uint64 i = 0; i < rows; i++)
	{
		if (wf_batch_instance(batch, wf_result_int64(i, 1)) != NULL)
			continue;
		if (fits(batch, &wf_instance_table, i))
			read_instance_row(batch, i);
		else
			remember(batch, wf_result_int64(i, 1), 0, NULL);
	}
	SPI_freetuptable(SPI_tuptable);
	/* looking up the process runs another query, which replaces the result */
	for (int i = before; i < list_length(batch->instances); i++)
	{
		WfInstance *instance = list_nth(batch->instances, i);

		instance->process = wf_process_get(instance->process_id, instance->version);
	}
	return list_length(batch->instances) - before;
}

int
wf_batch_lock(WfBatch *batch, const int64 *ids, int n, WfLock lock)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum		  values[1] = {wf_int64_array(ids, n)};
	uint64		  rows;
	int			  added;

	rows = wf_query_run(lock_queries[lock], values, NULL);
	if (rows > 0 && lock != WF_LOCK_NONE)
		wf_wakeup_locked();
	added = read_instances(batch, rows);
	batch->now = GetCurrentTimestamp(); /* anew: time may have passed while we waited for the lock */
	MemoryContextSwitchTo(old);
	return added;
}

int
wf_batch_living(const int64 *ids, int n, WfLiving **living)
{
	Datum  values[1] = {wf_int64_array(ids, n)};
	uint64 rows = wf_query_run(&q_living, values, NULL);
	bool   isnull;

	*living = palloc(sizeof(WfLiving) * Max(rows, 1));
	for (uint64 i = 0; i < rows; i++)
	{
		(*living)[i].instance = wf_result_int64(i, 1);
		(*living)[i].process_id = DatumGetInt32(wf_result(i, 2, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return (int) rows;
}

static void
read_visit(WfBatch *batch, uint64 row)
{
	WfInstance *instance = wf_batch_instance(batch, wf_result_int64(row, 1));
	WfVisit	   *visit;

	if (instance == NULL || wf_batch_visit(batch, instance->id, wf_result_int64(row, 2)) != NULL)
		return;
	if (!fits(batch, &wf_visit_table, row))
	{
		remember(batch, instance->id, wf_result_int64(row, 2), NULL);
		return;
	}
	visit = palloc0(sizeof(WfVisit));
	visit->instance = instance;
	visit->accepted = WF_ACCEPTED_NOTHING;
	visit->item = WF_NO_ITEM;
	wf_table_read(&wf_visit_table, visit, row);
	visit->docs.has_reply = visit->docs.reply != NULL;
	keep_tokens(&visit->tokens);
	add_visit(batch, instance, visit);
	if (visit->scope_id != 0)
		batch->inside = lappend(batch->inside, visit);
}

/* Add the visits of the current result. */
static void
read_rows(WfBatch *batch, uint64 rows)
{
	for (uint64 i = 0; i < rows; i++)
		read_visit(batch, i);
	SPI_freetuptable(SPI_tuptable);
}

/* Run a query for visits, as of a snapshot; NULL: the latest one. */
static void
read_visits_at(WfBatch *batch, WfQuery *query, Datum *values, Snapshot snapshot)
{
	if (snapshot != NULL)
		read_rows(batch, wf_query_run_at(query, values, snapshot));
	else
		read_rows(batch, wf_query_run(query, values, NULL));
}

static void
lost_scope(const WfVisit *visit)
{
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
			errmsg("the scope of visit " INT64_FORMAT "_" INT64_FORMAT " is missing", visit->instance->id, visit->id),
			errdetail("There is no visit " INT64_FORMAT ".", visit->scope_id),
			errhint("SELECT * FROM workflow.verify() looks for what else is wrong."));
}

/*
 * In a scope that goes through a list a visit has the name of that, but is at the step of its items. Nothing else has the
 * name of the step around it.
 */
static void
find_item(WfBatch *batch, WfVisit *visit)
{
	if (visit->scope->def == NULL || visit->scope->def->each == NULL || strcmp(visit->step, visit->scope->step) != 0)
		return;
	visit->def = wf_step_of_item(visit->instance->process->def, visit->scope->def);
	batch->items = lappend(batch->items, visit);
}

/* Link visits to their scopes. Returns those whose scope is not in the batch. */
static List *
link_scopes(WfBatch *batch, List *visits)
{
	List	 *missing = NIL;
	ListCell *lc;

	foreach (lc, visits)
	{
		WfVisit *visit = lfirst(lc);

		visit->scope = wf_batch_visit(batch, visit->instance->id, visit->scope_id);
		if (visit->scope == NULL)
			missing = lappend(missing, visit);
		else
			find_item(batch, visit);
	}
	return missing;
}

static void
read_scopes(WfBatch *batch, List *visits, Snapshot snapshot)
{
	int64	 *instances = palloc(sizeof(int64) * list_length(visits));
	int64	 *scopes = palloc(sizeof(int64) * list_length(visits));
	int		  n = 0;
	Datum	  values[2];
	ListCell *lc;

	foreach (lc, visits)
	{
		WfVisit *visit = lfirst(lc);

		/* those of one scope often stand together */
		if (n > 0 && scopes[n - 1] == visit->scope_id)
			continue;
		instances[n] = visit->instance->id;
		scopes[n++] = visit->scope_id;
	}
	values[0] = wf_int64_array(instances, n);
	values[1] = wf_int64_array(scopes, n);
	read_visits_at(batch, &q_visits, values, snapshot);
}

/*
 * Find the scopes of loaded visits, and load those that are missing, a query a level. They are few,
 * and needed: the memory budget does not count for them.
 */
static void
load_scopes(WfBatch *batch, Snapshot snapshot)
{
	size_t room = batch->memory_budget;

	batch->memory_budget = 0;
	while (batch->inside != NIL)
	{
		List *missing = link_scopes(batch, batch->inside);

		batch->inside = NIL; /* scopes that are read add themselves, if they are in others */
		if (missing == NIL)
			break;
		read_scopes(batch, missing, snapshot);
		missing = link_scopes(batch, missing);
		if (missing != NIL)
			lost_scope(linitial(missing));
	}
	batch->memory_budget = room;
	if (batch->items != NIL)
		wf_items_load(batch, snapshot);
}

static void
read_visits(WfBatch *batch, WfQuery *query, Datum *values)
{
	read_visits_at(batch, query, values, NULL);
	load_scopes(batch, NULL);
}

void
wf_batch_load_visits(WfBatch *batch, const int64 *instances, const int64 *visits, int n)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum		  values[2];

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

WfVisit *
wf_batch_need_visit(WfBatch *batch, WfInstance *instance, int64 id)
{
	WfVisit *visit = wf_batch_visit(batch, instance->id, id);
	size_t	 room = batch->memory_budget;

	if (visit == NULL)
	{
		batch->memory_budget = 0;
		wf_batch_load_visits(batch, &instance->id, &id, 1);
		batch->memory_budget = room;
		visit = wf_batch_visit(batch, instance->id, id);
	}
	if (visit == NULL)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("visit " INT64_FORMAT "_" INT64_FORMAT " is missing, which stands at a join", instance->id, id),
				errhint("SELECT * FROM workflow.verify() looks for what else is wrong."));
	return visit;
}

void
wf_batch_load_all_visits(WfBatch *batch, WfInstance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum		  values[1] = {Int64GetDatum(instance->id)};
	size_t		  room = batch->memory_budget;

	batch->memory_budget = 0; /* all visits are needed, so there is no memory budget */
	if (!instance->is_new && !instance->has_all_visits)
		read_visits(batch, &q_all_visits, values);
	batch->memory_budget = room;
	MemoryContextSwitchTo(old);
}

int64
wf_batch_load_visits_of(WfBatch *batch, const int64 *instances, int n)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum		  values[1] = {wf_int64_array(instances, n)};
	uint64		  rows = wf_query_run(&q_visits_of, values, NULL);
	int64		  incomplete = 0;

	for (uint64 i = 0; i < rows && incomplete == 0; i++)
	{
		int64 instance = wf_result_int64(i, 1);

		read_visit(batch, i);
		if (wf_batch_instance(batch, instance) != NULL &&
			wf_batch_visit(batch, instance, wf_result_int64(i, 2)) == NULL)
			incomplete = instance;
	}
	SPI_freetuptable(SPI_tuptable);
	load_scopes(batch, NULL);
	MemoryContextSwitchTo(old);
	return incomplete;
}

int64
wf_batch_load_ahead(WfBatch *batch, const int64 *instances, int n)
{
	int64 incomplete = n > 1 ? wf_batch_load_visits_of(batch, instances, n) : 0;

	for (int i = 0; i < n && n > 1; i++)
	{
		WfInstance *instance = wf_batch_instance(batch, instances[i]);

		if (instance != NULL && (incomplete == 0 || instances[i] < incomplete))
			instance->has_all_visits = true;
	}
	return incomplete;
}

bool
wf_batch_load_inside(WfBatch *batch, const WfVisit *scope, const char **but_steps, int nsteps, bool incidents, int most)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum  values[5] = {Int64GetDatum(scope->instance->id), Int64GetDatum(scope->id), wf_text_array(but_steps, nsteps),
						BoolGetDatum(incidents), Int32GetDatum(most)};
	size_t room = batch->memory_budget;
	size_t loaded = batch->loaded;
	uint64 rows = 0;
	bool   deferred = false;

	if (!scope->is_new)
	{
		batch->memory_budget = WF_BATCH_MEMORY_BUDGET;
		batch->loaded = 0;
		rows = wf_query_run(&q_inside, values, NULL);
		for (uint64 i = 0; i < rows; i++)
		{
			read_visit(batch, i);
			deferred |= wf_batch_visit(batch, scope->instance->id, wf_result_int64(i, 2)) == NULL;
		}
		SPI_freetuptable(SPI_tuptable);
		load_scopes(batch, NULL);
		batch->memory_budget = room;
		batch->loaded = loaded;
	}
	MemoryContextSwitchTo(old);
	return deferred || rows == (uint64) most;
}

void
wf_batch_mark_late(WfBatch *batch, const WfInstance *instance, const WfVisit *scope, const char **steps, int nsteps,
				   int slot)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum		  values[4] = {Int64GetDatum(instance->id), Int64GetDatum(scope != NULL ? scope->id : 0),
							   wf_text_array(steps, nsteps), Int32GetDatum(slot)};

	if (!instance->is_new)
		(void) wf_query_run(scope != NULL ? &q_mark_late : &q_mark_late_at_top, values, NULL);
	MemoryContextSwitchTo(old);
}

/*
 * A transaction sees what commands before its own number have changed. With the number of the first
 * command the snapshot shows the visit as others see it, without the changes of this transaction.
 */
void
wf_batch_look(WfBatch *batch, int64 instance, int64 visit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Snapshot	  snapshot = RegisterSnapshot(GetLatestSnapshot());
	Datum		  of_instance[1] = {wf_int64_array(&instance, 1)};
	Datum		  of_visit[2] = {Int64GetDatum(instance), Int64GetDatum(visit)};

	snapshot->curcid = FirstCommandId;
	(void) read_instances(batch, wf_query_run_at(&q_look, of_instance, snapshot));
	read_visits_at(batch, &q_visit, of_visit, snapshot);
	load_scopes(batch, snapshot);
	UnregisterSnapshot(snapshot);
	batch->now = GetCurrentTimestamp();
	MemoryContextSwitchTo(old);
}
