/*
 * attach_table.c
 *		Attached tables as their triggers see them.
 *
 * There is one entry for each table or partition, in a context of its own, until the relation cache
 * says that the relation has changed; attach and detach say so too. An entry that has to be rebuilt
 * stays until the end of the transaction, since a trigger further out may be using it. Only the
 * latest version of a process can change without an invalidation: it is read again for each
 * command.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "api/attach_internal.h"
#include "model/json.h"
#include "store/access.h"
#include "store/process.h"
#include "store/row_result.h"
#include "store/trust.h"

typedef struct Entry
{
	Oid				 relid;
	WfAttachedTable *table;
	/* transaction and subtransaction in which the versions were read */
	uint64			 transaction;
	SubTransactionId subid;
	CommandId		 command;
} Entry;

static HTAB *entries = NULL;
/* counts invalidations of relations, composite types among them */
static uint64 relation_changes = 1;

static void
forget_attached(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	Entry		   *entry;

	relation_changes++;
	if (OidIsValid(relid))
	{
		entry = hash_search(entries, &relid, HASH_FIND, NULL);
		if (entry != NULL && entry->table != NULL)
			entry->table->valid = false;
		return;
	}
	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->table != NULL)
			entry->table->valid = false;
}

static void
init(void)
{
	HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Entry)};

	entries = hash_create("workflow attached tables", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(forget_attached, (Datum) 0);
}

/* ---- making an entry ---- */

/* The attachments of the relation itself, else of the nearest attached table above it. */
static int
find_attachments(Relation rel, WfAttachment **attachments)
{
	int		  n = wf_attachments_of(RelationGetRelid(rel), attachments);
	List	 *ancestors;
	ListCell *lc;

	if (n > 0 || !rel->rd_rel->relispartition)
		return n;
	ancestors = get_partition_ancestors(RelationGetRelid(rel));
	foreach (lc, ancestors)
	{
		n = wf_attachments_of(lfirst_oid(lc), attachments);
		if (n > 0)
			break;
	}
	return n;
}

static char *
copy(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

static void
copy_attachment(WfAttachment *to, const WfAttachment *from)
{
	*to = *from;
	to->relation_name = copy(from->relation_name);
	to->process = copy(from->process);
	to->serial_column = copy(from->serial_column);
	to->serial_step = copy(from->serial_step);
	to->status_column = copy(from->status_column);
	to->instance_column = copy(from->instance_column);
	to->condition = copy(from->condition);
	to->results = palloc0(sizeof(WfResultColumn) * Max(from->nresults, 1));
	for (int i = 0; i < from->nresults; i++)
		to->results[i] = (WfResultColumn){copy(from->results[i].column), copy(from->results[i].path), NULL};
	to->search_path = copy(from->search_path);
}

static void
find_column(WfAttachedTable *table, Relation rel, const char *process, const char *name, WfRowColumn *column)
{
	if (name == NULL)
		return;
	if (wf_row_column(RelationGetDescr(rel), name, column, table->context))
		table->kept[column->attno - 1] = true;
	else if (table->missing == NULL)
	{
		table->missing = name;
		table->missing_process = process;
	}
}

/* Replicated rows show nothing themselves; columns that do where the rows come from are not of the data, and need not be here. */
static void
keep_replicated_columns(WfAttachedTable *table, Relation rel, const WfAttachment *row)
{
	ListCell *lc;

	foreach (lc, wf_attach_shown_columns(row))
	{
		WfRowColumn column;

		if (wf_row_column(RelationGetDescr(rel), lfirst(lc), &column, table->context))
			table->kept[column.attno - 1] = true;
	}
}

static void
find_columns(WfAttachedTable *table, Relation rel, WfAttached *item)
{
	const WfAttachment *row = &item->row;

	if (row->replicated)
	{
		keep_replicated_columns(table, rel, row);
		return;
	}
	find_column(table, rel, row->process, row->serial_column, &item->serial);
	find_column(table, rel, row->process, row->status_column, &item->status);
	find_column(table, rel, row->process, row->instance_column, &item->instance);
	table->has_columns |= wf_attachment_sets(row);
	for (int i = 0; i < row->nresults; i++)
		find_column(table, rel, row->process, row->results[i].column, &item->results[i]);
}

static void
set_up_item(WfAttachedTable *table, Relation rel, WfAttached *item, const WfAttachment *row)
{
	const char *message;
	const char *hint;

	copy_attachment(&item->row, row);
	row = &item->row; /* it lives as long as the table */
	item->results = palloc0(sizeof(WfRowColumn) * Max(row->nresults, 1));
	find_columns(table, rel, item);
	wf_row_results_compile(&item->row);
	if (row->condition == NULL)
		return;
	item->condition = wf_predicate_compile(item->row.condition, &message, &hint);
	if (item->condition == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("condition of the attachment of table \"%s\": %s", RelationGetRelationName(rel), message));
}

/*
 * Prepare the call of to_jsonb, which takes the type of its argument from the calling expression.
 */
static void
set_up_to_jsonb(WfAttachedTable *table, Relation rel)
{
	Expr	 *row = (Expr *) makeNullConst(RelationGetDescr(rel)->tdtypeid, -1, InvalidOid);
	FuncExpr *call = makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(row), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);

	fmgr_info_cxt(F_TO_JSONB, &table->to_jsonb, table->context);
	fmgr_info_set_expr((Node *) call, &table->to_jsonb);
}

