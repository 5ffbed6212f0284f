/*
 * attach_follow.c
 *		What follows for instances from changes of attached rows: data are merged, or the instance is cancelled.
 *
 * That happens at once, in the transaction that changes the row, if the instance is free and nothing waits for it;
 * else it becomes a delivery, in line with all that waits. So nobody ever waits for the lock of an instance here:
 * who changes rows has them locked, and others who have the instance may want those.
 *
 * Whether a row was deleted is judged by its key: what is still there was not. Instances are found by their keys,
 * those of a chunk together.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "api/attach_internal.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/row_delivery.h"

/* Limits of one batch of the engine: so many rows, or so many bytes of changes. */
#define CHUNK_ROWS	2000
#define CHUNK_BYTES (4 * 1024 * 1024)

/* ---- chunks ---- */

void
wf_following_begin(WfFollowing *following)
{
	following->changes = NULL;
	following->n = following->allocated = 0;
	following->bytes = 0;
}

bool
wf_following_is_full(const WfFollowing *following)
{
	return following->n >= CHUNK_ROWS || following->bytes >= CHUNK_BYTES;
}

void
wf_following_add(WfFollowing *following, char *key, Jsonb *changes)
{
	if (following->n == following->allocated)
	{
		following->allocated = Max(8, following->allocated * 2);
		following->changes = following->changes == NULL
								 ? palloc(sizeof(WfRowChange) * following->allocated)
								 : repalloc(following->changes, sizeof(WfRowChange) * following->allocated);
	}
	following->changes[following->n++] = (WfRowChange){key, changes};
	following->bytes += changes != NULL ? VARSIZE(changes) : 0;
}

/* ---- whose rows they are ---- */

static bool
is_followed(const WfFollowing *following, const WfAttached *item)
{
	return following->deleted ? item->row.on_delete : item->row.on_update;
}

static void
require_owner_may(WfFollowing *following, const WfAttached *item)
{
	wf_attachment_require_start(item->row.process_id, item->row.process, following->owner, true);
}

static int
compare_changes(const void *a, const void *b)
{
	return strcmp(((const WfRowChange *) a)->key, ((const WfRowChange *) b)->key);
}

/*
 * The effects on the living instances of these rows: of the changes, which are sorted by key, those that have one.
 * Returns how many.
 */
static int
find_instances(WfFollowing *following, const WfAttached *item, WfRowEffect **effects)
{
	char	   **keys = palloc(sizeof(char *) * Max(following->n, 1));
	WfLivingKey *living;
	int			 n;

	for (int i = 0; i < following->n; i++)
		keys[i] = following->changes[i].key;
	n = wf_attachment_living(item->row.process_id, item->row.id, keys, following->n, &living);
	*effects = palloc(sizeof(WfRowEffect) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		WfRowChange	 wanted = {.key = living[i].business_key};
		WfRowChange *change = bsearch(&wanted, following->changes, following->n, sizeof(WfRowChange), compare_changes);

		(*effects)[i] = (WfRowEffect){living[i].instance, change->changes, living[i].business_key};
	}
	if (n > 0)
		require_owner_may(following, item);
	return n;
}

/*
 * Does it have to be looked at the table what the key says of the row? Statements reach the rows of children that a plain
 * table has, which are no rows of ours.
 */
static bool
is_judged_by_key(const WfFollowing *following)
{
	return following->deleted ||
		   (following->rel->rd_rel->relkind == RELKIND_RELATION && following->rel->rd_rel->relhassubclass);
}

/* Of the effects those that stay: of rows that are not there any more, if they were deleted, else of those that are. */
static int
judge_by_key(const WfFollowing *following, WfRowEffect *effects, int n)
{
	char **keys = palloc(sizeof(char *) * Max(n, 1));
	bool  *there = palloc(sizeof(bool) * Max(n, 1));
	int	   left = 0;

	for (int i = 0; i < n; i++)
		keys[i] = effects[i].key;
	wf_rows_find(following->table, following->owner, keys, n, there);
	for (int i = 0; i < n; i++)
		if (there[i] != following->deleted)
			effects[left++] = effects[i];
	return left;
}

/* ---- what follows ---- */

static int
compare_ids(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}

static void
apply(WfBatch *batch, WfInstance *instance, const WfRowEffect *effect)
{
	if (effect->changes != NULL)
		wf_engine_set_data(batch, instance, effect->changes);
	else
		wf_engine_cancel(batch, instance, WF_ROW_DELETED);
}

/*
 * Apply the effects in one batch. Those whose instances do not fit into it are put to the front of the array; returns how
 * many.
 */
