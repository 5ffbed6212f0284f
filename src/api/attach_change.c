/*
 * attach_change.c
 *		The triggers of attached tables for what becomes of rows: on_update, on_delete.
 *
 * A statement's rows come from its transition tables, in chunks, so that memory stays bounded; those of
 * partitions row by row, as on INSERT. What changes is worked out here, as the table's owner where code
 * of users runs; what follows for the instances is in attach_follow.c.
 *
 * What a write-back does to its row is no change. Instances of rows whose key is changed get the new key first, all of a statement
 * together, since keys may be exchanged. Both tables of an UPDATE have its rows in the same order.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "api/attach_internal.h"
#include "store/access.h"
#include "store/version.h"

WF_FUNCTION(workflow_after_update);
WF_FUNCTION(workflow_after_delete);
WF_FUNCTION(workflow_after_truncate);

static TriggerData *
change_trigger_data(FunctionCallInfo fcinfo, const char *function, TriggerEvent event)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || (trigdata->tg_event & TRIGGER_EVENT_OPMASK) != event ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" is called by the triggers of attached tables only", function),
				errhint("Use workflow.attach."));
	return trigdata;
}

/* ---- what has changed in a row ---- */

/* Do two values look the same? A value outside of the row that nobody touched is not fetched. */
static bool
is_same_value(Datum a, Datum b, const FormData_pg_attribute *att)
{
	if (!att->attbyval && att->attlen == -1)
	{
		struct varlena *left = (struct varlena *) DatumGetPointer(a);
		struct varlena *right = (struct varlena *) DatumGetPointer(b);

		if (VARATT_IS_EXTERNAL_ONDISK(left) && VARATT_IS_EXTERNAL_ONDISK(right) &&
			memcmp(left, right, VARSIZE_EXTERNAL(left)) == 0)
			return true;
	}
	return datum_image_eq(a, b, att->attbyval, att->attlen);
}

static bool
has_changed(const TupleTableSlot *old, const TupleTableSlot *new, int i)
{
	if (old->tts_isnull[i] || new->tts_isnull[i])
		return old->tts_isnull[i] != new->tts_isnull[i];
	return !is_same_value(old->tts_values[i], new->tts_values[i], TupleDescAttr(new->tts_tupleDescriptor, i));
}

/* Find the columns that differ, but for those that attach keeps. Returns whether there are any. */
static bool
find_changed(const WfAttachedTable *table, TupleTableSlot *old, TupleTableSlot *new, bool *changed)
{
	TupleDesc desc = new->tts_tupleDescriptor;
	bool	  any = false;

	slot_getallattrs(old);
	slot_getallattrs(new);
	for (int i = 0; i < desc->natts; i++)
	{
		changed[i] = !TupleDescAttr(desc, i)->attisdropped && !table->kept[i] && has_changed(old, new, i);
		any |= changed[i];
	}
	return any;
}

static bool
has_another_key(const WfAttachedTable *table, TupleTableSlot *old, TupleTableSlot *new)
{
	for (int i = 0; i < table->key.n; i++)
	{
		int attno = table->key.columns[i].attno;

		slot_getsomeattrs(old, attno);
		slot_getsomeattrs(new, attno);
		if (has_changed(old, new, attno - 1))
			return true;
	}
	return false;
}

/* The new row with its key and what has changed alone, so that nothing else is made JSON. */
static HeapTuple
changed_row(const WfAttachedTable *table, TupleTableSlot *new, const bool *changed)
{
	TupleDesc desc = new->tts_tupleDescriptor;
	bool	 *nulls = palloc(sizeof(bool) * desc->natts);

	for (int i = 0; i < desc->natts; i++)
		nulls[i] = new->tts_isnull[i] || !(changed[i] || table->of_key[i]);
	return heap_form_tuple(desc, new->tts_values, nulls);
}

