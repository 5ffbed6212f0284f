/*
 * batch.c
 *		Batches: their life, locking and loading.
 *
 * All structs live in the batch's context, so that a batch outlives what it has read.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/batch.h"
#include "store/columns.h"
#include "store/identity.h"
#include "store/item.h"
#include "store/played.h"
#include "store/query.h"
#include "store/row_place.h"

static WfQuery q_living = {
	.sql = "SELECT i.instance, i.process_id FROM workflow_data.instance i WHERE i.instance = ANY ($1) "
		   "ORDER BY i.instance",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};
static WfQuery q_inside = {
	.sql = "SELECT v.visit FROM workflow_data.visit v WHERE v.instance = $1 AND v.scope = $2 AND "
		   "v.state <> 'cancelling' AND (v.accepted IS NULL OR v.waits_for = 'call' OR "
		   "v.accepted > 0 AND (starts_with(v.queue, 'http ') OR "
		   "v.state = 'retrying' AND v.due_at > clock_timestamp())) AND "
		   "(v.step <> ALL ($3) OR $4 AND v.state = 'incident') ORDER BY v.visit LIMIT $5",
	.nargs = 5,
	.argtypes = {INT8OID, INT8OID, TEXTARRAYOID, BOOLOID, INT4OID},
};
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
	batch->now = wf_now();
	batch->by_key = by_key_create(context, 16, NULL);
	wf_columns_prepare();
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
	wf_play_started(instance->id);
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
fits(WfBatch *batch, const WfTable *table, WfRelation *rel)
{
	bool   has_external;
	size_t bytes = wf_relation_row_size(rel, &has_external);

	if (batch->memory_budget == 0)
		return true;
	/* what is not stored outside of the row is small, even if it is compressed */
	if (has_external)
		bytes += wf_table_external(table, rel);
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

/* Add the instance that was found, if it is not there yet. */
static void
read_instance(WfBatch *batch, WfRelation *rel, int64 id)
{
	WfInstance *instance;

	if (wf_batch_instance(batch, id) != NULL)
		return;
	if (!fits(batch, &wf_instance_table, rel))
	{
		remember(batch, id, 0, NULL);
		return;
	}
	instance = palloc0(sizeof(WfInstance));
	wf_table_read(&wf_instance_table, instance, rel);
	instance->place = wf_relation_place(rel);
	wf_row_place_note(id, 0, instance->place);
	instance->data_before = instance->data;
	keep_tokens(&instance->tokens);
	add_instance(batch, instance);
}

static int
compare_ids(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return left < right ? -1 : left > right;
}

/* Ascending, so that nobody who locks several waits for somebody who waits for him. */
static int64 *
ascending(const int64 *ids, int n)
{
	int64 *sorted = palloc(sizeof(int64) * Max(n, 1));

	memcpy(sorted, ids, sizeof(int64) * n);
	if (n > 1)
		qsort(sorted, n, sizeof(int64), compare_ids);
	return sorted;
}

/* Find instances, and lock them. Returns how many there are. */
static int
find_instances(WfBatch *batch, const int64 *ids, int n, WfLock lock, Snapshot snapshot)
{
	int64	   *sorted = ascending(ids, n);
	WfRelation *rel = wf_relation_open(wf_store_relation("instance"), &wf_instance_table.stored,
									   lock == WF_LOCK_NONE ? WF_RELATION_READ : WF_RELATION_LOCK, snapshot);
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		WfRowPlace row = {.keys = {sorted[i]}, .nkeys = 1, .place = wf_row_place(sorted[i], 0)};

		if ((i > 0 && sorted[i] == sorted[i - 1]) || !wf_relation_find_at(rel, &row))
			continue;
		if (lock != WF_LOCK_NONE && !wf_relation_lock(rel, lock == WF_LOCK_SKIP ? LockWaitSkip : LockWaitBlock))
			continue;
		read_instance(batch, rel, sorted[i]);
		found++;
	}
	wf_relation_close(rel);
	return found;
}

