/*
 * slots.c
 *		The slots of databases: finding them, and simple functions on them.
 */
#include "compat.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"

#include "shmem/slots.h"

WfShared   *wf_shared = NULL;
WfSlot	   *wf_my_slot = NULL;
WfWorker   *wf_my_worker = NULL;

void
wf_shmem_require(void)
{
	if (unlikely(wf_shared == NULL))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("workflow must be loaded via \"shared_preload_libraries\""),
				errhint("Add workflow to shared_preload_libraries in postgresql.conf and restart the server."));
}

int
wf_my_procno(void)
{
	return MyProc - ProcGlobal->allProcs;
}

void
wf_set_latch(int procno)
{
	if (procno != WF_NO_PROC)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

WfSlot *
wf_slot_of(Oid database)
{
	static WfSlot *last = NULL;

	if (wf_shared == NULL || !OidIsValid(database))
		return NULL;
	if (last != NULL && last->database == database)
		return last;
	for (int i = 0; i < wf_shared->nslots; i++)
	{
		if (wf_shared->slots[i].database == database)
			return last = &wf_shared->slots[i];
	}
	return NULL;
}

bool
wf_database_blocked(Oid database)
{
	bool		blocked = false;

	SpinLockAcquire(&wf_shared->mutex);
	for (int i = 0; i < WF_MAX_BLOCKS; i++)
		blocked |= wf_shared->blocks[i].database == database;
	SpinLockRelease(&wf_shared->mutex);
	return blocked;
}

/* Find the slot of this database and take its mutex; NULL if it has no slot. */
static WfSlot *
lock_own_slot(void)
{
	WfSlot	   *slot = wf_slot_of(MyDatabaseId);

	if (slot == NULL)
		return NULL;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == MyDatabaseId)
		return slot;
	SpinLockRelease(&slot->mutex);
	return NULL;
}

bool
wf_timeline_checked(void)
{
	WfSlot	   *slot = lock_own_slot();
	bool		checked;

	if (slot == NULL)
		return false;
	checked = slot->timeline_checked;
	SpinLockRelease(&slot->mutex);
	return checked;
}

void
wf_timeline_set_checked(bool checked)
{
	WfSlot	   *slot = lock_own_slot();

	if (slot == NULL)
		return;
	slot->timeline_checked = checked;
	SpinLockRelease(&slot->mutex);
}

WfPause
wf_pause_get(void)
{
	WfSlot	   *slot = lock_own_slot();
	WfPause		pause;

	if (slot == NULL)
		return WF_PAUSE_UNKNOWN;
	pause = slot->pause;
	SpinLockRelease(&slot->mutex);
	return pause;
}

void
wf_pause_set(WfPause pause)
{
	WfSlot	   *slot = lock_own_slot();

	if (slot == NULL)
		return;
	slot->pause = pause;
	SpinLockRelease(&slot->mutex);
}

TimestampTz
wf_upkeep_say(const char *failure, const char *error)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz since;
	char		cut[WF_UPKEEP_ERROR_LEN] = "";
	WfSlot	   *slot;

	if (failure != NULL)
		strlcpy(cut, error, pg_mbcliplen(error, strlen(error), sizeof(cut) - 1) + 1);
	slot = lock_own_slot();
	if (slot == NULL)
		return failure != NULL ? now : 0;
	if (failure == NULL)
		slot->upkeep_failing_since = 0;
	else if (slot->upkeep_failing_since == 0)
		slot->upkeep_failing_since = now;
	since = slot->upkeep_failing_since;
	strlcpy(slot->upkeep_failure, failure != NULL ? failure : "", sizeof(slot->upkeep_failure));
	strlcpy(slot->upkeep_error, cut, sizeof(slot->upkeep_error));
	SpinLockRelease(&slot->mutex);
	return since;
}
