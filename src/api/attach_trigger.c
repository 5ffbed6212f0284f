/*
 * attach_trigger.c
 *		The triggers of attached tables: a row goes in, an instance is started.
 *
 * The BEFORE trigger judges the condition and sets the columns that show something, so that RETURNING gives them. The
 * AFTER trigger starts the instances: set-wise from the transition table of a statement, in chunks, so that memory stays
 * bounded; row by row for partitions, where there is no such table. It believes a number in a row only if it was issued
 * for it (attach_numbers.c). Where other triggers may have changed the row after ours it judges again: a row that shows an
 * instance it should not have is refused, since it is too late to take the number back.
 *
 * Rows are turned into JSON as the owner of the attached table, since types bring functions of users with them, and their
 * generated columns worked out as whoever inserts, as PostgreSQL does; all else happens as the owner of the extension. Whoever inserts needs no right on anything of ours.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "api/attach_internal.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/privilege.h"

/* One batch of the engine: as many rows, or as many bytes of them. */
#define CHUNK_ROWS 2000
#define CHUNK_BYTES (4 * 1024 * 1024)

#define SERIAL_NUMBER_LEN 48

PG_FUNCTION_INFO_V1(workflow_before_insert);
PG_FUNCTION_INFO_V1(workflow_after_insert);

static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *function, bool before)
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

static bool
sets_columns(const WfAttached *item)
{
	return item->serial.attno != 0 || item->status.attno != 0 || item->instance.attno != 0;
}

/* Does a row that starts an instance hold its number? */
static bool
is_numbered(const WfAttached *item)
{
	return item->instance.attno != 0 || (item->serial.attno != 0 && item->shows_start);
}

static void
format_serial_number(const WfIssued *issued, char *buffer)
{
	snprintf(buffer, SERIAL_NUMBER_LEN, INT64_FORMAT "_" INT64_FORMAT, issued->instance,
			 issued->visit);
}

/* ---- before: what the row shows ---- */

typedef struct Changes
{
	int			n;
	int		   *columns;
	Datum	   *values;
	bool	   *nulls;
} Changes;

static void
change(Changes *changes, WfRowColumn *column, char *text)
{
	if (column->attno == 0)
		return;
	changes->columns[changes->n] = column->attno;
	changes->nulls[changes->n] = text == NULL;
	/* with NULL too: domains may forbid it */
	changes->values[changes->n] = wf_row_input(column, text);
	changes->n++;
}

typedef struct Showing
{
	Relation	rel;
	const WfAttached *item;
} Showing;

/* A column may have become one of another type. */
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
	Showing		showing = {rel, item};
	ErrorContextCallback context = {.callback = describe_showing, .arg = &showing,
		.previous = error_context_stack};
	WfIssued	issued = {0};
	char		serial_number[SERIAL_NUMBER_LEN];
	char		instance[SERIAL_NUMBER_LEN];

	error_context_stack = &context;
	if (wanted && is_numbered(item))
		wf_numbers_issue(item, &issued);
	format_serial_number(&issued, serial_number);
	snprintf(instance, sizeof(instance), INT64_FORMAT, issued.instance);
	change(changes, &item->serial, issued.visit != 0 ? serial_number : NULL);
	change(changes, &item->instance, issued.instance != 0 ? instance : NULL);
	change(changes, &item->status, wanted ? pstrdup(wf_status_name(WF_STATUS_ACTIVE)) : NULL);
	error_context_stack = context.previous;
}

/* The conditions, judged once, as far as the row itself will carry the answer. */
static bool *
judge(WfAttachedTable *table, Relation rel, HeapTuple tuple)
{
	bool	   *wanted = palloc(sizeof(bool) * table->n);
	Jsonb	   *row = NULL;
	HeapTuple	filled = NULL;
	WfAsOwner	owner;

	for (int i = 0; i < table->n; i++)
	{
		WfAttached *item = &table->items[i];

		wanted[i] = true;
		if (item->condition == NULL || (item->status.attno == 0 && !is_numbered(item)))
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
	bool	   *wanted = judge(table, rel, tuple);
	Changes		changes = {.n = 0};

	changes.columns = palloc(sizeof(int) * table->n * 3);
	changes.values = palloc(sizeof(Datum) * table->n * 3);
	changes.nulls = palloc(sizeof(bool) * table->n * 3);
	for (int i = 0; i < table->n; i++)
	{
		WfAttached *item = &table->items[i];

		if (sets_columns(item))
			show_start(rel, item, wanted[i], &changes);
	}
	if (changes.n == 0)
		return tuple;
	return heap_modify_tuple_by_cols(tuple, RelationGetDescr(rel), changes.n, changes.columns,
									 changes.values, changes.nulls);
}

Datum
workflow_before_insert(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "workflow_data.before_insert", true);
	Relation	rel = trigdata->tg_relation;
	WfAttachedTable *table = wf_attached_table(rel, false);

	if (table->n == 0 || !table->has_columns)
		PG_RETURN_POINTER(trigdata->tg_trigtuple);
	if (table->lost)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" has become a partition since it was attached",
					   RelationGetRelationName(rel)),
				errhint("Detach it with workflow.detach and attach it, or its parent, again."));
	PG_RETURN_POINTER(set_columns(table, rel, trigdata->tg_trigtuple));
}

