/*
 * relation_write.c
 *		Writing rows: what the executor does for each, in its order.
 */
#include "compat_executor.h"

#include "access/tableam.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "store/relation_internal.h"

/*
 * What is made for a row goes with it; what is made for the first one, like functions of triggers, with the use.
 */
static MemoryContext
begin_row(WfRelation *rel)
{
	CHECK_FOR_INTERRUPTS(); /* a batch may have very many */
	return MemoryContextSwitchTo(rel->passing);
}

static bool
end_row(WfRelation *rel, MemoryContext old, bool done)
{
	MemoryContextSwitchTo(old);
	ResetPerTupleExprContext(rel->estate);
	rel->changed |= done;
	return done;
}

/* ---- what a row is made of ---- */

static void
set_default(WfRelation *rel, TupleTableSlot *slot, const WfDefault *value)
{
	int i = value->attno - 1;

	slot->tts_isnull[i] = true;
	if (value->value != NULL)
		slot->tts_values[i] =
			ExecEvalExprSwitchContext(value->value, GetPerTupleExprContext(rel->estate), &slot->tts_isnull[i]);
	else if (OidIsValid(value->domain))
		domain_check((Datum) 0, true, value->domain, NULL, rel->passing);
}

static void
set_values(WfRelation *rel, TupleTableSlot *slot, const Datum *values, const bool *nulls, const bool *given)
{
	for (int i = 0; i < rel->columns->n; i++)
	{
		AttrNumber attno = rel->attnos[i];

		if (given != NULL && !given[i])
			continue;
		slot->tts_values[attno - 1] = values[i];
		slot->tts_isnull[attno - 1] = nulls[i];
	}
}

static void
make_new(WfRelation *rel, TupleTableSlot *slot, const Datum *values, const bool *nulls)
{
	ExecClearTuple(slot);
	memset(slot->tts_values, 0, sizeof(Datum) * slot->tts_tupleDescriptor->natts);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	set_values(rel, slot, values, nulls, NULL);
	for (int i = 0; i < rel->ndefaults; i++)
		set_default(rel, slot, &rel->defaults[i]);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = rel->relid;
}

/* The row that was found, which has to stay found, with what is given. */
static void
make_changed(WfRelation *rel, const Datum *values, const bool *nulls, const bool *given)
{
	TupleTableSlot *slot = rel->written;
	int				natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	slot_getallattrs(rel->found);
	memcpy(slot->tts_values, rel->found->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, rel->found->tts_isnull, sizeof(bool) * natts);
	set_values(rel, slot, values, nulls, given);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = rel->relid;
}

/* Generated columns and constraints, after the triggers that come before. */
static void
check_row(WfRelation *rel, TupleTableSlot *slot, CmdType command)
{
	const TupleConstr *constraints = RelationGetDescr(rel->rel)->constr;

	if (constraints != NULL && constraints->has_generated_stored)
		ExecComputeStoredGenerated(rel->info, rel->estate, slot, command);
	if (constraints != NULL)
		ExecConstraints(rel->info, slot, rel->estate);
	/* it was routed to the partition by its values, which only triggers can have changed */
	if (rel->partition && rel->triggers)
		(void) ExecPartitionCheck(rel->info, slot, rel->estate, true);
}

/* ---- inserting ---- */

static void
insert_alone(WfRelation *rel, TupleTableSlot *slot)
{
	List *recheck;

	table_tuple_insert(rel->rel, slot, rel->estate->es_output_cid, 0, NULL);
	recheck = wf_insert_index_entries(rel->info, slot, rel->estate, false, false);
	if (rel->triggers)
		ExecARInsertTriggers(rel->estate, rel->info, slot, recheck, NULL);
	list_free(recheck);
}

static bool
insert(WfRelation *rel, TupleTableSlot *slot)
{
	if (rel->info->ri_TrigDesc->trig_insert_before_row && !ExecBRInsertTriggers(rel->estate, rel->info, slot))
		return false;
	check_row(rel, slot, CMD_INSERT);
	insert_alone(rel, slot);
	return true;
}

/* Entries of all rows in one index: what the next one needs of it is at hand then. */
static void
insert_entries(WfRelation *rel, int index)
{
	ResultRelInfo one = *rel->info;

	one.ri_NumIndices = 1;
	one.ri_IndexRelationDescs += index;
	one.ri_IndexRelationInfo += index;
	for (int i = 0; i < rel->nwaiting; i++)
	{
		list_free(wf_insert_index_entries(&one, rel->waiting[i], rel->estate, false, false));
		ResetPerTupleExprContext(rel->estate);
	}
}

static void
insert_together(WfRelation *rel)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(rel->estate));

	table_multi_insert(rel->rel, rel->waiting, rel->nwaiting, rel->estate->es_output_cid, 0, NULL);
	MemoryContextSwitchTo(old);
	ResetPerTupleExprContext(rel->estate);
	for (int i = 0; i < rel->info->ri_NumIndices; i++)
		insert_entries(rel, i);
}

static void
insert_waiting(WfRelation *rel)
{
	MemoryContext old = MemoryContextSwitchTo(rel->passing);

	if (rel->nwaiting == 1)
		insert_alone(rel, rel->waiting[0]);
	else if (rel->nwaiting > 1)
		insert_together(rel);
	for (int i = 0; i < rel->nwaiting; i++)
		ExecClearTuple(rel->waiting[i]);
	rel->nwaiting = 0;
	rel->waiting_bytes = 0;
	ResetPerTupleExprContext(rel->estate);
	MemoryContextSwitchTo(old);
}

