/*
 * process_cache.c
 *		Compiled versions of processes, kept for later transactions, up to
 *		workflow.definition_cache.
 *
 * A stored version never changes, so a kept one is never out of date. The most recently used are
 * kept. A version, and all it points to, may be used until the end of the transaction: versions are
 * thrown away only then, since no batch, not even a nested one, lives longer. So one transaction
 * may hold more than the limit.
 *
 * Versions that the open transaction itself has defined are thrown away with it. A subtransaction
 * that rolls back leaves a number that the next define uses again for another definition: from then
 * on what it has defined is not found any more, though outer levels may still use it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "shmem/settings.h"
#include "store/process_cache.h"

typedef struct Key
{
	Oid relid;
	int process_id;
	int version;
} Key;

typedef struct Entry
{
	Key			  key;
	WfProcess	 *process;
	MemoryContext context;
	dlist_node	  node; /* node of `kept` or `passing` */
} Entry;

static HTAB		 *entries = NULL;
static dlist_head kept = DLIST_STATIC_INIT(kept); /* the most recently used comes first */
/* their memory belongs to the transaction */
static dlist_head passing = DLIST_STATIC_INIT(passing);
static WfProcess *unfound = NULL; /* those that are not found any more, though outer levels may still use them */
static size_t	  kept_bytes = 0;

/* ---- throwing away ---- */

static void
free_plans(WfProcess *process)
{
	if (process->plans == NULL)
		return;
	for (int i = 0; i < process->def->nsteps; i++)
	{
		if (process->plans[i].plan != NULL)
			SPI_freeplan(process->plans[i].plan);
		process->plans[i].plan = NULL;
	}
}

static void
forget_entry(Entry *entry)
{
	Key key = entry->key;

	dlist_delete(&entry->node);
	(void) hash_search(entries, &key, HASH_REMOVE, NULL);
}

static void
throw_away(Entry *entry)
{
	WfProcess	 *process = entry->process;
	MemoryContext context = entry->context;

	kept_bytes -= process->bytes;
	forget_entry(entry);
	free_plans(process);
	MemoryContextDelete(context);
}

/*
 * Those that what is rolled back has defined, or all. Their plans are kept until the end of the transaction, as they are:
 * an outer level may still run one.
 */
static void
forget_passing(bool all)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &passing)
	{
		Entry *entry = dlist_container(Entry, node, iter.cur);

		if (!all && TransactionIdIsCurrentTransactionId(entry->process->passing))
			continue;
		entry->process->next_unfound = unfound;
		unfound = entry->process;
		forget_entry(entry);
	}
}

static void
free_unfound(void)
{
	for (; unfound != NULL; unfound = unfound->next_unfound)
		free_plans(unfound);
}

static void
shrink(void)
{
	size_t limit = (size_t) wf_setting_definition_cache * 1024;

	while (kept_bytes > limit && !dlist_is_empty(&kept))
		throw_away(dlist_container(Entry, node, dlist_tail_node(&kept)));
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			forget_passing(true);
			free_unfound();
			shrink();
			break;
		default:
			break;
	}
}

static void
at_end_of_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget_passing(false);
}

/* ---- keeping ---- */

static void
begin_cache(void)
{
	HASHCTL ctl = {.keysize = sizeof(Key), .entrysize = sizeof(Entry)};

	entries = hash_create("workflow processes", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	RegisterXactCallback(at_end_of_transaction, NULL);
	RegisterSubXactCallback(at_end_of_subtransaction, NULL);
}

WfProcess *
wf_process_cache_find(Oid relid, int process_id, int version)
{
	Key	   key = {relid, process_id, version};
	Entry *entry;

	if (unlikely(entries == NULL))
		begin_cache();
	entry = hash_search(entries, &key, HASH_FIND, NULL);
	if (unlikely(entry == NULL))
		return NULL;
	if (!TransactionIdIsValid(entry->process->passing))
		dlist_move_head(&kept, &entry->node);
	return entry->process;
}

void
wf_process_cache_keep(Oid relid, WfProcess *process, MemoryContext context, TransactionId defined_by)
{
	bool   is_passing = TransactionIdIsValid(defined_by);
	Key	   key = {relid, process->process_id, process->version};
	Entry *entry = hash_search(entries, &key, HASH_ENTER, NULL);

	entry->process = process;
	entry->context = context;
	process->passing = defined_by;
	process->bytes = MemoryContextMemAllocated(context, true);
	MemoryContextSetParent(context, is_passing ? TopTransactionContext : TopMemoryContext);
	dlist_push_head(is_passing ? &passing : &kept, &entry->node);
	if (!is_passing)
		kept_bytes += process->bytes;
}

/* ---- plans of users' SQL ---- */

static size_t
bytes_of(SPIPlanPtr plan)
{
	size_t	  bytes = 0;
	ListCell *lc;

	foreach (lc, SPI_plan_get_plan_sources(plan))
	{
		CachedPlanSource *source = lfirst(lc);

		bytes += MemoryContextMemAllocated(source->context, true);
		if (source->gplan != NULL)
			bytes += MemoryContextMemAllocated(source->gplan->context, true);
	}
	return bytes;
}

SPIPlanPtr *
wf_process_plan(WfProcess *process, const WfStep *step)
{
	if (process->plans == NULL)
		process->plans =
			MemoryContextAllocZero(GetMemoryChunkContext(process), sizeof(WfStepPlan) * process->def->nsteps);
	return &process->plans[step->index].plan;
}

void
wf_process_plan_used(WfProcess *process, const WfStep *step)
{
	WfStepPlan *kept_plan = &process->plans[step->index];
	size_t		bytes = bytes_of(kept_plan->plan);

	process->bytes += bytes - kept_plan->bytes;
	if (!TransactionIdIsValid(process->passing))
		kept_bytes += bytes - kept_plan->bytes;
	kept_plan->bytes = bytes;
}
