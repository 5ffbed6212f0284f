/*
 * attach_move.c
 *		Rows of attached tables that get another key: their instances follow them.
 *
 * The key of a row stands in its living instance, which is locked for the change; unlike all else that follows from rows
 * this waits for who has it, since the instance would not be found under the new key before.
 *
 * A row that an UPDATE moves to another partition is deleted there and inserted here: triggers see nothing else of it. What belongs
 * together is told by the order. Before, the trigger of kept columns expects a row of the new key, in the same command, so that it
 * is given no number. Afterwards the triggers of the two events come one after the other, and what the one command has deleted it has
 * inserted.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/tupconvert.h"
#include "access/xact.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "api/attach_internal.h"
#include "store/access.h"

/* ---- before: the row that is expected ---- */

static struct
{
	bool	  is; /* there is one */
	uint64	  transaction;
	CommandId command;
	Oid		  root;
	char	 *key;
} expected;

/* Which command of the transaction fires the trigger: its snapshot tells, whatever the triggers have run meanwhile. */
static CommandId
current_command(void)
{
	return ActiveSnapshotSet() ? GetActiveSnapshot()->curcid : InvalidCommandId;
}

char *
wf_attached_key(WfAttachedTable *table, Relation rel, HeapTuple tuple)
{
	WfAsOwner owner;
	char	 *key;

	wf_as_owner_begin(&owner, wf_row_owner(table->root), table->items[0].row.search_path);
	key = wf_row_key_text(&table->key, tuple, RelationGetDescr(rel));
	wf_as_owner_end(&owner);
	return key;
}

/* Is their key another one? */
static bool
differs(const WfAttachedTable *table, Relation rel, HeapTuple old, HeapTuple new)
{
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < table->key.n; i++)
	{
		int				  attno = table->key.columns[i].attno;
		Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
		bool			  old_isnull;
		bool			  new_isnull;
		Datum			  before = heap_getattr(old, attno, desc, &old_isnull);
		Datum			  after = heap_getattr(new, attno, desc, &new_isnull);

		if (old_isnull != new_isnull || (!old_isnull && !datum_image_eq(before, after, att->attbyval, att->attlen)))
			return true;
	}
	return false;
}

void
wf_move_expect(Relation rel, HeapTuple old, HeapTuple new)
{
	WfAttachedTable *table;
	char			*key;

	if (!rel->rd_rel->relispartition)
		return;
	table = wf_attached_table_of_changes(rel);
	if (table->n == 0 || !differs(table, rel, old, new))
		return;
	key = wf_attached_key(table, rel, new);
	if (expected.key != NULL)
		pfree(expected.key);
	expected.key = MemoryContextStrdup(TopMemoryContext, key);
	expected.root = table->root;
	expected.command = current_command();
	expected.transaction = wf_attach_transaction();
	expected.is = true;
}

bool
wf_move_is_expected(WfAttachedTable *table, Relation rel, HeapTuple tuple)
{
	bool is = expected.is && expected.transaction == wf_attach_transaction() && expected.command == current_command() &&
			  expected.root == table->root && strcmp(expected.key, wf_attached_key(table, rel, tuple)) == 0;

	if (is)
		expected.is = false;
	return is;
}

/* ---- afterwards: the row that has left ---- */

static struct
{
	bool		  has; /* one has */
	uint64		  transaction;
	CommandId	  command;
	Oid			  root;
	MemoryContext context; /* of the next two */
	TupleDesc	  desc;
	HeapTuple	  tuple;
} left;

void
wf_move_left(WfAttachedTable *table, Relation rel, HeapTuple tuple)
{
	MemoryContext caller;

	if (left.context == NULL)
		left.context = AllocSetContextCreate(TopMemoryContext, "workflow row that moves", ALLOCSET_SMALL_SIZES);
	left.has = false;
	MemoryContextReset(left.context);
	caller = MemoryContextSwitchTo(left.context);
	left.desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	left.tuple = heap_copytuple(tuple);
	MemoryContextSwitchTo(caller);
	left.root = table->root;
	left.command = HeapTupleHeaderGetCmax(tuple->t_data);
	left.transaction = wf_attach_transaction();
	left.has = true;
}

HeapTuple
wf_move_arrived(const WfAttachedTable *table, Relation rel, HeapTuple tuple)
{
	TupleConversionMap *map;

	if (!left.has || left.transaction != wf_attach_transaction() || left.root != table->root ||
		left.command != HeapTupleHeaderGetCmin(tuple->t_data))
		return NULL;
	left.has = false;
	map = convert_tuples_by_name(left.desc, RelationGetDescr(rel));
	return map != NULL ? execute_attr_map_tuple(left.tuple, map) : heap_copytuple(left.tuple);
}

/* ---- whose key it is ---- */

void
wf_rows_rekey(const WfAttachedTable *table, Oid owner, char **olds, char **news, int n, bool all)
{
	MemoryContext caller = CurrentMemoryContext;

	for (int i = 0; i < table->n && n > 0; i++)
	{
		const WfAttachment *row = &table->items[i].row;
		WfAccess			access;

		if (!all && !row->on_update)
			continue;
		wf_store_enter(&access);
		MemoryContextSwitchTo(caller);
		if (wf_attachment_rekey(row->process_id, row->id, olds, news, n))
			wf_attachment_require_start(row->process_id, row->process, owner, true);
		wf_store_leave(&access);
		MemoryContextSwitchTo(caller);
	}
}