static void
set_up_key(WfAttachedTable *table, Relation rel)
{
	Relation root = rel;

	if (table->root != RelationGetRelid(rel))
		root = relation_open(table->root, AccessShareLock);
	wf_row_key(root, RelationGetDescr(rel), &table->key, table->context);
	if (root != rel)
		relation_close(root, AccessShareLock);
	if (table->key.n == 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("attached table \"%s\" has no primary key any more", RelationGetRelationName(rel)),
				errhint("Add one, or detach the table with workflow.detach."));
	for (int i = 0; i < table->key.n; i++)
		table->of_key[table->key.columns[i].attno - 1] = true;
}

static void
find_generated(WfAttachedTable *table, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated == '\0')
			continue;
		if (att->attgenerated == ATTRIBUTE_GENERATED_STORED)
			table->has_stored = true;
		else
			table->has_virtual = true;
	}
}

/* Can a BEFORE trigger change rows after ours? Triggers fire in the order of their names. */
static bool
is_changed_after_us(Relation rel)
{
	bool ours = false;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger *trigger = &rel->trigdesc->triggers[i];

		if (!TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_INSERT) ||
			trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		if (strcmp(trigger->tgname, WF_TRIGGER_BEFORE) == 0)
			ours = true;
		else if (ours)
			return true;
	}
	return false;
}

/* Does the condition read the column? True if that is not certain. */
static bool
reads(const char *condition, const char *column)
{
	return column != NULL && (strstr(condition, column) != NULL || strpbrk(condition, "*\\") != NULL ||
							  strstr(condition, "keyvalue") != NULL);
}

/*
 * Does the condition read a column that we set? The value that was inserted there is lost once the
 * BEFORE trigger has set it.
 */
static bool
reads_what_is_set(const WfAttachedTable *table, const char *condition)
{
	for (int i = 0; i < table->n; i++)
	{
		const WfAttachment *row = &table->items[i].row;

		if (reads(condition, row->serial_column) || reads(condition, row->status_column) ||
			reads(condition, row->instance_column))
			return true;
	}
	return false;
}

static void
find_judged_again(WfAttachedTable *table, Relation rel)
{
	if (!table->has_columns || !is_changed_after_us(rel))
		return;
	for (int i = 0; i < table->n; i++)
	{
		const char *condition = table->items[i].row.condition;

		table->items[i].judged_again = condition != NULL && !reads_what_is_set(table, condition);
	}
}

static WfAttachedTable *
make_attached_table(Relation rel, const WfAttachment *rows, int n)
{
	MemoryContext context =
		AllocSetContextCreate(CurTransactionContext, "workflow attached table", ALLOCSET_SMALL_SIZES);
	MemoryContext	 old = MemoryContextSwitchTo(context);
	WfAttachedTable *table = palloc0(sizeof(WfAttachedTable));

	table->context = context;
	table->shape_context = AllocSetContextCreate(context, "workflow shape of rows", ALLOCSET_SMALL_SIZES);
	table->relid = RelationGetRelid(rel);
	table->n = n;
	table->items = palloc0(sizeof(WfAttached) * Max(n, 1));
	table->valid = true;
	if (n > 0)
	{
		table->root = rows[0].relation;
		table->kept = palloc0(sizeof(bool) * RelationGetDescr(rel)->natts);
		table->of_key = palloc0(sizeof(bool) * RelationGetDescr(rel)->natts);
		for (int i = 0; i < n; i++)
			set_up_item(table, rel, &table->items[i], &rows[i]);
		set_up_key(table, rel);
		set_up_to_jsonb(table, rel);
		find_generated(table, RelationGetDescr(rel));
		find_judged_again(table, rel);
		table->lost = wf_attachment_is_cut_off(rel);
	}
	MemoryContextSwitchTo(old);
	return table;
}

/* ---- versions ---- */

