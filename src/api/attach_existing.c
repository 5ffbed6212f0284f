/*
 * attach_existing.c
 *		workflow.attach(…, existing => true): rows that are there already start instances.
 *
 * The table and its partitions are locked against changes, so one scan of each sees all rows,
 * whatever snapshot the transaction has. The scan is no query, so neither row-level security nor
 * privileges apply: whoever attaches a table owns it. Rows are handled in chunks, like those of an
 * INSERT.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/relation.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "api/attach_internal.h"

/*
 * Fill the chunk from the scan. Returns false if these were the last rows. Virtual columns are
 * computed as the caller, outside wf_as_owner_begin.
 */
static bool
read_existing_rows(WfChunk *chunk, SysScanDesc scan)
{
	const char *search_path = chunk->table->items[0].row.search_path;
	HeapTuple	tuple = NULL;
	WfAsOwner	owner;

	while (!wf_chunk_is_full(chunk) && (tuple = systable_getnext(scan)) != NULL)
	{
		tuple = wf_attached_fill(chunk->table, chunk->rel, tuple, false);
		wf_as_owner_begin(&owner, chunk->owner, search_path);
		wf_chunk_add(chunk, tuple);
		wf_as_owner_end(&owner);
	}
	return tuple != NULL;
}

static void
start_in(WfChunk *chunk, Snapshot snapshot)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "workflow rows", ALLOCSET_DEFAULT_SIZES);
	SysScanDesc	  scan = systable_beginscan(chunk->rel, InvalidOid, false, snapshot, 0, NULL);
	MemoryContext old;
	bool		  more = true;

	chunk->table = wf_attached_table(chunk->rel, false);
	chunk->owner = wf_row_owner(chunk->table->root);
	while (more)
	{
		wf_chunk_begin(chunk);
		old = MemoryContextSwitchTo(context);
		more = read_existing_rows(chunk, scan);
		wf_chunk_start(chunk);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	systable_endscan(scan);
	MemoryContextDelete(context);
}

static void
refuse_foreign(Relation rel)
{
	ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("cannot start instances for rows of the foreign table \"%s\"", RelationGetRelationName(rel)),
			errdetail(
				"It is a partition of the table that is to be attached, and cannot be locked where its rows are."),
			errhint("Attach the table without existing => true."));
}

/*
 * Start instances for the rows of the table and its partitions. Children of a plain table are
 * skipped: their rows fire no trigger of the parent.
 */
int64
wf_attach_existing(Relation rel, List *partitions, int attachment, bool remembered)
{
	bool	  plain = rel->rd_rel->relkind == RELKIND_RELATION;
	Snapshot  snapshot = RegisterSnapshot(GetLatestSnapshot());
	WfChunk	  chunk = {.existing = attachment, .remembered = remembered};
	ListCell *lc;

	foreach (lc, partitions)
	{
		if (plain && lfirst_oid(lc) != RelationGetRelid(rel))
			continue;
		chunk.rel = relation_open(lfirst_oid(lc), NoLock);
		if (chunk.rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
			refuse_foreign(chunk.rel);
		if (chunk.rel->rd_rel->relkind == RELKIND_RELATION)
			start_in(&chunk, snapshot);
		relation_close(chunk.rel, NoLock);
	}
	UnregisterSnapshot(snapshot);
	return chunk.started;
}