/* Add instances. Returns how many were added. */
static int
read_instances(WfBatch *batch, const int64 *ids, int n, WfLock lock, Snapshot snapshot)
{
	int before = list_length(batch->instances);

	if (find_instances(batch, ids, n, lock, snapshot) > 0 && lock != WF_LOCK_NONE)
		wf_wakeup_locked();
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
	int			  added = read_instances(batch, ids, n, lock, NULL);

	batch->now = wf_now(); /* anew: time may have passed while we waited for the lock */
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

/* Add the visit that was found, if its instance is there and it is not. */
static void
read_visit(WfBatch *batch, WfRelation *rel)
{
	WfInstance *instance = wf_batch_instance(batch, wf_relation_key(rel, 0));
	int64		id = wf_relation_key(rel, 1);
	WfVisit	   *visit;

	if (instance == NULL || wf_batch_visit(batch, instance->id, id) != NULL)
		return;
	if (!fits(batch, &wf_visit_table, rel))
	{
		remember(batch, instance->id, id, NULL);
		return;
	}
	visit = palloc0(sizeof(WfVisit));
	visit->instance = instance;
	visit->accepted = WF_ACCEPTED_NOTHING;
	visit->item = WF_NO_ITEM;
	wf_table_read(&wf_visit_table, visit, rel);
	visit->place = wf_relation_place(rel);
	wf_row_place_note(instance->id, id, visit->place);
	visit->docs.has_reply = visit->docs.reply != NULL;
	keep_tokens(&visit->tokens);
	add_visit(batch, instance, visit);
	if (visit->scope_id != 0)
		batch->inside = lappend(batch->inside, visit);
}

static WfRelation *
open_visits(Snapshot snapshot)
{
	return wf_relation_open(wf_store_relation("visit"), &wf_visit_table.stored, WF_RELATION_READ, snapshot);
}

bool
wf_batch_has_visits(int64 instance)
{
	WfRelation *rel;
	bool		found;

	wf_columns_prepare();
	rel = open_visits(NULL);
	found = wf_relation_find(rel, &instance, 1);
	wf_relation_close(rel);
	return found;
}

/* Read visits by their keys, as of a snapshot; NULL: the latest one. */
static void
read_visits_at(WfBatch *batch, const WfKey *keys, int n, Snapshot snapshot)
{
	WfRelation *rel = open_visits(snapshot);

	for (int i = 0; i < n; i++)
	{
		WfRowPlace row = {.keys = {keys[i].instance, keys[i].visit},
						  .nkeys = 2,
						  .place = wf_row_place(keys[i].instance, keys[i].visit)};

		if (wf_relation_find_at(rel, &row))
			read_visit(batch, rel);
	}
	wf_relation_close(rel);
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
	WfKey	 *keys = palloc(sizeof(WfKey) * list_length(visits));
	int		  n = 0;
	ListCell *lc;

	foreach (lc, visits)
	{
		WfVisit *visit = lfirst(lc);

		/* those of one scope often stand together */
		if (n > 0 && keys[n - 1].visit == visit->scope_id)
			continue;
		keys[n++] = (WfKey){visit->instance->id, visit->scope_id};
	}
	read_visits_at(batch, keys, n, snapshot);
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

void
wf_batch_load_visits(WfBatch *batch, const int64 *instances, const int64 *visits, int n)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfKey		 *keys = palloc(sizeof(WfKey) * Max(n, 1));

	for (int i = 0; i < n; i++)
		keys[i] = (WfKey){instances[i], visits[i]};
	if (n > 0)
	{
		read_visits_at(batch, keys, n, NULL);
		load_scopes(batch, NULL);
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

/*
 * Read the visits of instances, in the order of their numbers. Returns the first instance of which not all had room; 0:
 * there is none.
 */
static int64
read_visits_of(WfBatch *batch, const int64 *instances, int n)
{
	WfRelation *rel = open_visits(NULL);
	int64		incomplete = 0;

	for (int i = 0; i < n && incomplete == 0; i++)
	{
		bool found = wf_relation_find(rel, &instances[i], 1);

		for (; found && incomplete == 0; found = wf_relation_next(rel))
		{
			read_visit(batch, rel);
			if (wf_batch_instance(batch, instances[i]) != NULL &&
				wf_batch_visit(batch, instances[i], wf_relation_key(rel, 1)) == NULL)
				incomplete = instances[i];
		}
	}
	wf_relation_close(rel);
	load_scopes(batch, NULL);
	return incomplete;
}

void
wf_batch_load_all_visits(WfBatch *batch, WfInstance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	size_t		  room = batch->memory_budget;

	batch->memory_budget = 0; /* all visits are needed, so there is no memory budget */
	if (!instance->is_new && !instance->has_all_visits)
		(void) read_visits_of(batch, &instance->id, 1);
	batch->memory_budget = room;
	MemoryContextSwitchTo(old);
}

int64
wf_batch_load_visits_of(WfBatch *batch, const int64 *instances, int n)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	int64		  incomplete = read_visits_of(batch, ascending(instances, n), n);

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
		WfKey *keys;

		batch->memory_budget = WF_BATCH_MEMORY_BUDGET;
		batch->loaded = 0;
		rows = wf_query_run(&q_inside, values, NULL);
		keys = palloc(sizeof(WfKey) * Max(rows, 1));
		for (uint64 i = 0; i < rows; i++)
			keys[i] = (WfKey){scope->instance->id, wf_result_int64(i, 1)};
		SPI_freetuptable(SPI_tuptable);
		read_visits_at(batch, keys, (int) rows, NULL);
		load_scopes(batch, NULL);
		for (uint64 i = 0; i < rows; i++)
			deferred |= wf_batch_visit(batch, keys[i].instance, keys[i].visit) == NULL;
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
wf_batch_look(WfBatch *batch, int64 instance, int64 visit, CommandId before)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Snapshot	  snapshot = RegisterSnapshot(GetLatestSnapshot());
	WfKey		  key = {instance, visit};

	snapshot->curcid = before;
	(void) read_instances(batch, &instance, 1, WF_LOCK_NONE, snapshot);
	read_visits_at(batch, &key, 1, snapshot);
	load_scopes(batch, snapshot);
	UnregisterSnapshot(snapshot);
	batch->now = wf_now();
	MemoryContextSwitchTo(old);
}
