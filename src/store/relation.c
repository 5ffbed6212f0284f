/*
 * relation.c
 *		Opening and closing tables for their access methods.
 *
 * What is worked out of a table's definition (where our columns are, which indexes there are and how their entries are
 * made) is kept by the process until the relation cache says that the definition has changed. Triggers, check
 * constraints, defaults and generated columns run code of others that may change without that: with these, all is made
 * anew at each use.
 *
 * Locks are those of statements: RowExclusive on the table, RowShare for locking rows, AccessShare for reading, until
 * the end of the transaction; RowExclusive on its indexes while it is open. An index that others make or drop
 * concurrently meanwhile waits for that of the table, as it does for a statement.
 */
#include "compat_executor.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "lib/ilist.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "debug.h"
#include "store/relation.h"
#include "store/relation_internal.h"

/* More definitions than we have tables; those that were used last are kept. */
#define MOST_KEPT 16

static dlist_head relations = DLIST_STATIC_INIT(relations); /* kept or open, the most recently used comes first */
static int		  nkept = 0;

/* ---- forgetting ---- */

static void
forget(WfRelation *rel)
{
	if (rel->kept)
		nkept--;
	dlist_delete(&rel->node);
	MemoryContextDelete(rel->context);
}

static void
definition_changed(Datum arg, Oid relid)
{
	dlist_iter iter;

	dlist_foreach(iter, &relations)
	{
		WfRelation *rel = dlist_container(WfRelation, node, iter.cur);

		if (relid == InvalidOid || relid == rel->relid)
			rel->stale = true;
	}
}

/*
 * What was open when an error was thrown stays half used: PostgreSQL releases its buffers, relations and snapshot, and
 * nothing here may do so again.
 */
static void
forget_open(int level)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &relations)
	{
		WfRelation *rel = dlist_container(WfRelation, node, iter.cur);

		if (rel->level >= level)
			forget(rel);
	}
}

#ifdef WF_DEBUG
static bool
any_is_open(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &relations)
	{
		if (dlist_container(WfRelation, node, iter.cur)->level != 0)
			return true;
	}
	return false;
}
#endif

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		forget_open(1);
	WF_ASSERT(event != XACT_EVENT_COMMIT || !any_is_open());
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget_open(GetCurrentTransactionNestLevel());
}

static void
watch(void)
{
	static bool watching = false;

	if (watching)
		return;
	CacheRegisterRelcacheCallback(definition_changed, (Datum) 0);
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	watching = true;
}

/* ---- working out a definition ---- */

static void
find_columns(WfRelation *rel)
{
	TupleDesc desc = RelationGetDescr(rel->rel);

	rel->attnos = palloc0(sizeof(AttrNumber) * rel->columns->n);
	for (int i = 0; i < rel->columns->n; i++)
	{
		const WfRelationColumn *column = &rel->columns->columns[i];

		for (int a = 0; a < desc->natts && rel->attnos[i] == 0; a++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, a);

			if (!att->attisdropped && strcmp(NameStr(att->attname), column->name) == 0 && att->atttypid == column->type)
				rel->attnos[i] = att->attnum;
		}
		if (rel->attnos[i] == 0)
			ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("table \"%s\" has no column \"%s\" of type %s", RelationGetRelationName(rel->rel),
						   column->name, format_type_be(column->type)),
					errhint("Run ALTER EXTENSION workflow UPDATE."));
	}
}

static bool
is_ours(const WfRelation *rel, AttrNumber attno)
{
	for (int i = 0; i < rel->columns->n; i++)
		if (rel->attnos[i] == attno)
			return true;
	return false;
}

static void
add_default(WfRelation *rel, Form_pg_attribute att)
{
	WfDefault *value = &rel->defaults[rel->ndefaults++];
	Node	  *expression = build_column_default(rel->rel, att->attnum);

	value->attno = att->attnum;
	value->domain = get_typtype(att->atttypid) == TYPTYPE_DOMAIN ? att->atttypid : InvalidOid;
	value->value = expression != NULL ? ExecPrepareExpr((Expr *) expression, rel->estate) : NULL;
}

/* Columns that others have added; generated ones are worked out from the whole row. */
static void
find_defaults(WfRelation *rel)
{
	TupleDesc desc = RelationGetDescr(rel->rel);

	rel->defaults = palloc0(sizeof(WfDefault) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated != '\0' || is_ours(rel, att->attnum))
			continue;
		if (att->atthasdef || att->attidentity != '\0' || get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
			add_default(rel, att);
	}
}

static void
find_key(WfRelation *rel)
{
	Relation index;

	rel->key = wf_primary_key_index(rel->rel);
	if (!OidIsValid(rel->key))
		return;
	index = index_open(rel->key, AccessShareLock);
	rel->nkey_attnos = Min(index->rd_index->indnkeyatts, WF_RELATION_MAX_KEYS);
	for (int i = 0; i < rel->nkey_attnos; i++)
		rel->key_attnos[i] = index->rd_index->indkey.values[i];
	index_close(index, NoLock);
}

