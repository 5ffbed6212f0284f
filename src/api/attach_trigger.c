/*
 * attach_trigger.c
 *		The triggers of attached tables: a row is inserted, and an instance is started.
 *
 * The BEFORE trigger judges the condition and sets the columns that show something, so that
 * RETURNING gives them. The AFTER trigger starts the instances (attach_start.c): set-wise from the
 * transition table of a statement, in chunks, so that memory stays bounded; row by row for
 * partitions, which have no such table.
 *
 * A row that an UPDATE moves to another partition is no new one: see attach_move.c.
 *
 * Rows are made JSON as the owner of the attached table, since types bring functions of users with
 * them. Their generated columns are computed as the inserting role, as PostgreSQL does. All else
 * happens as the owner of the extension, so the inserting role needs no right on anything of ours.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "api/attach_internal.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/version.h"

WF_FUNCTION(workflow_before_insert);
WF_FUNCTION(workflow_after_insert);

static TriggerData *
start_trigger_data(FunctionCallInfo fcinfo, const char *function, bool before)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ||
		before != (TRIGGER_FIRED_BEFORE(trigdata->tg_event) != 0) ||
		(before && !TRIGGER_FIRED_FOR_ROW(trigdata->tg_event)))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" is called by the triggers of attached tables only", function),
				errhint("Use workflow.attach."));
	return trigdata;
}

/* ---- before: what the row shows ---- */

typedef struct Changes
{
	int	   n;
	int	  *columns;
	Datum *values;
	bool  *nulls;
} Changes;

static void
add_change(Changes *changes, WfRowColumn *column, char *text)
{
	if (column->attno == 0)
		return;
	changes->columns[changes->n] = column->attno;
	changes->nulls[changes->n] = text == NULL;
	/* NULL goes through the input function too, since a domain may forbid it */
	changes->values[changes->n] = wf_row_input(column, text);
	changes->n++;
}

typedef struct Showing
{
	Relation		  rel;
	const WfAttached *item;
} Showing;

/* Error context: the column may have another type than when the table was attached. */
static void
describe_showing(void *arg)
{
	const Showing *showing = arg;

	errcontext("attachment of table \"%s\" to process \"%s\"", RelationGetRelationName(showing->rel),
			   showing->item->row.process);
}

static void
show_start(Relation rel, WfAttached *item, bool wanted, Changes *changes)
{
	Showing				 showing = {rel, item};
	ErrorContextCallback context = {.callback = describe_showing, .arg = &showing, .previous = error_context_stack};
	WfIssued			 issued = {0};
	char				 serial_number[WF_SERIAL_NUMBER_LEN];
	char				 instance[WF_SERIAL_NUMBER_LEN];

	error_context_stack = &context;
	if (wanted && wf_attached_is_numbered(item))
		wf_numbers_issue(item, &issued);
	wf_issued_serial_number(&issued, serial_number);
	snprintf(instance, sizeof(instance), INT64_FORMAT, issued.instance);
	add_change(changes, &item->serial, issued.visit != 0 ? serial_number : NULL);
	add_change(changes, &item->instance, issued.instance != 0 ? instance : NULL);
	add_change(changes, &item->status, wanted ? pstrdup(wf_status_name(WF_STATUS_ACTIVE)) : NULL);
	error_context_stack = context.previous;
}

/*
 * Judge the conditions of all attachments, where the row itself will carry the answer to the AFTER
 * trigger, so that each is judged once.
 */
static bool *
judge_row(WfAttachedTable *table, Relation rel, HeapTuple tuple)
{
	bool	 *wanted = palloc(sizeof(bool) * table->n);
	Jsonb	 *row = NULL;
	HeapTuple filled = NULL;
	WfAsOwner owner;

	for (int i = 0; i < table->n; i++)
	{
		WfAttached *item = &table->items[i];

		wanted[i] = true;
		if (item->condition == NULL || (item->status.attno == 0 && !wf_attached_is_numbered(item)))
			continue;
		if (filled == NULL)
			filled = wf_attached_fill(table, rel, tuple, true);
		wf_as_owner_begin(&owner, wf_row_owner(table->root), table->items[0].row.search_path);
		if (row == NULL)
			row = wf_attached_row(table, rel, filled);
		wanted[i] = wf_attached_wants(item, row);
		wf_as_owner_end(&owner);
	}
	return wanted;
}