/* To be called between wf_as_owner_begin and wf_as_owner_end, with rows that have all their columns. */
static void
add_updated(WfFollowing *following, TupleTableSlot *old, TupleTableSlot *new)
{
	WfAttachedTable *table = following->table;
	TupleDesc		 desc = new->tts_tupleDescriptor;
	bool			*changed = palloc(sizeof(bool) * desc->natts);
	HeapTuple		 tuple;

	if (!find_changed(table, old, new, changed))
		return;
	tuple = changed_row(table, new, changed);
	wf_following_add(following, wf_row_key_text(&table->key, tuple, desc),
					 wf_attached_pick(wf_attached_row(table, following->rel, tuple), desc, changed));
}

static void
add_deleted(WfFollowing *following, HeapTuple tuple)
{
	wf_following_add(following, wf_row_key_text(&following->table->key, tuple, RelationGetDescr(following->rel)), NULL);
}

/* ---- where rows come from ---- */

typedef struct Rows
{
	Tuplestorestate *store;
	int				 pointer; /* others read the same tuplestore */
	TupleTableSlot	*slot;
	TupleTableSlot	*filled; /* the row with its virtual columns */
} Rows;

static void
rewind_rows(Rows *rows)
{
	tuplestore_select_read_pointer(rows->store, rows->pointer);
	tuplestore_rescan(rows->store);
}

static void
open_rows(Rows *rows, Tuplestorestate *store, TupleDesc desc)
{
	rows->store = store;
	rows->pointer = tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND);
	rows->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	rows->filled = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	rewind_rows(rows);
}

static bool
next_row(Rows *rows)
{
	MemoryContext old = MemoryContextSwitchTo(rows->slot->tts_mcxt);
	bool		  more;

	tuplestore_select_read_pointer(rows->store, rows->pointer);
	more = tuplestore_gettupleslot(rows->store, true, false, rows->slot);
	MemoryContextSwitchTo(old);
	return more;
}

static void
close_rows(Rows *rows)
{
	ExecDropSingleTupleTableSlot(rows->slot);
	ExecDropSingleTupleTableSlot(rows->filled);
}

/* The row that was read, with all its columns. To be called as the role that has changed it. */
static TupleTableSlot *
whole_row(WfFollowing *following, Rows *rows)
{
	HeapTuple tuple;

	if (!following->table->has_virtual)
		return rows->slot;
	tuple = ExecFetchSlotHeapTuple(rows->slot, false, NULL);
	return ExecStoreHeapTuple(wf_attached_fill(following->table, following->rel, tuple, false), rows->filled, false);
}

/* Read rows until the chunk is full. Returns false if these were the last ones. `old` may be NULL. */
static bool
read_rows(WfFollowing *following, Rows *old, Rows *new)
{
	WfAsOwner owner;

	while (!wf_following_is_full(following))
	{
		TupleTableSlot *before;
		TupleTableSlot *after;

		if (!next_row(old) || (new != NULL && !next_row(new)))
			return false;
		before = whole_row(following, old);
		after = new != NULL ? whole_row(following, new) : NULL;
		wf_as_owner_begin(&owner, following->owner, following->table->items[0].row.search_path);
		if (after != NULL)
			add_updated(following, before, after);
		else
			add_deleted(following, ExecFetchSlotHeapTuple(before, false, NULL));
		wf_as_owner_end(&owner);
	}
	return true;
}

/* Rows that have got another key. */
typedef struct Rekeyed
{
	char **olds;
	char **news;
	int	   n;
	int	   allocated;
} Rekeyed;

