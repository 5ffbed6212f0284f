/*
 * relation_find.c
 *		Finding rows by the primary key of their table, and locking them.
 */
#include "compat.h"
#include "compat_executor.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

#include "store/relation_internal.h"

/* ---- finding ---- */

static void
begin_scan(WfRelation *rel)
{
	int			  nkeys = rel->nwanted;
	MemoryContext old = MemoryContextSwitchTo(rel->passing);

	if (!OidIsValid(rel->key) || nkeys > rel->nkey_attnos)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" has lost its primary key", RelationGetRelationName(rel->rel)),
				errhint("Make it again as it was: \\d of a new database with the extension shows it."));
	if (rel->key_index == NULL)
		rel->key_index = index_open(rel->key, AccessShareLock);
	if (rel->scan != NULL && rel->scan->numberOfKeys != nkeys)
	{
		index_endscan(rel->scan);
		rel->scan = NULL;
	}
	if (rel->scan == NULL)
		rel->scan = wf_index_beginscan(rel->rel, rel->key_index, wf_relation_snapshot(rel), nkeys);
	MemoryContextSwitchTo(old);
}

static void
set_keys(WfRelation *rel, const int64 *keys, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
		ScanKeyInit(&rel->wanted[i], i + 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(keys[i]));
	rel->nwanted = nkeys;
}

bool
wf_relation_find(WfRelation *rel, const int64 *keys, int nkeys)
{
	set_keys(rel, keys, nkeys);
	begin_scan(rel);
	index_rescan(rel->scan, rel->wanted, nkeys, NULL, 0);
	return wf_relation_next(rel);
}

bool
wf_relation_find_again(WfRelation *rel, const WfRowPlace *row)
{
	set_keys(rel, row->keys, row->nkeys);
	if (ItemPointerIsValid(&row->place))
	{
		ItemPointerData place = row->place;

		CHECK_FOR_INTERRUPTS();
		if (table_tuple_fetch_row_version(rel->rel, &place, wf_relation_snapshot(rel), rel->found) &&
			wf_relation_is_wanted(rel))
			return true;
	}
	return wf_relation_find(rel, row->keys, row->nkeys);
}

/* A table gets shorter only while nobody has it open. */
static bool
is_within(WfRelation *rel, const ItemPointerData *place)
{
	if (rel->nblocks == InvalidBlockNumber)
		rel->nblocks = RelationGetNumberOfBlocks(rel->rel);
	return ItemPointerGetBlockNumber(place) < rel->nblocks;
}

bool
wf_relation_find_at(WfRelation *rel, const WfRowPlace *row)
{
	WfRowPlace at = *row;

	if (ItemPointerIsValid(&at.place) && !is_within(rel, &at.place))
		ItemPointerSetInvalid(&at.place);
	return wf_relation_find_again(rel, &at);
}

bool
wf_relation_next(WfRelation *rel)
{
	CHECK_FOR_INTERRUPTS();
	return index_getnext_slot(rel->scan, ForwardScanDirection, rel->found);
}

bool
wf_relation_is_wanted(WfRelation *rel)
{
	for (int i = 0; i < rel->nwanted; i++)
		if (wf_relation_key(rel, i) != DatumGetInt64(rel->wanted[i].sk_argument))
			return false;
	return true;
}

Datum
wf_relation_value(WfRelation *rel, int column, bool *isnull)
{
	return slot_getattr(rel->found, rel->attnos[column], isnull);
}

int64
wf_relation_key(WfRelation *rel, int column)
{
	bool  isnull;
	Datum value = slot_getattr(rel->found, rel->key_attnos[column], &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

Size
wf_relation_row_size(WfRelation *rel, bool *has_external)
{
	bool	  should_free;
	HeapTuple tuple = ExecFetchSlotHeapTuple(rel->found, false, &should_free);
	Size	  size = tuple->t_len;

	*has_external = HeapTupleHasExternal(tuple);
	if (should_free)
		heap_freetuple(tuple);
	return size;
}

ItemPointerData
wf_relation_place(WfRelation *rel)
{
	return rel->found->tts_tid;
}

/* ---- locking ---- */

pg_noreturn static void
changed_by_trigger(const char *what)
{
	ereport(ERROR, errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("tuple to be %s was already modified by an operation triggered by the current command", what),
			errhint("Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows."));
}

static void
check_level(const char *change)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access due to concurrent %s", change));
}

WfRowFate
wf_relation_judge(WfRelation *rel, TM_Result result, const TM_FailureData *failure, const char *what)
{
	switch (result)
	{
		case TM_Ok:
			return WF_ROW_DONE;
		case TM_WouldBlock:
			return WF_ROW_GONE;
		case TM_SelfModified:
			/* by this use: it is over with. By a trigger, or something else that ran meanwhile: that must not be lost. */
			if (failure->cmax != rel->estate->es_output_cid && rel->use != WF_RELATION_LOCK)
				changed_by_trigger(what);
			return WF_ROW_GONE;
		case TM_Updated:
			check_level("update");
			return WF_ROW_AGAIN;
		case TM_Deleted:
			check_level(rel->use == WF_RELATION_LOCK ? "update" : "delete");
			return WF_ROW_GONE;
		default:
			elog(ERROR, "a row that is to be %s has the unexpected status %d", what, (int) result);
	}
	return WF_ROW_GONE; /* keep compiler quiet */
}

bool
wf_relation_follow(WfRelation *rel, ItemPointer tid, LockTupleMode mode, LockWaitPolicy policy, uint8 flags,
				   const char *what)
{
	TM_FailureData	failure;
	TM_Result		result;
	ItemPointerData from = *tid; /* the slot may be where it is */

	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	ExecClearTuple(rel->found);
	result = table_tuple_lock(rel->rel, &from, wf_relation_snapshot(rel), rel->found, rel->estate->es_output_cid, mode,
							  policy, flags, &failure);
	switch (wf_relation_judge(rel, result, &failure, what))
	{
		case WF_ROW_DONE:
			return !failure.traversed || wf_relation_is_wanted(rel);
		case WF_ROW_AGAIN:
			elog(ERROR, "the latest version of a row was not found");
			break;
		case WF_ROW_GONE:
			break;
	}
	return false;
}

bool
wf_relation_lock(WfRelation *rel, LockWaitPolicy policy)
{
	return wf_relation_follow(rel, &rel->found->tts_tid, LockTupleNoKeyExclusive, policy,
							  TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS, "locked");
}