static HeapTuple
set_columns(WfAttachedTable *table, Relation rel, HeapTuple tuple)
{
	bool   *wanted = judge_row(table, rel, tuple);
	Changes changes = {.n = 0};

	changes.columns = palloc(sizeof(int) * table->n * 3);
	changes.values = palloc(sizeof(Datum) * table->n * 3);
	changes.nulls = palloc(sizeof(bool) * table->n * 3);
	for (int i = 0; i < table->n; i++)
	{
		WfAttached *item = &table->items[i];

		if (wf_attached_sets_columns(item))
			show_start(rel, item, wanted[i], &changes);
	}
	if (changes.n == 0)
		return tuple;
	return heap_modify_tuple_by_cols(tuple, RelationGetDescr(rel), changes.n, changes.columns, changes.values,
									 changes.nulls);
}

Datum
workflow_before_insert(PG_FUNCTION_ARGS)
{
	TriggerData		*trigdata = start_trigger_data(fcinfo, "workflow_data.before_insert", true);
	Relation		 rel = trigdata->tg_relation;
	WfAttachedTable *table = wf_attached_table(rel, false);

	if (table->n == 0 || !table->has_columns)
		PG_RETURN_POINTER(trigdata->tg_trigtuple);
	if (table->lost)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" has become a partition since it was attached", RelationGetRelationName(rel)),
				errhint("Detach it with workflow.detach and attach it, or its parent, again."));
	if (rel->rd_rel->relispartition && wf_move_is_expected(table, rel, trigdata->tg_trigtuple))
		PG_RETURN_POINTER(trigdata->tg_trigtuple);
	PG_RETURN_POINTER(set_columns(table, rel, trigdata->tg_trigtuple));
}

/* ---- after: where rows come from ---- */

/* Warn, once for each statement, that the table has the trigger but no attachment. */
static void
warn_of_unattached(FunctionCallInfo fcinfo, Relation rel)
{
	static bool warned = true;

	if (fcinfo->flinfo->fn_extra != NULL)
		return;
	fcinfo->flinfo->fn_extra = &warned;
	ereport(WARNING, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("table \"%s\" is attached to no process: its rows start nothing", RelationGetRelationName(rel)),
			errdetail("It has the triggers of an attached table. So has one that was restored by itself from a dump."),
			errhint("Attach it with workflow.attach, or remove the triggers with workflow.detach."));
}

static void
after_row(FunctionCallInfo fcinfo, TriggerData *trigdata)
{
	WfChunk	  chunk = {.rel = trigdata->tg_relation};
	WfAsOwner owner;
	HeapTuple tuple;
	HeapTuple moved;

	chunk.table = wf_attached_table(chunk.rel, true);
	if (chunk.table->n == 0)
	{
		warn_of_unattached(fcinfo, chunk.rel);
		return;
	}
	moved = wf_move_arrived(chunk.table, chunk.rel, trigdata->tg_trigtuple);
	if (moved != NULL)
	{
		wf_attached_moved(chunk.table, chunk.rel, moved, trigdata->tg_trigtuple);
		return;
	}
	chunk.owner = wf_row_owner(chunk.table->root);
	tuple = wf_attached_fill(chunk.table, chunk.rel, trigdata->tg_trigtuple, false);
	wf_as_owner_begin(&owner, chunk.owner, chunk.table->items[0].row.search_path);
	wf_chunk_add(&chunk, tuple);
	wf_as_owner_end(&owner);
	wf_chunk_start(&chunk);
}