/* What it is made of goes, so the row is formed here. */
static void
let_wait(WfRelation *rel, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot = wf_relation_waiting_slot(rel);

	rel->insert_waiting = insert_waiting;
	make_new(rel, slot, values, nulls);
	check_row(rel, slot, CMD_INSERT);
	rel->waiting_bytes += ExecFetchSlotHeapTuple(slot, true, NULL)->t_len;
	if (++rel->nwaiting == WF_ROWS_TOGETHER || rel->waiting_bytes > WF_BYTES_TOGETHER)
		insert_waiting(rel);
}

bool
wf_relation_insert(WfRelation *rel, const Datum *values, const bool *nulls)
{
	MemoryContext old = begin_row(rel);

	wf_relation_open_indexes(rel);
	if (!rel->triggers)
	{
		let_wait(rel, values, nulls);
		return end_row(rel, old, true);
	}
	make_new(rel, rel->written, values, nulls);
	return end_row(rel, old, insert(rel, rel->written));
}

/* ---- updating ---- */

static void
update_indexes(WfRelation *rel, ItemPointer tid, WfUpdateIndexes which)
{
	List *recheck = NIL;

	if (WF_UPDATES_INDEXES(which))
	{
		wf_relation_open_indexes(rel);
		recheck = wf_insert_index_entries(rel->info, rel->written, rel->estate, true, WF_UPDATES_SUMMARIZING(which));
	}
	if (rel->triggers)
		ExecARUpdateTriggers(rel->estate, rel->info, NULL, NULL, tid, NULL, rel->written, recheck, NULL, false);
	list_free(recheck);
}

/* Triggers get the row locked, in its latest version. */
static bool
before_update(WfRelation *rel, const Datum *values, const bool *nulls, const bool *given)
{
	EPQState none = {0}; /* nothing is left to be looked at again */

	if (!rel->triggers || !rel->info->ri_TrigDesc->trig_update_before_row)
	{
		make_changed(rel, values, nulls, given);
		return true;
	}
	if (!wf_relation_follow(rel, &rel->found->tts_tid, ExecUpdateLockMode(rel->estate, rel->info), LockWaitBlock, 0,
							"updated"))
		return false;
	make_changed(rel, values, nulls, given);
	return wf_before_update(rel->estate, &none, rel->info, &rel->found->tts_tid, rel->written);
}

static bool
update(WfRelation *rel, const Datum *values, const bool *nulls, const bool *given)
{
	TM_FailureData	failure;
	LockTupleMode	mode;
	WfUpdateIndexes which;
	WfRowFate		fate;

	if (!before_update(rel, values, nulls, given))
		return false;
	check_row(rel, rel->written, CMD_UPDATE);
	fate = wf_relation_judge(rel,
							 wf_row_update(rel->rel, &rel->found->tts_tid, rel->written, rel->estate->es_output_cid,
										   wf_relation_snapshot(rel), rel->estate->es_crosscheck_snapshot, &failure,
										   &mode, &which),
							 &failure, "updated");
	if (fate == WF_ROW_AGAIN)
		return wf_relation_follow(rel, &rel->found->tts_tid, mode, LockWaitBlock, 0, "updated") &&
			   update(rel, values, nulls, given);
	if (fate == WF_ROW_GONE)
		return false;
	update_indexes(rel, &rel->found->tts_tid, which);
	return true;
}

bool
wf_relation_update(WfRelation *rel, const WfRowPlace *row, const Datum *values, const bool *nulls, const bool *given)
{
	MemoryContext old = begin_row(rel);

	return end_row(rel, old, wf_relation_find_again(rel, row) && update(rel, values, nulls, given));
}

ItemPointerData
wf_relation_new_place(WfRelation *rel)
{
	return rel->written->tts_tid;
}

/* ---- deleting ---- */

static bool
before_delete(WfRelation *rel)
{
	EPQState none = {0};

	if (!rel->triggers || !rel->info->ri_TrigDesc->trig_delete_before_row)
		return true;
	return wf_relation_follow(rel, &rel->found->tts_tid, LockTupleExclusive, LockWaitBlock, 0, "deleted") &&
		   wf_before_delete(rel->estate, &none, rel->info, &rel->found->tts_tid);
}

static bool
delete_found(WfRelation *rel)
{
	TM_FailureData failure;
	WfRowFate	   fate;

	if (!before_delete(rel))
		return false;
	fate = wf_relation_judge(rel,
							 wf_row_delete(rel->rel, &rel->found->tts_tid, rel->estate->es_output_cid,
										   wf_relation_snapshot(rel), rel->estate->es_crosscheck_snapshot, &failure),
							 &failure, "deleted");
	if (fate == WF_ROW_AGAIN)
		return wf_relation_follow(rel, &rel->found->tts_tid, LockTupleExclusive, LockWaitBlock, 0, "deleted") &&
			   delete_found(rel);
	if (fate == WF_ROW_GONE)
		return false;
	if (rel->triggers)
		ExecARDeleteTriggers(rel->estate, rel->info, &rel->found->tts_tid, NULL, NULL, false);
	return true;
}

bool
wf_relation_delete(WfRelation *rel, const WfRowPlace *row)
{
	MemoryContext old = begin_row(rel);

	return end_row(rel, old, wf_relation_find_again(rel, row) && delete_found(rel));
}