static int
apply_batch(WfRowEffect *effects, int n)
{
	WfBatch		*batch = wf_batch_begin();
	int64		*ids = palloc(sizeof(int64) * n);
	int64		*have = palloc(sizeof(int64) * n);
	WfRowEffect *later = palloc(sizeof(WfRowEffect) * n);
	int			 nlater = 0;
	int			 nhave;
	int			 left = 0;
	int64		 incomplete = 0;

	for (int i = 0; i < n; i++)
		ids[i] = effects[i].instance;
	batch->memory_budget = WF_BATCH_MEMORY_BUDGET;
	wf_batch_lock(batch, ids, n, WF_LOCK_SKIP);
	nhave = wf_deliveries_have(ids, n, have);
	if (effects[0].changes == NULL) /* they are all cancelled, for which all their visits are needed */
		incomplete = wf_batch_load_ahead(batch, ids, n);
	for (int i = 0; i < n; i++)
	{
		WfInstance *instance = wf_batch_instance(batch, ids[i]);

		if ((instance == NULL && wf_batch_is_deferred(batch, ids[i], 0)) ||
			(incomplete != 0 && ids[i] > incomplete && instance != NULL))
			effects[left++] = effects[i];
		else if (instance == NULL || bsearch(&ids[i], have, nhave, sizeof(int64), compare_ids) != NULL)
			later[nlater++] = effects[i];
		else
			apply(batch, instance, &effects[i]);
	}
	wf_batch_flush(batch);
	wf_row_deliveries_add(later, nlater);
	wf_batch_end(batch);
	return left;
}

static void
describe(void *arg)
{
	const WfFollowing *following = arg;

	errcontext("changes of rows of table \"%s\"", RelationGetRelationName(following->rel));
}

static void
apply_all(WfFollowing *following, WfRowEffect *effects, int n)
{
	ErrorContextCallback context = {.callback = describe, .arg = following, .previous = error_context_stack};

	error_context_stack = &context;
	while (n > 0)
		n = apply_batch(effects, n);
	error_context_stack = context.previous;
}

static void
follow_item(WfFollowing *following, const WfAttached *item)
{
	MemoryContext caller = CurrentMemoryContext;
	WfAccess	  access;
	WfRowEffect	 *effects;
	int			  n;

	wf_store_enter(&access);
	MemoryContextSwitchTo(caller);
	n = find_instances(following, item, &effects);
	if (n > 0 && is_judged_by_key(following))
	{
		wf_store_leave(&access);
		MemoryContextSwitchTo(caller);
		n = judge_by_key(following, effects, n);
		wf_store_enter(&access);
		MemoryContextSwitchTo(caller);
	}
	apply_all(following, effects, n);
	wf_store_leave(&access);
	MemoryContextSwitchTo(caller);
}

void
wf_following_end(WfFollowing *following)
{
	if (following->n == 0)
		return;
	qsort(following->changes, following->n, sizeof(WfRowChange), compare_changes);
	for (int i = 0; i < following->table->n; i++)
		if (is_followed(following, &following->table->items[i]))
			follow_item(following, &following->table->items[i]);
}

/* ---- TRUNCATE ---- */

/*
 * Apply the end of their rows to the next living instances of the attachment, in the order of their keys. *last is the last
 * one before these, and then that of these. Returns how many there were.
 */
static int
truncate_next(WfFollowing *following, const WfAttached *item, bool is_empty, WfLivingKey *last)
{
	MemoryContext caller = CurrentMemoryContext;
	WfAccess	  access;
	WfLivingKey	 *living;
	WfRowEffect	 *effects;
	int			  n;
	int			  left;

	wf_store_enter(&access);
	MemoryContextSwitchTo(caller);
	n = left = wf_attachment_living_after(item->row.process_id, item->row.id, last, CHUNK_ROWS, &living);
	effects = palloc(sizeof(WfRowEffect) * Max(n, 1));
	for (int i = 0; i < n; i++)
		effects[i] = (WfRowEffect){.instance = living[i].instance, .key = living[i].business_key};
	if (n > 0)
	{
		*last = living[n - 1];
		require_owner_may(following, item);
	}
	if (!is_empty)
	{
		wf_store_leave(&access);
		MemoryContextSwitchTo(caller);
		left = judge_by_key(following, effects, n);
		wf_store_enter(&access);
		MemoryContextSwitchTo(caller);
	}
	apply_all(following, effects, left);
	wf_store_leave(&access);
	MemoryContextSwitchTo(caller);
	return n;
}

static void
truncate_item(WfFollowing *following, const WfAttached *item)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "workflow rows", ALLOCSET_DEFAULT_SIZES);
	bool		  is_empty = !wf_rows_any(following->table, following->owner);
	WfLivingKey	  last = {.business_key = ""};
	int			  n;

	do
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		n = truncate_next(following, item, is_empty, &last);
		MemoryContextSwitchTo(caller);
		last.business_key = pstrdup(last.business_key);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	} while (n > 0);
	MemoryContextDelete(context);
}

void
wf_following_truncated(WfFollowing *following)
{
	for (int i = 0; i < following->table->n; i++)
		if (is_followed(following, &following->table->items[i]))
			truncate_item(following, &following->table->items[i]);
}