/*
 * Read the next row with the given read pointer, which is selected first, since others read the
 * same tuplestore. The row outlives a chunk: one that was spilled to disk is read into current
 * memory.
 */
static bool
next_row(Tuplestorestate *rows, int pointer, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(slot->tts_mcxt);
	bool		  more;

	tuplestore_select_read_pointer(rows, pointer);
	more = tuplestore_gettupleslot(rows, true, false, slot);
	MemoryContextSwitchTo(old);
	return more;
}

/*
 * Fill the chunk from the transition table. Returns false if these were the last rows. Virtual
 * columns are computed as the inserting role, outside wf_as_owner_begin.
 */
static bool
read_new_rows(WfChunk *chunk, Tuplestorestate *rows, int pointer, TupleTableSlot *slot)
{
	const char *search_path = chunk->table->items[0].row.search_path;
	bool		more = true;
	WfAsOwner	owner;

	wf_as_owner_begin(&owner, chunk->owner, search_path);
	while (more && !wf_chunk_is_full(chunk))
	{
		HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, NULL);

		if (chunk->table->has_virtual)
		{
			wf_as_owner_end(&owner);
			tuple = wf_attached_fill(chunk->table, chunk->rel, tuple, false);
			wf_as_owner_begin(&owner, chunk->owner, search_path);
		}
		wf_chunk_add(chunk, tuple);
		more = next_row(rows, pointer, slot);
	}
	wf_as_owner_end(&owner);
	return more;
}

static void
after_statement(FunctionCallInfo fcinfo, TriggerData *trigdata)
{
	WfChunk			 chunk = {.rel = trigdata->tg_relation};
	Tuplestorestate *rows = trigdata->tg_newtable;
	int				 pointer = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);
	TupleTableSlot	*slot = MakeSingleTupleTableSlot(RelationGetDescr(chunk.rel), &TTSOpsMinimalTuple);
	MemoryContext	 context = AllocSetContextCreate(CurrentMemoryContext, "workflow rows", ALLOCSET_DEFAULT_SIZES);
	MemoryContext	 old;
	bool			 more;

	tuplestore_select_read_pointer(rows, pointer);
	tuplestore_rescan(rows);
	more = next_row(rows, pointer, slot);
	if (more)
	{
		chunk.table = wf_attached_table(chunk.rel, true);
		chunk.owner = wf_row_owner(chunk.table->root);
		more = chunk.table->n > 0;
		if (!more)
			warn_of_unattached(fcinfo, chunk.rel);
	}
	while (more)
	{
		wf_chunk_begin(&chunk);
		old = MemoryContextSwitchTo(context);
		more = read_new_rows(&chunk, rows, pointer, slot);
		wf_chunk_start(&chunk);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(context);
}

/* ---- after: rows that logical replication brings ---- */

static bool
after_guarded_row(void *arg)
{
	FunctionCallInfo fcinfo = arg;

	after_row(fcinfo, (TriggerData *) fcinfo->context);
	return true;
}

static void
after_replicated_row(FunctionCallInfo fcinfo, WfAttachedTable *table)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	wf_replicated_run(table, "insert", wf_attached_key(table, trigdata->tg_relation, trigdata->tg_trigtuple),
					  after_guarded_row, fcinfo);
}

Datum
workflow_after_insert(PG_FUNCTION_ARGS)
{
	TriggerData		*trigdata = start_trigger_data(fcinfo, "workflow_data.after_insert", false);
	WfAttachedTable *table = NULL;

	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		table = wf_attached_table_of_changes(trigdata->tg_relation);
	if (table != NULL && wf_attached_is_replicated(table))
		after_replicated_row(fcinfo, table);
	else if (table != NULL)
		after_row(fcinfo, trigdata);
	else if (trigdata->tg_newtable != NULL)
		after_statement(fcinfo, trigdata);
	PG_RETURN_POINTER(NULL);
}