static Bitmapset *
columns_of(const WfRelation *rel, bool updated)
{
	Bitmapset *set = NULL;

	for (int i = 0; i < rel->columns->n; i++)
		if (!updated || rel->columns->columns[i].updated)
			set = bms_add_member(set, rel->attnos[i] - FirstLowInvalidHeapAttributeNumber);
	return set;
}

static TupleTableSlot *
make_slot(Relation rel)
{
	return MakeSingleTupleTableSlot(CreateTupleDescCopyConstr(RelationGetDescr(rel)), table_slot_callbacks(rel));
}

TupleTableSlot *
wf_relation_waiting_slot(WfRelation *rel)
{
	MemoryContext old = MemoryContextSwitchTo(rel->context);

	if (rel->waiting[rel->nwaiting] == NULL)
		rel->waiting[rel->nwaiting] =
			MakeSingleTupleTableSlot(rel->written->tts_tupleDescriptor, table_slot_callbacks(rel->rel));
	MemoryContextSwitchTo(old);
	return rel->waiting[rel->nwaiting];
}

static bool
may_be_kept(const WfRelation *rel)
{
	const TupleConstr *constraints = RelationGetDescr(rel->rel)->constr;

	return rel->info->ri_TrigDesc == NULL && rel->ndefaults == 0 && rel->rel->rd_rel->relchecks == 0 &&
		   (constraints == NULL || !constraints->has_generated_stored);
}

/* In a context of its own, which is current. */
static void
work_out(WfRelation *rel)
{
	find_columns(rel);
	find_key(rel);
	rel->found = make_slot(rel->rel);
	rel->written = make_slot(rel->rel);
	rel->estate = CreateExecutorState();
	wf_init_range_table(rel->estate, rel->rel, columns_of(rel, false), columns_of(rel, true));
	rel->info = makeNode(ResultRelInfo);
	InitResultRelInfo(rel->info, rel->rel, 1, NULL, 0);
	rel->estate->es_opened_result_relations = list_make1(rel->info);
	find_defaults(rel);
	rel->triggers = rel->info->ri_TrigDesc != NULL;
	rel->kept = may_be_kept(rel);
}

/*
 * It is in the list from the beginning, so that it learns of changes, and is forgotten if an error is thrown.
 */
static WfRelation *
make(Relation table, const WfRelationColumns *columns)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "workflow relation", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	WfRelation	 *rel = palloc0(sizeof(WfRelation));

	rel->relid = RelationGetRelid(table);
	rel->columns = columns;
	rel->context = context;
	rel->level = GetCurrentTransactionNestLevel();
	dlist_push_head(&relations, &rel->node);
	rel->passing = AllocSetContextCreate(context, "workflow relation in use", ALLOCSET_SMALL_SIZES);
	rel->rel = table;
	work_out(rel);
	MemoryContextSwitchTo(old);
	nkept += rel->kept ? 1 : 0;
	return rel;
}

/* One that was kept. What is open already, since a trigger came back to us, is not used twice. */
static WfRelation *
recall(Oid relid, const WfRelationColumns *columns)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &relations)
	{
		WfRelation *rel = dlist_container(WfRelation, node, iter.cur);

		if (rel->relid != relid || rel->columns != columns || rel->level != 0)
			continue;
		if (!rel->stale)
		{
			dlist_move_head(&relations, &rel->node);
			return rel;
		}
		forget(rel);
	}
	return NULL;
}

static void
make_room(void)
{
	dlist_mutable_iter iter;
	dlist_node		  *last = NULL;

	dlist_foreach_modify(iter, &relations)
	{
		if (dlist_container(WfRelation, node, iter.cur)->level == 0)
			last = iter.cur;
	}
	if (nkept > MOST_KEPT && last != NULL)
		forget(dlist_container(WfRelation, node, last));
}

/* ---- opening ---- */

static LOCKMODE
table_lock(WfRelationUse use)
{
	return use == WF_RELATION_READ ? AccessShareLock : use == WF_RELATION_LOCK ? RowShareLock : RowExclusiveLock;
}

static void
require_plain(Relation table)
{
	if (table->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("\"%s\" is not a plain table", RelationGetRelationName(table)),
				errdetail("Rows of the extension's tables are stored in plain tables only."));
}

static WfRelation *
begin_use(Relation table, const WfRelationColumns *columns, WfRelationUse use, Snapshot snapshot)
{
	WfRelation *rel;

	watch();
	rel = recall(RelationGetRelid(table), columns);
	if (rel == NULL)
		rel = make(table, columns);
	rel->level = GetCurrentTransactionNestLevel();
	rel->use = use;
	rel->rel = table;
	rel->info->ri_RelationDesc = table;
	rel->given = snapshot;
	rel->key_index = NULL;
	rel->scan = NULL;
	rel->nblocks = InvalidBlockNumber;
	rel->snapshot = NULL;
	rel->partition = false;
	rel->changed = false;
	if (snapshot == NULL && !IsInParallelMode())
		CommandCounterIncrement(); /* so that what was done before is seen, as it is by a statement */
	rel->estate->es_output_cid = GetCurrentCommandId(use != WF_RELATION_READ);
	rel->estate->es_crosscheck_snapshot = IsolationIsSerializable() ? GetTransactionSnapshot() : InvalidSnapshot;
	if (rel->triggers && use >= WF_RELATION_INSERT)
	{
		PushActiveSnapshot(GetLatestSnapshot());
		AfterTriggerBeginQuery();
	}
	return rel;
}