static bool
is_same_table(const WfAttachedTable *table, const WfAttachment *rows, int n)
{
	if (table == NULL || !table->valid || table->n != n)
		return false;
	for (int i = 0; i < n; i++)
		if (table->items[i].row.id != rows[i].id)
			return false;
	return true;
}

static void
set_versions(WfAttachedTable *table, const WfAttachment *rows)
{
	for (int i = 0; i < table->n; i++)
	{
		WfAttached *item = &table->items[i];

		item->row.suspended = rows[i].suspended;
		item->row.latest = rows[i].latest;
		if (item->version == rows[i].latest || rows[i].latest == 0)
			continue;
		item->version = rows[i].latest;
		item->shows_start =
			wf_attachment_shows_start(&item->row, wf_process_get(item->row.process_id, item->version)->def);
	}
}

static bool
is_of_this_transaction(const Entry *entry)
{
	return entry->transaction == wf_attach_transaction() && entry->subid == GetCurrentSubTransactionId();
}

static bool
is_of_now(const Entry *entry)
{
	return is_of_this_transaction(entry) && entry->command == GetCurrentCommandId(false);
}

/*
 * Versions that this transaction defined have to be read again: the definition may have been rolled
 * back, and its number given to another one.
 */
static void
forget_versions(Entry *entry)
{
	if (is_of_this_transaction(entry))
		return;
	for (int i = 0; i < entry->table->n; i++)
		entry->table->items[i].version = 0;
}

static void
load_attached(Relation rel, Entry *entry)
{
	WfAccess		 access;
	WfAttachment	*rows;
	WfAttachedTable *table;
	int				 n;

	wf_store_enter(&access);
	n = find_attachments(rel, &rows);
	if (!is_same_table(entry->table, rows, n))
	{
		table = make_attached_table(rel, rows, n);
		if (entry->table != NULL)
			MemoryContextSetParent(entry->table->context, TopTransactionContext);
		MemoryContextSetParent(table->context, TopMemoryContext);
		entry->table = table;
	}
	wf_generated_forget(entry->table);
	forget_versions(entry);
	set_versions(entry->table, rows);
	entry->transaction = wf_attach_transaction();
	entry->subid = GetCurrentSubTransactionId();
	entry->command = GetCurrentCommandId(false);
	wf_store_leave(&access);
}

static Entry *
find_entry(Relation rel)
{
	Oid	   relid = RelationGetRelid(rel);
	Entry *entry;
	bool   found;

	if (entries == NULL)
		init();
	entry = hash_search(entries, &relid, HASH_ENTER, &found);
	if (!found)
	{
		entry->table = NULL;
		entry->transaction = 0;
	}
	return entry;
}

/* Rows that are inserted need what those that change do not. */
static void
require_startable(const WfAttachedTable *table, Relation rel)
{
	if (table->missing != NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("attached table \"%s\" has no column \"%s\" any more", RelationGetRelationName(rel),
					   table->missing),
				errdetail("That column was to show instances of process \"%s\".", table->missing_process),
				errhint(
					"Detach the table with workflow.detach, and attach it again with the columns that it has now."));
	for (int i = 0; i < table->n; i++)
		if (table->items[i].row.latest == 0)
			ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("process \"%s\" was undefined: it takes no new instances", table->items[i].row.process),
					errhint("Define it again with workflow.define, or detach the table with workflow.detach."));
}

WfAttachedTable *
wf_attached_table(Relation rel, bool same)
{
	Entry *entry = find_entry(rel);

	if (entry->table == NULL || !entry->table->valid ||
		!(is_of_now(entry) || (same && entry->table->has_columns && is_of_this_transaction(entry))))
		load_attached(rel, entry);
	require_startable(entry->table, rel);
	return entry->table;
}

WfAttachedTable *
wf_attached_table_of_changes(Relation rel)
{
	Entry *entry = find_entry(rel);

	if (entry->table == NULL || !entry->table->valid)
		load_attached(rel, entry);
	return entry->table;
}

/* ---- rows ---- */

HeapTuple
wf_attached_fill(WfAttachedTable *table, Relation rel, HeapTuple tuple, bool before)
{
	if (table->has_virtual || (before && table->has_stored))
		return wf_generated_fill(table, rel, tuple, before);
	return tuple;
}

static void
read_as_text(WfAttachedTable *table, TupleDesc desc, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
	Oid				  output;
	bool			  isvarlena;

	if (table->shape == NULL)
	{
		table->shape = CreateTupleDescCopy(desc);
		for (int i = 0; i < desc->natts; i++)
			wf_forget_offset(table->shape, i);
		table->outputs = palloc0(sizeof(FmgrInfo) * desc->natts);
	}
	getTypeOutputInfo(att->atttypid, &output, &isvarlena);
	fmgr_info_cxt(output, &table->outputs[attno - 1], table->shape_context);
	TupleDescInitEntry(table->shape, attno, NameStr(att->attname), TEXTOID, -1, 0);
}