/* To be called between wf_as_owner_begin and wf_as_owner_end. */
static void
note_rekeyed(Rekeyed *rekeyed, WfAttachedTable *table, TupleTableSlot *old, TupleTableSlot *new)
{
	TupleDesc desc = new->tts_tupleDescriptor;

	if (rekeyed->n == rekeyed->allocated)
	{
		bool first = rekeyed->allocated == 0;

		rekeyed->allocated = Max(8, rekeyed->allocated * 2);
		rekeyed->olds = first ? palloc(sizeof(char *) * rekeyed->allocated)
							  : repalloc_huge(rekeyed->olds, sizeof(char *) * rekeyed->allocated);
		rekeyed->news = first ? palloc(sizeof(char *) * rekeyed->allocated)
							  : repalloc_huge(rekeyed->news, sizeof(char *) * rekeyed->allocated);
	}
	rekeyed->olds[rekeyed->n] = wf_row_key_text(&table->key, ExecFetchSlotHeapTuple(old, false, NULL), desc);
	rekeyed->news[rekeyed->n++] = wf_row_key_text(&table->key, ExecFetchSlotHeapTuple(new, false, NULL), desc);
}

/* Those of the statement; they are mostly none, and comparing keys is cheap. */
static void
rekey_statement(WfFollowing *following, Rows *before, Rows *after)
{
	WfAttachedTable *table = following->table;
	Rekeyed			 rekeyed = {0};
	WfAsOwner		 owner;

	while (next_row(before) && next_row(after))
	{
		CHECK_FOR_INTERRUPTS();
		if (!has_another_key(table, before->slot, after->slot))
			continue;
		wf_as_owner_begin(&owner, following->owner, table->items[0].row.search_path);
		note_rekeyed(&rekeyed, table, before->slot, after->slot);
		wf_as_owner_end(&owner);
	}
	wf_rows_rekey(table, following->owner, rekeyed.olds, rekeyed.news, rekeyed.n, false);
	rewind_rows(before);
	rewind_rows(after);
}

static void
follow_statement(WfFollowing *following, Tuplestorestate *old, Tuplestorestate *new)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "workflow rows", ALLOCSET_DEFAULT_SIZES);
	TupleDesc	  desc = RelationGetDescr(following->rel);
	Rows		  before;
	Rows		  after;
	bool		  more = true;

	open_rows(&before, old, desc);
	if (new != NULL)
	{
		MemoryContext caller;

		open_rows(&after, new, desc);
		caller = MemoryContextSwitchTo(context);
		rekey_statement(following, &before, &after);
		MemoryContextSwitchTo(caller);
	}
	while (more)
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		wf_following_begin(following);
		more = read_rows(following, &before, new != NULL ? &after : NULL);
		wf_following_end(following);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	close_rows(&before);
	if (new != NULL)
		close_rows(&after);
	MemoryContextDelete(context);
}

static TupleTableSlot *
slot_of(WfFollowing *following, HeapTuple tuple)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(following->rel), &TTSOpsHeapTuple);

	tuple = wf_attached_fill(following->table, following->rel, tuple, false);
	return ExecStoreHeapTuple(tuple, slot, false);
}

static void
follow_deleted_row(WfFollowing *following, HeapTuple tuple)
{
	WfAsOwner owner;

	wf_following_begin(following);
	wf_as_owner_begin(&owner, following->owner, following->table->items[0].row.search_path);
	add_deleted(following, tuple);
	wf_as_owner_end(&owner);
	wf_following_end(following);
}

/* `moved`: to another partition. */
static void
follow_updated_row(WfFollowing *following, HeapTuple old, HeapTuple new, bool moved)
{
	const char	   *search_path = following->table->items[0].row.search_path;
	WfAsOwner		owner;
	TupleTableSlot *before = slot_of(following, old);
	TupleTableSlot *after = slot_of(following, new);
	Rekeyed			rekeyed = {0};

	if (has_another_key(following->table, before, after))
	{
		wf_as_owner_begin(&owner, following->owner, search_path);
		note_rekeyed(&rekeyed, following->table, before, after);
		wf_as_owner_end(&owner);
		wf_rows_rekey(following->table, following->owner, rekeyed.olds, rekeyed.news, 1, moved);
	}
	wf_following_begin(following);
	wf_as_owner_begin(&owner, following->owner, search_path);
	add_updated(following, before, after);
	wf_as_owner_end(&owner);
	wf_following_end(following);
	ExecDropSingleTupleTableSlot(before);
	ExecDropSingleTupleTableSlot(after);
}