/* ---- after: rows read ---- */

/* A row that shall start an instance, unless its key has a living one. */
typedef struct Start
{
	WfAttached *item;
	Jsonb	   *data;
	char	   *key;
	char	   *instance; /* as the row shows it; NULL: not */
	char	   *serial_number;
	/* judged again: */
	bool		refused;  /* the row shows an instance that it should not have */
	bool		unmarked; /* and one that shows none should have one */
} Start;

typedef struct Chunk
{
	WfAttachedTable *table;
	Relation	rel;
	Oid			owner;	 /* of the attached table */
	Start	   *starts;
	int			n;
	int			allocated;
	int			rows;
	Size		bytes;
	bool		allowed; /* the owner's rights were checked */
} Chunk;

static char *
shown_text(WfRowColumn *column, HeapTuple tuple, TupleDesc desc)
{
	return column->attno != 0 ? wf_row_text(column, tuple, desc) : NULL;
}

static bool
shows_active(WfAttached *item, HeapTuple tuple, TupleDesc desc)
{
	char	   *status = shown_text(&item->status, tuple, desc);

	return status != NULL && strcmp(status, wf_status_name(WF_STATUS_ACTIVE)) == 0;
}

/* Without a number: was the condition true? The status that was set before tells, unless another trigger changed it. */
static bool
is_wanted_without_number(WfAttached *item, HeapTuple tuple, TupleDesc desc, Jsonb *data)
{
	char	   *status;

	if (item->condition == NULL)
		return true;
	if (is_numbered(item))
		return false;
	if (item->status.attno != 0)
	{
		status = wf_row_text(&item->status, tuple, desc);
		if (status == NULL)
			return false;
		if (strcmp(status, wf_status_name(WF_STATUS_ACTIVE)) == 0)
			return true;
	}
	return wf_attached_wants(item, data);
}

/* What the row shows was set by a judgement of ours that other triggers may have overtaken. */
static bool
is_wanted_again(Start *start, HeapTuple tuple, TupleDesc desc)
{
	bool		wanted = wf_attached_wants(start->item, start->data);
	bool		marked = start->instance != NULL || start->serial_number != NULL ||
		shows_active(start->item, tuple, desc);

	start->refused = marked && !wanted;
	start->unmarked = wanted && !marked;
	return marked || wanted;
}

static bool
is_wanted(Start *start, HeapTuple tuple, TupleDesc desc)
{
	start->refused = start->unmarked = false;
	if (start->item->judged_again)
		return is_wanted_again(start, tuple, desc);
	return start->instance != NULL || start->serial_number != NULL ||
		is_wanted_without_number(start->item, tuple, desc, start->data);
}

static void
add_start(Chunk *chunk, const Start *start)
{
	if (chunk->n == chunk->allocated)
	{
		chunk->allocated = Max(chunk->table->n, chunk->allocated * 2);
		chunk->starts = chunk->starts == NULL
							? palloc(sizeof(Start) * chunk->allocated)
							: repalloc(chunk->starts, sizeof(Start) * chunk->allocated);
	}
	chunk->starts[chunk->n++] = *start;
}

/* Between wf_as_owner_begin and _end. */
static void
read_row(Chunk *chunk, HeapTuple tuple)
{
	TupleDesc	desc = RelationGetDescr(chunk->rel);
	Start		start = {0};

	start.data = wf_attached_row(chunk->table, chunk->rel, tuple);
	start.key = wf_row_key_text(&chunk->table->key, tuple, desc);
	for (int i = 0; i < chunk->table->n; i++)
	{
		WfAttached *item = &chunk->table->items[i];

		start.item = item;
		start.instance = shown_text(&item->instance, tuple, desc);
		start.serial_number = shown_text(&item->serial, tuple, desc);
		if (is_wanted(&start, tuple, desc))
			add_start(chunk, &start);
	}
	chunk->rows++;
	chunk->bytes += tuple->t_len + VARSIZE(start.data);
}

/* ---- after: instances started ---- */

static void
require_owner_may_start(Chunk *chunk)
{
	for (int i = 0; i < chunk->table->n; i++)
	{
		const WfAttachment *row = &chunk->table->items[i].row;

		wf_attachment_require_start(row->process_id, row->process, chunk->owner);
	}
	chunk->allowed = true;
}

