/*
 * shmem.c
 *		The shared memory itself: its size, its making, the slots of databases and what is simple about them.
 *
 * One area, made while preloading, never resized. A slot belongs to a database from the moment the launcher first
 * looks at it until the launcher gives it back; see slots.h for the locks.
 */
#include "compat.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "shmem/slots.h"

WfShared   *wf_shared = NULL;
WfSlot	   *wf_my_slot = NULL;
WfWorker   *wf_my_worker = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static int
slot_count(void)
{
	return wf_setting_databases + WF_PROBE_SLOTS;
}

static Size
slots_size(void)
{
	return add_size(offsetof(WfShared, slots), mul_size(slot_count(), sizeof(WfSlot)));
}

static Size
waiters_size(void)
{
	return mul_size(MaxBackends, sizeof(WfWaiter));
}

static void
request_shmem(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(add_size(slots_size(), waiters_size()));
	RequestNamedLWLockTranche("workflow", 2);
}

static void
init_slot(WfSlot *slot)
{
	memset(slot, 0, sizeof(*slot));
	SpinLockInit(&slot->mutex);
	ConditionVariableInit(&slot->gone);
	slot->dispatcher_procno = WF_NO_PROC;
}

static void
init_shared(void)
{
	memset(wf_shared, 0, offsetof(WfShared, slots));
	wf_shared->lock = &GetNamedLWLockTranche("workflow")->lock;
	wf_careful_init(&wf_shared->careful, &GetNamedLWLockTranche("workflow")[1].lock);
	SpinLockInit(&wf_shared->mutex);
	wf_shared->launcher_procno = WF_NO_PROC;
	wf_shared->requests.scan = true;
	pg_atomic_init_u32(&wf_shared->nwaiters, 0);
	wf_shared->nslots = slot_count();
	for (int i = 0; i < wf_shared->nslots; i++)
		init_slot(&wf_shared->slots[i]);
}

static void
init_waiters(void)
{
	wf_shared->nprocs = MaxBackends;
	for (int i = 0; i < wf_shared->nprocs; i++)
	{
		wf_shared->waiters[i].database = InvalidOid;
		pg_atomic_init_u64(&wf_shared->waiters[i].instance, 0);
		pg_atomic_init_u32(&wf_shared->waiters[i].woken, 0);
	}
}

static void
startup_shmem(void)
{
	bool		found;
	WfWaiter   *waiters;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	wf_shared = ShmemInitStruct("workflow", slots_size(), &found);
	if (!found)
		init_shared();
	waiters = ShmemInitStruct("workflow waiters", waiters_size(), &found);
	if (!found)
	{
		wf_shared->waiters = waiters;
		init_waiters();
	}
	LWLockRelease(AddinShmemInitLock);
}

void
wf_shmem_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

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

/* Generations go on counting: a process that was started for the slot's former database must not be let in. */
void
wf_slot_assign(WfSlot *slot, Oid database)
{
	Assert(LWLockHeldByMeInMode(wf_shared->lock, LW_EXCLUSIVE));
	slot->confirmed = false;
	slot->verdict = WF_VERDICT_NONE;
	memset(slot->failing, 0, sizeof(slot->failing));

	SpinLockAcquire(&slot->mutex);
	slot->database = database;
	slot->want_unlocks = slot->want_executors = slot->executors_refused = false;
	slot->timeline_checked = false;
	slot->pause = WF_PAUSE_UNKNOWN;
	slot->upkeep_failing_since = 0;
	slot->upkeep_failure[0] = slot->upkeep_error[0] = '\0';
	slot->notes.n = 0;
	slot->notes.everything = slot->notes.unlocked = false;
	slot->nstubborn = 0;
	slot->nlacks = slot->nlacks_said = 0;
	wf_news_clear(&slot->news);
	memset(slot->stubborn, 0, sizeof(slot->stubborn));
	slot->nservers = 0;
	slot->requests.n = slot->requests.hidden = 0;
	SpinLockRelease(&slot->mutex);
}

/* Lock the slot of this database, if it has one. */
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
