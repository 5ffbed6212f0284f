/*
 * attach_replicated.c
 *		Attached tables whose rows logical replication brings; workflow.retry_rows(relation).
 *
 * The rows are those of another server, whose database loads no library. Its changes are applied as a replica, row by row, so the
 * triggers of such a table are FOR EACH ROW and ENABLE ALWAYS. The transaction that applies them has the instance and the progress of
 * the replication in it: both are there, or none.
 *
 * What a trigger throws would stop the replication of everything, until somebody mends the cause, while the other server keeps its
 * WAL. So what follows from a row is done in a subtransaction, and the row is refused if that fails (store/refused.c). What could work
 * the next time, or concerns all rows, is thrown: then replication begins again with the same row.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/indexing.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "api/attach_internal.h"
#include "shmem/shmem.h"
#include "store/access.h"
#include "store/refused.h"
#include "store/subtransaction.h"
#include "store/version.h"

WF_FUNCTION(workflow_retry_rows);

/* Rows that are refused are logged so often at most. */
#define REPORT_EVERY_MS 1000

/* ---- attaching ---- */

bool
wf_attached_is_replicated(const WfAttachedTable *table)
{
	return table->n > 0 && table->items[0].row.replicated;
}

static void
refuse_argument(const char *message, const char *detail, const char *hint)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message), errdetail("%s", detail),
			errhint("%s", hint));
}

/* Rows are known again by their keys. */
static void
check_key_of(Relation rel, Relation shown)
{
	AttrNumber attnos[INDEX_MAX_KEYS];
	int		   n = wf_row_key_attnos(rel, attnos);

	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attnos[i] - 1);
		AttrNumber		  there = get_attnum(RelationGetRelid(shown), NameStr(att->attname));

		if (there <= 0)
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("column \"%s\" of table \"%s\" does not exist", NameStr(att->attname),
						   RelationGetRelationName(shown)),
					errdetail("It is of the primary key of table \"%s\".", RelationGetRelationName(rel)));
		if (TupleDescAttr(RelationGetDescr(shown), there - 1)->atttypid != att->atttypid)
			refuse_argument(psprintf("column \"%s\" of table \"%s\" is of another type", NameStr(att->attname),
									 RelationGetRelationName(shown)),
							psprintf("It is of the primary key of table \"%s\".", RelationGetRelationName(rel)),
							"Columns of the key need the same types in both tables.");
	}
}

/* Rows of two tables may have the same keys: each would write to those of the other. */
static void
check_shown_once(Relation rel, Relation shown)
{
	Oid other = wf_attachment_shown_there(RelationGetRelid(shown), RelationGetRelid(rel));

	if (OidIsValid(other))
		ereport(ERROR, errcode(ERRCODE_DUPLICATE_OBJECT),
				errmsg("table \"%s\" shows the instances of another table", RelationGetRelationName(shown)),
				errdetail("It is %s.", quote_qualified_identifier(get_namespace_name(get_rel_namespace(other)),
																  get_rel_name(other))),
				errhint("Each attached table needs its own show_in."));
}

static void
check_show_in(Relation rel, const WfAttachment *wanted)
{
	Relation shown = try_relation_open(wanted->show_in, AccessShareLock);

	if (shown == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation with OID %u does not exist", wanted->show_in));
	if (shown->rd_rel->relkind != RELKIND_FOREIGN_TABLE && shown->rd_rel->relkind != RELKIND_RELATION &&
		shown->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" cannot show instances", RelationGetRelationName(shown)),
				errdetail("It is no table, and no foreign table."));
	if (shown->rd_rel->relowner != rel->rd_rel->relowner)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("table \"%s\" belongs to another role than table \"%s\"", RelationGetRelationName(shown),
					   RelationGetRelationName(rel)),
				errhint("It is written to with the rights of the owner of table \"%s\": let both belong to him.",
						RelationGetRelationName(rel)));
	check_shown_once(rel, shown);
	check_key_of(rel, shown);
	relation_close(shown, NoLock);
}

void
wf_replicated_check(Relation rel, const WfAttachment *wanted, const WfAttachment *others, int n)
{
	for (int i = 0; i < n; i++)
		if (others[i].replicated != wanted->replicated)
			refuse_argument(psprintf("table \"%s\" is attached to process \"%s\" %s replicated => true",
									 RelationGetRelationName(rel), others[i].process,
									 others[i].replicated ? "with" : "without"),
							"Logical replication brings all of its rows, or none.", "Attach it the same way.");
	if (!wanted->replicated && OidIsValid(wanted->show_in))
		refuse_argument("show_in is given without replicated => true",
						"Rows that are inserted here show their instances themselves.", "Leave it out.");
	if (wanted->replicated && wf_attachment_shows(wanted) && !OidIsValid(wanted->show_in))
		refuse_argument(
			"columns of a replicated table cannot be written here",
			"The next change that is replicated would undo that.",
			"Give show_in, a foreign table for the one that the rows come from, or leave out the columns that show something.");
	if (OidIsValid(wanted->show_in))
		check_show_in(rel, wanted);
}