pg_noreturn static void
report_forged(const Chunk *chunk, const Start *start)
{
	ereport(ERROR, errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("row of table \"%s\" has a number that was not issued for it",
				   RelationGetRelationName(chunk->rel)),
			errdetail("The row with key %s holds \"%s\".", start->key,
					  start->serial_number != NULL ? start->serial_number : start->instance),
			errhint("Columns that workflow.attach was told to set must not be set by other triggers."));
}

pg_noreturn static void
report_refused(const Chunk *chunk, const Start *start)
{
	ereport(ERROR, errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("row of table \"%s\" was changed after it was given an instance of process \"%s\"",
				   RelationGetRelationName(chunk->rel), start->item->row.process),
			errdetail("The row with key %s does not meet the condition %s any more.", start->key,
					  start->item->row.condition),
			errhint("Rename the trigger that changes it: its name should come before \"%s\".", WF_TRIGGER_BEFORE));
}

static bool
shows(const WfRowColumn *column, const char *shown, const char *expected)
{
	if (column->attno == 0)
		return true;
	if (shown == NULL || expected == NULL)
		return shown == expected;
	return strcmp(shown, expected) == 0;
}

/* The numbers that the row was given; zeros if it holds none. */
static void
redeem(const Chunk *chunk, const Start *start, WfIssued *issued)
{
	const char *number = start->instance != NULL ? start->instance : start->serial_number;
	char		serial_number[SERIAL_NUMBER_LEN];
	char		instance[SERIAL_NUMBER_LEN];

	*issued = (WfIssued){.version = start->item->version};
	if (number == NULL)
		return;
	if (!wf_numbers_redeem(start->item->row.id, strtoll(number, NULL, 10), issued))
		report_forged(chunk, start);
	format_serial_number(issued, serial_number);
	snprintf(instance, sizeof(instance), INT64_FORMAT, issued->instance);
	if (!shows(&start->item->instance, start->instance, instance) ||
		!shows(&start->item->serial, start->serial_number,
			   issued->visit != 0 ? serial_number : NULL))
		report_forged(chunk, start);
}

/* The visit whose number the row should show, 0 for none: the same that a write-back finds in the tables. */
static int64
visit_to_show(const WfAttached *item, const WfInstance *instance)
{
	ListCell   *lc;

	foreach (lc, instance->visits)
	{
		WfVisit    *visit = lfirst(lc);
		bool		is_it;

		if (item->row.serial_step != NULL)
			is_it = visit->state != WF_STATE_INCIDENT &&
					strcmp(visit->step, item->row.serial_step) == 0;
		else
			is_it = visit->waits_for != NULL && strcmp(visit->waits_for, "callback") == 0;
		if (is_it && !visit->ended)
			return visit->id;
	}
	return 0;
}

/* No need to write to a row what it shows already. */
static bool
is_shown(const WfAttached *item, const WfInstance *instance, const WfIssued *issued)
{
	if (is_numbered(item) && issued->instance == 0)
		return false;
	if (instance->ended || instance->status != WF_STATUS_ACTIVE)
		return false;
	return item->serial.attno == 0 || visit_to_show(item, instance) == issued->visit;
}

static void
start_one(Chunk *chunk, WfBatch *batch, const Start *start)
{
	WfAttached *item = start->item;
	WfIssued	issued;
	WfStart		wanted;
	WfInstance *instance;

	redeem(chunk, start, &issued);
	if (start->refused)
		report_refused(chunk, start);
	wanted = (WfStart){.process = wf_process_get(item->row.process_id, issued.version),
		.data = start->data, .business_key = start->key, .attachment = item->row.id,
		.instance = issued.instance, .visit = issued.visit, .suspended = item->row.suspended};
	instance = wf_engine_start(batch, &wanted);
	instance->show_changed = sets_columns(item) && (start->unmarked || !is_shown(item, instance, &issued));
}

static int
compare_living(const void *a, const void *b)
{
	return strcmp(((const WfLivingKey *) a)->business_key, ((const WfLivingKey *) b)->business_key);
}

/* The starts of one attachment, except those whose key lives: their rows shall show that instance. */
static void
start_item(Chunk *chunk, WfBatch *batch, WfAttached *item)
{
	char	  **keys = palloc(sizeof(char *) * Max(chunk->n, 1));
	WfLivingKey *living;
	int			nkeys = 0;
	int			nliving;

	for (int i = 0; i < chunk->n; i++)
		if (chunk->starts[i].item == item)
			keys[nkeys++] = chunk->starts[i].key;
	if (nkeys == 0)
		return;
	nliving = wf_attachment_living(item->row.process_id, item->row.id, keys, nkeys, &living);
	for (int i = 0; i < chunk->n; i++)
	{
		Start	   *start = &chunk->starts[i];
		WfLivingKey wanted = {.business_key = start->key};
		WfLivingKey *found;

		if (start->item != item)
			continue;
		found = bsearch(&wanted, living, nliving, sizeof(WfLivingKey), compare_living);
		if (found == NULL)
			start_one(chunk, batch, start);
		else if (sets_columns(item))
			wf_attachment_write_back(found->instance, item->row.id, batch->now);
	}
}

