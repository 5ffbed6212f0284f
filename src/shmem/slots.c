/*
 * slots.c
 *		The slots of databases: finding them; and whether there is shared memory at all.
 */
#include "compat.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"

#include "shmem/slots.h"

WfShared *wf_shared = NULL;
WfSlot	 *wf_my_slot = NULL;
WfWorker *wf_my_worker = NULL;

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
	bool blocked = false;

	SpinLockAcquire(&wf_shared->mutex);
	for (int i = 0; i < WF_MAX_BLOCKS; i++)
		blocked |= wf_shared->blocks[i].database == database;
	SpinLockRelease(&wf_shared->mutex);
	return blocked;
}