static bool
is_ours(Oid function)
{
	return get_func_namespace(function) == wf_store_schema();
}

void
wf_replicated_enable(Oid relid)
{
	Relation	triggers = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(triggers, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (!is_ours(form->tgfoid) || form->tgenabled == TRIGGER_FIRES_ALWAYS)
			continue;
		tuple = heap_copytuple(tuple);
		((Form_pg_trigger) GETSTRUCT(tuple))->tgenabled = TRIGGER_FIRES_ALWAYS;
		CatalogTupleUpdate(triggers, &tuple->t_self, tuple);
	}
	systable_endscan(scan);
	table_close(triggers, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relid);
}

/* ---- rows that are refused ---- */

/* Could it work when the row comes again, or does it concern all rows? */
static bool
stops_replication(int sqlerrcode)
{
	return wf_error_is_of_server(sqlerrcode) || sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		   ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK || sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		   sqlerrcode == ERRCODE_INDEX_CORRUPTED;
}

static void
report_refused_row(const WfAttachedTable *table, const char *key, const ErrorData *error)
{
	static TimestampTz until = 0;
	TimestampTz		   now = GetCurrentTimestamp();
	char			  *name = get_rel_name(table->root);

	if (now < until)
		return;
	until = TimestampTzPlusMilliseconds(now, REPORT_EVERY_MS);
	ereport(WARNING, errcode(error->sqlerrcode),
			key != NULL ? errmsg("the row with key %s of table \"%s\" was refused: %s", key, name, error->message)
						: errmsg("TRUNCATE of table \"%s\" was refused: %s", name, error->message),
			error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
			errhint("See the view workflow.refused_rows; when the cause is mended, call workflow.retry_rows."));
}

static WfRefused
refused_of(const WfAttached *item, const char *operation, const char *key, const ErrorData *error)
{
	return (WfRefused){.attachment = item->row.id,
					   .process_id = item->row.process_id,
					   .key = key,
					   .operation = operation,
					   .sqlerrcode = error->sqlerrcode,
					   .error = error->message};
}

static void
keep_refused(const WfAttachedTable *table, const char *operation, const char *key, const ErrorData *error)
{
	MemoryContext caller = CurrentMemoryContext;
	WfAccess	  access;

	wf_store_enter(&access);
	for (int i = 0; i < table->n; i++)
	{
		WfRefused refused = refused_of(&table->items[i], operation, key, error);

		wf_refused_add(&refused);
	}
	wf_store_leave(&access);
	MemoryContextSwitchTo(caller);
}

void
wf_replicated_run(WfAttachedTable *table, const char *operation, const char *key, bool (*work)(void *arg), void *arg)
{
	ErrorData *error;

	wf_shmem_require(); /* without the library nothing works, for any row */
	error = wf_subtransaction_run(work, arg);
	if (error == NULL)
		return;
	if (stops_replication(error->sqlerrcode))
		ReThrowError(error);
	keep_refused(table, operation, key, error);
	report_refused_row(table, key, error);
	FreeErrorData(error);
}

/* ---- once more ---- */

typedef struct Again
{
	Relation		 rel; /* the attached table */
	WfAttachedTable *table;
	const char		*key; /* NULL: all rows */
} Again;

static HeapTuple
read_row(Relation leaf, ItemPointer tid)
{
	TupleTableSlot *slot = table_slot_create(leaf, NULL);
	HeapTuple		tuple = NULL;

	if (table_tuple_fetch_row_version(leaf, tid, GetActiveSnapshot(), slot))
		tuple = ExecCopySlotHeapTuple(slot);
	ExecDropSingleTupleTableSlot(slot);
	return tuple;
}

/* Merge the row as it is now, as if all of it had changed. */
static void
merge_row(WfAttachedTable *table, Relation leaf, HeapTuple tuple)
{
	WfFollowing following = {.table = table, .rel = leaf, .owner = wf_row_owner(table->root)};
	TupleDesc	desc = RelationGetDescr(leaf);
	bool	   *wanted = palloc(sizeof(bool) * desc->natts);
	WfAsOwner	owner;

	for (int i = 0; i < desc->natts; i++)
		wanted[i] = !TupleDescAttr(desc, i)->attisdropped && !table->kept[i];
	wf_following_begin(&following);
	wf_as_owner_begin(&owner, following.owner, table->items[0].row.search_path);
	wf_following_add(&following, wf_row_key_text(&table->key, tuple, desc),
					 wf_attached_pick(wf_attached_row(table, leaf, tuple), desc, wanted));
	wf_as_owner_end(&owner);
	wf_following_end(&following);
}

