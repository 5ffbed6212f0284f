/*
 * shmem.c
 *		The shared memory itself: its size, its initialization, and slots for databases.
 *
 * It is one area, made while the library is preloaded, and never resized. A slot belongs to a
 * database from the moment the launcher first looks at it until the launcher gives it back; see
 * slots.h for the locks.
 */
#include "compat.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "shmem/slots.h"

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
	pg_atomic_init_u64(&wf_shared->unconfirmed, 0);
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
	bool	  found;
	WfWaiter *waiters;

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

/*
 * Initialize the slot for a database, or free it. Generations go on counting, since a process that
 * was started for the slot's former database must not be let in.
 */
void
wf_slot_assign(WfSlot *slot, Oid database)
{
	Assert(LWLockHeldByMeInMode(wf_shared->lock, LW_EXCLUSIVE));
	slot->confirmed = false;
	slot->exit_reason = WF_EXIT_NONE;
	memset(slot->failing, 0, sizeof(slot->failing));

	SpinLockAcquire(&slot->mutex);
	slot->database = database;
	slot->want_unlocks = slot->want_executors = slot->executors_refused = false;
	slot->timeline_checked = false;
	slot->pause = WF_PAUSE_UNKNOWN;
	slot->upkeep_failing_since = 0;
	slot->upkeep_failure[0] = slot->upkeep_error[0] = '\0';
	slot->wakeups.n = 0;
	slot->wakeups.message = slot->wakeups.subscription = 0;
	slot->wakeups.broadcast = slot->wakeups.everything = slot->wakeups.unlocked = false;
	slot->nuncancellable = 0;
	slot->nclaims = 0;
	slot->nyields = 0;
	memset(slot->claims, 0, sizeof(slot->claims));
	memset(slot->yields, 0, sizeof(slot->yields));
	slot->nlacks = slot->nlacks_said = 0;
	wf_news_clear(&slot->news);
	memset(slot->uncancellable, 0, sizeof(slot->uncancellable));
	slot->nservers = 0;
	slot->requests.n = slot->requests.hidden = 0;
	SpinLockRelease(&slot->mutex);
}