static void
describe_start(void *arg)
{
	const Chunk *chunk = arg;

	errcontext("processes started by rows of table \"%s\"", RelationGetRelationName(chunk->rel));
}

static void
start_chunk(Chunk *chunk)
{
	ErrorContextCallback context = {.callback = describe_start, .arg = chunk,
		.previous = error_context_stack};
	MemoryContext caller = CurrentMemoryContext;
	WfAccess	access;
	WfBatch    *batch;

	if (chunk->n == 0)
		return;
	error_context_stack = &context;
	wf_store_enter(&access);
	if (!chunk->allowed)
		require_owner_may_start(chunk);
	batch = wf_batch_begin();
	for (int i = 0; i < chunk->table->n; i++)
		start_item(chunk, batch, &chunk->table->items[i]);
	wf_batch_flush(batch);
	wf_batch_end(batch);
	wf_store_leave(&access);
	MemoryContextSwitchTo(caller);
	error_context_stack = context.previous;
}

/* ---- after: where rows come from ---- */

static void
after_row(TriggerData *trigdata)
{
	Chunk		chunk = {.rel = trigdata->tg_relation};
	WfAsOwner	owner;
	HeapTuple	tuple;

	chunk.table = wf_attached_table(chunk.rel, true);
	if (chunk.table->n == 0)
		return;
	chunk.owner = wf_row_owner(chunk.table->root);
	tuple = wf_attached_fill(chunk.table, chunk.rel, trigdata->tg_trigtuple, false);
	wf_as_owner_begin(&owner, chunk.owner, chunk.table->items[0].row.search_path);
	read_row(&chunk, tuple);
	wf_as_owner_end(&owner);
	start_chunk(&chunk);
}

/*
 * Others read the same table: whoever wants a row says first which pointer is his. The row outlives a chunk: one that
 * was spilled to disk is read into current memory.
 */
static bool
next_row(Tuplestorestate *rows, int pointer, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(slot->tts_mcxt);
	bool		more;

	tuplestore_select_read_pointer(rows, pointer);
	more = tuplestore_gettupleslot(rows, true, false, slot);
	MemoryContextSwitchTo(old);
	return more;
}

static void
begin_chunk(Chunk *chunk)
{
	chunk->starts = NULL;
	chunk->n = chunk->allocated = chunk->rows = 0;
	chunk->bytes = 0;
}

/* False: these were all. What virtual columns call is in between the business of whoever inserts. */
static bool
read_chunk(Chunk *chunk, Tuplestorestate *rows, int pointer, TupleTableSlot *slot)
{
	const char *search_path = chunk->table->items[0].row.search_path;
	bool		more = true;
	WfAsOwner	owner;

	wf_as_owner_begin(&owner, chunk->owner, search_path);
	while (more && chunk->rows < CHUNK_ROWS && chunk->bytes < CHUNK_BYTES)
	{
		HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, NULL);

		if (chunk->table->has_virtual)
		{
			wf_as_owner_end(&owner);
			tuple = wf_attached_fill(chunk->table, chunk->rel, tuple, false);
			wf_as_owner_begin(&owner, chunk->owner, search_path);
		}
		read_row(chunk, tuple);
		more = next_row(rows, pointer, slot);
	}
	wf_as_owner_end(&owner);
	return more;
}

static void
after_statement(TriggerData *trigdata)
{
	Chunk		chunk = {.rel = trigdata->tg_relation};
	Tuplestorestate *rows = trigdata->tg_newtable;
	int			pointer = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(chunk.rel),
													&TTSOpsMinimalTuple);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "workflow rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	bool		more;

	tuplestore_select_read_pointer(rows, pointer);
	tuplestore_rescan(rows);
	more = next_row(rows, pointer, slot);
	if (more)
	{
		chunk.table = wf_attached_table(chunk.rel, true);
		chunk.owner = wf_row_owner(chunk.table->root);
		more = chunk.table->n > 0;
	}
	while (more)
	{
		begin_chunk(&chunk);
		old = MemoryContextSwitchTo(context);
		more = read_chunk(&chunk, rows, pointer, slot);
		start_chunk(&chunk);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(context);
}

Datum
workflow_after_insert(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "workflow_data.after_insert", false);

	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		after_row(trigdata);
	else if (trigdata->tg_newtable != NULL)
		after_statement(trigdata);
	PG_RETURN_POINTER(NULL);
}