void
wf_attached_moved(WfAttachedTable *table, Relation rel, HeapTuple old, HeapTuple new)
{
	WfFollowing following = {.table = table, .rel = rel, .owner = wf_row_owner(table->root)};

	follow_updated_row(&following, old, new, true);
}

/* ---- the triggers ---- */

/* Returns false if nothing follows from what happens to rows of this table. */
static bool
begin(FunctionCallInfo fcinfo, TriggerData *trigdata, WfFollowing *following)
{
	following->rel = trigdata->tg_relation;
	if (wf_attached_writing(fcinfo, following->rel) != NULL)
		return false;
	following->table = wf_attached_table_of_changes(following->rel);
	if (following->table->n == 0)
		return false;
	following->owner = wf_row_owner(following->table->root);
	return true;
}

/* What follows from one row, or from TRUNCATE, by the trigger that fires. */
typedef struct Follow
{
	WfFollowing *following;
	TriggerData *trigdata;
} Follow;

static bool
follow_event(void *arg)
{
	Follow		*follow = arg;
	TriggerData *trigdata = follow->trigdata;

	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		wf_following_truncated(follow->following);
	else if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		follow_updated_row(follow->following, trigdata->tg_trigtuple, trigdata->tg_newtuple, false);
	else
		follow_deleted_row(follow->following, trigdata->tg_trigtuple);
	return true;
}

static void
follow_trigger(WfFollowing *following, TriggerData *trigdata)
{
	Follow		follow = {following, trigdata};
	HeapTuple	tuple = trigdata->tg_newtuple != NULL ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	const char *operation = TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) ? "truncate"
							: TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? "update"
																		  : "delete";

	if (wf_attached_is_replicated(following->table))
		wf_replicated_run(following->table, operation,
						  tuple != NULL ? wf_attached_key(following->table, following->rel, tuple) : NULL, follow_event,
						  &follow);
	else
		(void) follow_event(&follow);
}

Datum
workflow_after_update(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = change_trigger_data(fcinfo, "workflow_data.after_update", TRIGGER_EVENT_UPDATE);
	WfFollowing	 following = {0};

	if (!begin(fcinfo, trigdata, &following))
		PG_RETURN_POINTER(NULL);
	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		follow_trigger(&following, trigdata);
	else if (trigdata->tg_oldtable != NULL && trigdata->tg_newtable != NULL)
		follow_statement(&following, trigdata->tg_oldtable, trigdata->tg_newtable);
	PG_RETURN_POINTER(NULL);
}

Datum
workflow_after_delete(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = change_trigger_data(fcinfo, "workflow_data.after_delete", TRIGGER_EVENT_DELETE);
	WfFollowing	 following = {.deleted = true};

	if (!begin(fcinfo, trigdata, &following))
		PG_RETURN_POINTER(NULL);
	if (!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
	{
		if (trigdata->tg_oldtable != NULL)
			follow_statement(&following, trigdata->tg_oldtable, NULL);
	}
	else if (HeapTupleHeaderIndicatesMovedPartitions(trigdata->tg_trigtuple->t_data))
		wf_move_left(following.table, following.rel, trigdata->tg_trigtuple);
	else
		follow_trigger(&following, trigdata);
	PG_RETURN_POINTER(NULL);
}

Datum
workflow_after_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = change_trigger_data(fcinfo, "workflow_data.after_truncate", TRIGGER_EVENT_TRUNCATE);
	WfFollowing	 following = {.deleted = true};

	if (begin(fcinfo, trigdata, &following))
		follow_trigger(&following, trigdata);
	PG_RETURN_POINTER(NULL);
}