/* The row starts its instances, unless it has had any. Returns how many. */
static int64
start_row(WfAttachedTable *table, Relation leaf, HeapTuple tuple)
{
	int64 started = 0;

	for (int i = 0; i < table->n; i++)
	{
		WfChunk	  chunk = {.table = table,
						   .rel = leaf,
						   .owner = wf_row_owner(table->root),
						   .existing = table->items[i].row.id,
						   .remembered = true};
		WfAsOwner owner;

		wf_chunk_begin(&chunk);
		wf_as_owner_begin(&owner, chunk.owner, table->items[0].row.search_path);
		wf_chunk_add(&chunk, tuple);
		wf_as_owner_end(&owner);
		wf_chunk_start(&chunk);
		started += chunk.started;
	}
	return started;
}

static void
bring_row(WfAttachedTable *table, Oid relid, ItemPointer tid)
{
	Relation		 leaf = relation_open(relid, RowExclusiveLock);
	WfAttachedTable *there = wf_attached_table(leaf, false);
	HeapTuple		 tuple = read_row(leaf, tid);

	if (tuple != NULL)
	{
		tuple = wf_attached_fill(there, leaf, tuple, false);
		if (start_row(there, leaf, tuple) == 0)
			merge_row(there, leaf, tuple);
	}
	relation_close(leaf, NoLock);
}

static bool
bring(void *arg)
{
	Again		   *again = arg;
	Oid				owner = wf_row_owner(again->table->root);
	WfFollowing		following = {.table = again->table, .rel = again->rel, .owner = owner, .deleted = true};
	Oid				relid;
	ItemPointerData tid;

	PushActiveSnapshot(GetLatestSnapshot());
	if (again->key == NULL)
		wf_following_truncated(&following);
	else if (wf_row_fetch(again->table, owner, again->key, &relid, &tid))
		bring_row(again->table, relid, &tid);
	else
	{
		wf_following_begin(&following);
		wf_following_add(&following, pstrdup(again->key), NULL);
		wf_following_end(&following);
	}
	PopActiveSnapshot();
	return true;
}

/* The row is not refused any more, or for that reason. */
static void
keep_outcome(const WfAttachedTable *table, const char *key, const ErrorData *error)
{
	MemoryContext caller = CurrentMemoryContext;
	WfAccess	  access;

	wf_store_enter(&access);
	for (int i = 0; i < table->n; i++)
		if (error == NULL)
			wf_refused_delete(table->items[i].row.id, key);
		else
		{
			WfRefused refused = refused_of(&table->items[i], "", key, error);

			wf_refused_again(&refused);
		}
	wf_store_leave(&access);
	MemoryContextSwitchTo(caller);
}

static int
keys_of(const WfAttachedTable *table, char ***keys)
{
	MemoryContext caller = CurrentMemoryContext;
	WfAccess	  access;
	int			  n;

	wf_store_enter(&access);
	MemoryContextSwitchTo(caller);
	/* a row is refused for all attachments of its table */
	n = wf_refused_keys(table->items[0].row.id, keys);
	wf_store_leave(&access);
	MemoryContextSwitchTo(caller);
	return n;
}

static int64
retry_all(Relation rel, WfAttachedTable *table)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "workflow refused rows", ALLOCSET_DEFAULT_SIZES);
	int64  brought = 0;
	char **keys;
	int	   n = keys_of(table, &keys);

	for (int i = 0; i < n; i++)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);
		Again		  again = {rel, table, keys[i]};
		ErrorData	 *error = wf_subtransaction_run(bring, &again);

		if (error != NULL && stops_replication(error->sqlerrcode))
			ReThrowError(error);
		keep_outcome(table, keys[i], error);
		brought += error == NULL;
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextDelete(context);
	return brought;
}

/*
 * workflow.retry_rows(relation regclass) → bigint, how many rows are not refused any more
 *
 * The table is locked against changes, so that what is replicated meanwhile comes before or after.
 */
Datum
workflow_retry_rows(PG_FUNCTION_ARGS)
{
	Oid				 relid = PG_GETARG_OID(0);
	Relation		 rel;
	WfAttachedTable *table;
	int64			 brought;

	PreventCommandIfReadOnly("workflow.retry_rows()");
	wf_shmem_require();
	if (!OidIsValid(wf_row_owner(relid)))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relid));
	if (!wf_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
	rel = relation_open(relid, ShareRowExclusiveLock);
	table = wf_attached_table_of_changes(rel);
	if (table->n == 0 || table->root != relid)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("table \"%s\" is not attached to a process", RelationGetRelationName(rel)));
	brought = retry_all(rel, table);
	relation_close(rel, NoLock);
	PG_RETURN_INT64(brought);
}
