/*
 * locked.c
 *		Whether an instance is locked, found out without waiting and without writing to its row.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "store/access.h"
#include "store/locked.h"

/* Is the transaction running, and does it count? */
static bool
counts(TransactionId xid, bool own)
{
	return TransactionIdIsInProgress(xid) && (own || !TransactionIdIsCurrentTransactionId(xid));
}

/*
 * Does a running transaction of the multixact hold a lock that conflicts? Key share locks do not:
 * foreign keys take them.
 */
static bool
any_holds(MultiXactId multi, bool only_locked, bool own)
{
	MultiXactMember *members;
	int				 n = GetMultiXactIdMembers(multi, &members, false, only_locked);

	for (int i = 0; i < n; i++)
		if (members[i].status != MultiXactStatusForKeyShare && counts(members[i].xid, own))
			return true;
	return false;
}

static bool
is_held(TransactionId xmax, uint16 infomask, bool own)
{
	bool only_locked = HEAP_XMAX_IS_LOCKED_ONLY(infomask);

	if ((infomask & HEAP_XMAX_INVALID) != 0 || HEAP_LOCKED_UPGRADED(infomask))
		return false;
	if ((infomask & HEAP_XMAX_IS_MULTI) != 0)
		return any_holds(xmax, only_locked, own);
	if (only_locked && HEAP_XMAX_IS_KEYSHR_LOCKED(infomask))
		return false;
	return counts(xmax, own);
}

/* Read xmax and its flags, under the buffer lock, since they belong together. */
static bool
looks_held(TupleTableSlot *slot, HeapTuple tuple, bool own)
{
	Buffer		  buffer = ((BufferHeapTupleTableSlot *) slot)->buffer;
	TransactionId xmax;
	uint16		  infomask;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	xmax = HeapTupleHeaderGetRawXmax(tuple->t_data);
	infomask = tuple->t_data->t_infomask;
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	return is_held(xmax, infomask, own);
}

/* `own`: this transaction counts as well. */
static bool
is_locked(int64 instance, bool own)
{
	Relation	rel = table_open(wf_store_relation("instance"), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		held = false;

	ScanKeyInit(&key, get_attnum(RelationGetRelid(rel), "instance"), BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(instance));
	scan = systable_beginscan(rel, wf_store_relation("instance_pkey"), true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple) && TTS_IS_BUFFERTUPLE(scan->slot))
		held = looks_held(scan->slot, tuple, own);
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return held;
}

bool
wf_instance_is_locked(int64 instance)
{
	return is_locked(instance, true);
}

bool
wf_instance_is_locked_by_others(int64 instance)
{
	return is_locked(instance, false);
}