WfRelation *
wf_relation_open(Oid relid, const WfRelationColumns *columns, WfRelationUse use, Snapshot snapshot)
{
	Relation table = table_open(relid, table_lock(use));

	require_plain(table);
	wf_relation_check(table, use);
	return begin_use(table, columns, use, snapshot);
}

WfRelation *
wf_relation_open_partition(Oid parent, Oid partition, const WfRelationColumns *columns)
{
	Relation	above = table_open(parent, NoLock);
	Relation	table;
	WfRelation *rel;

	wf_relation_check(above, WF_RELATION_INSERT);
	table_close(above, NoLock);
	table = table_open(partition, RowExclusiveLock);
	require_plain(table);
	rel = begin_use(table, columns, WF_RELATION_INSERT, NULL);
	rel->partition = true;
	return rel;
}

Snapshot
wf_relation_snapshot(WfRelation *rel)
{
	if (rel->given != NULL)
		return rel->given;
	if (rel->snapshot == NULL)
	{
		rel->snapshot = RegisterSnapshot(GetLatestSnapshot());
		rel->estate->es_snapshot = rel->snapshot;
	}
	return rel->snapshot;
}

/* ---- indexes ---- */

static void
list_indexes(WfRelation *rel)
{
	MemoryContext old = MemoryContextSwitchTo(rel->context);
	List		 *list = RelationGetIndexList(rel->rel);
	ListCell	 *lc;

	rel->indexes = palloc(sizeof(Oid) * Max(list_length(list), 1));
	rel->info->ri_IndexRelationDescs = palloc0(sizeof(Relation) * Max(list_length(list), 1));
	rel->info->ri_IndexRelationInfo = palloc0(sizeof(IndexInfo *) * Max(list_length(list), 1));
	foreach (lc, list)
		rel->indexes[rel->nindexes++] = lfirst_oid(lc);
	list_free(list);
	MemoryContextSwitchTo(old);
}

/* Index access methods keep what they need for entries in the passing context; it may point to the open index. */
static void
open_index(WfRelation *rel, int i)
{
	Relation   index = index_open(rel->indexes[i], RowExclusiveLock);
	IndexInfo *info = rel->info->ri_IndexRelationInfo[i];

	rel->info->ri_IndexRelationDescs[i] = index;
	if (info == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(rel->context);

		info = BuildIndexInfo(index);
		rel->info->ri_IndexRelationInfo[i] = info;
		MemoryContextSwitchTo(old);
	}
	info->ii_AmCache = NULL;
	info->ii_Context = rel->passing;
}

void
wf_relation_open_indexes(WfRelation *rel)
{
	ResultRelInfo *info = rel->info;

	if (info->ri_NumIndices > 0)
		return;
	if (rel->indexes == NULL)
		list_indexes(rel);
	for (int i = 0; i < rel->nindexes; i++)
		open_index(rel, i);
	info->ri_NumIndices = rel->nindexes;
}

static void
close_indexes(WfRelation *rel)
{
	ResultRelInfo *info = rel->info;

	for (int i = 0; i < info->ri_NumIndices; i++)
	{
		wf_index_insert_cleanup(info->ri_IndexRelationDescs[i], info->ri_IndexRelationInfo[i]);
		index_close(info->ri_IndexRelationDescs[i], RowExclusiveLock);
		info->ri_IndexRelationDescs[i] = NULL;
	}
	info->ri_NumIndices = 0;
}

/* ---- closing ---- */

/* As at the end of a statement: what comes after it comes now, and sees it. */
static void
end_triggers(WfRelation *rel)
{
	AfterTriggerEndQuery(rel->estate);
	PopActiveSnapshot();
}

static void
close_scan(WfRelation *rel)
{
	if (rel->scan != NULL)
		index_endscan(rel->scan);
	if (rel->key_index != NULL)
		index_close(rel->key_index, NoLock);
}

void
wf_relation_close(WfRelation *rel)
{
	bool changed = rel->changed;

	if (rel->nwaiting > 0)
		rel->insert_waiting(rel);
	close_scan(rel);
	if (rel->triggers && rel->use >= WF_RELATION_INSERT)
		end_triggers(rel);
	ExecClearTuple(rel->found);
	ExecClearTuple(rel->written);
	close_indexes(rel);
	ExecCloseResultRelations(rel->estate); /* those that triggers have opened */
	if (rel->snapshot != NULL)
		UnregisterSnapshot(rel->snapshot);
	rel->estate->es_snapshot = NULL;
	table_close(rel->rel, NoLock);
	if (rel->kept)
	{
		MemoryContextReset(rel->passing);
		rel->level = 0;
		make_room();
	}
	else
	{
		ExecResetTupleTable(rel->estate->es_tupleTable, false);
		FreeExecutorState(rel->estate);
		forget(rel);
	}
	if (changed)
		CommandCounterIncrement();
}