/*
 * Find the columns to be read as text: JSON is made with the rights of the table's owner, so casts
 * to json that belong to other roles are not used. Casts and their owners change without an
 * invalidation of the table.
 */
static void
find_shape(WfAttachedTable *table, Relation rel)
{
	uint64		  now = wf_trust_generation() + relation_changes;
	TupleDesc	  desc = RelationGetDescr(rel);
	MemoryContext old;
	Oid			  owner;

	if (table->shaped == now)
		return;
	owner = wf_row_owner(table->root);
	MemoryContextReset(table->shape_context);
	old = MemoryContextSwitchTo(table->shape_context);
	table->shape = NULL;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && OidIsValid(wf_trust_foreign_cast(att->atttypid, owner)))
			read_as_text(table, desc, att->attnum);
	}
	if (table->shape != NULL)
	{
		table->shape->tdtypeid = RECORDOID;
		table->shape->tdtypmod = -1;
		TupleDescFinalize(table->shape);
		BlessTupleDesc(table->shape);
	}
	table->json = table->shape == NULL ? wf_row_json_make(desc, table->shape_context) : NULL;
	table->shaped = now;
	MemoryContextSwitchTo(old);
}

static Datum
shaped_row(WfAttachedTable *table, TupleDesc desc, HeapTuple tuple)
{
	Datum *values = palloc(sizeof(Datum) * desc->natts);
	bool  *nulls = palloc(sizeof(bool) * desc->natts);

	heap_deform_tuple(tuple, desc, values, nulls);
	for (int i = 0; i < desc->natts; i++)
		if (!nulls[i] && OidIsValid(table->outputs[i].fn_oid))
			values[i] = CStringGetTextDatum(OutputFunctionCall(&table->outputs[i], values[i]));
	return HeapTupleGetDatum(heap_form_tuple(table->shape, values, nulls));
}

Jsonb *
wf_attached_row(WfAttachedTable *table, Relation rel, HeapTuple tuple)
{
	TupleDesc desc = RelationGetDescr(rel);
	Datum	  row;

	find_shape(table, rel);
	if (table->json != NULL)
		return wf_row_json(table->json, desc, tuple);
	row = table->shape != NULL ? shaped_row(table, desc, tuple) : heap_copy_tuple_as_datum(tuple, desc);
	return DatumGetJsonbP(FunctionCall1(&table->to_jsonb, row));
}

Jsonb *
wf_attached_pick(Jsonb *row, TupleDesc desc, const bool *wanted)
{
	MemoryContext old = wf_jsonb_begin();
	WfJsonbState  state = {0};

	wf_jsonb_push(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < desc->natts; i++)
	{
		char	  *name = NameStr(TupleDescAttr(desc, i)->attname);
		JsonbValue key = {.type = jbvString, .val.string = {strlen(name), name}};
		JsonbValue value;

		if (!wanted[i] || getKeyJsonValueFromContainer(&row->root, name, strlen(name), &value) == NULL)
			continue;
		wf_jsonb_push(&state, WJB_KEY, &key);
		wf_jsonb_push(&state, WJB_VALUE, &value);
	}
	return wf_jsonb_end(old, JsonbValueToJsonb(wf_jsonb_push(&state, WJB_END_OBJECT, NULL)));
}

/* The time zone of the version that the row would start, whoever inserts. */
static const char *
timezone_of(const WfAttached *attached)
{
	MemoryContext context = CurrentMemoryContext; /* that of the store is gone when it is left */
	WfAccess	  access;
	const char	 *timezone;

	wf_store_enter(&access);
	timezone = MemoryContextStrdup(context, wf_process_by_name(attached->row.process, 0, NULL)->timezone);
	wf_store_leave(&access);
	return timezone;
}

bool
wf_attached_wants(const WfAttached *attached, Jsonb *row)
{
	WfVariables variables;
	WfFault		fault = {0};
	bool		answer;

	if (attached->condition == NULL)
		return true;
	memset(&variables, 0, sizeof(variables));
	variables.data = row;
	variables.is_row = true;
	if (wf_predicate_has_times(attached->condition))
		variables.timezone = timezone_of(attached);
	variables.process = attached->row.process;
	variables.index = -1;
	if (!wf_predicate_eval(attached->condition, &variables, &answer, &fault))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the condition for starting process \"%s\" gives no answer", attached->row.process),
				errdetail("%s: %s", attached->row.condition, fault.message),
				errhint("Attach the table again with a condition that is true or false for every row."));
	return answer;
}
