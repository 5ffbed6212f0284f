/*
 * executors.c
 *		The executors of one database: started by its dispatcher, each for one role; they leave by
 *		themselves. executor_shares.c decides for which roles.
 *
 * Which executors there are is in shared memory, so that it outlives a dispatcher. The handles of
 * those that are starting live in the dispatcher that registered them; a new dispatcher finds their
 * reservations gone.
 */
#include "compat.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/slots.h"

#define FIRST_PAUSE_MS	 100
#define LONGEST_PAUSE_MS 60000

typedef struct Start /* an executor that has been registered and not been seen to attach */
{
	BackgroundWorkerHandle *handle;
	uint32					generation;
} Start;

static Start starts[WF_MAX_WORKERS];
static int	 nstarts = 0;

/* Successive registrations for which no worker slot was free. */
static int		   refusals = 0;
static TimestampTz refused_at;

/* ---- the executor's side ---- */

void
wf_executor_attach(void)
{
	wf_executor_idle(false);
}

/*
 * Become idle or busy. An executor that was called while it looked for work sets its own latch,
 * since a wait somewhere below may have reset it.
 */
void
wf_executor_idle(bool idle)
{
	TimestampTz now = idle ? GetCurrentTimestamp() : 0;
	bool		called;
	bool		wanted;

	SpinLockAcquire(&wf_my_slot->mutex);
	called = wf_my_worker->called;
	wf_my_worker->idle = idle;
	wf_my_worker->idle_since = now;
	wf_my_worker->called = false;
	wanted = wf_my_slot->want_executors;
	SpinLockRelease(&wf_my_slot->mutex);
	if (idle && called)
		SetLatch(MyLatch);
	else if (idle && wanted)
		wf_executors_look_again(wf_my_slot);
}

Oid
wf_executor_role(void)
{
	return wf_my_worker->role;
}

bool
wf_executor_must_leave(void)
{
	bool leave;

	SpinLockAcquire(&wf_my_slot->mutex);
	leave = wf_my_worker->leave;
	SpinLockRelease(&wf_my_slot->mutex);
	return leave;
}

/* ---- pauses ---- */

static WfRoleFailures *
failures_of(WfSlot *slot, Oid role)
{
	for (int i = 0; i < WF_MAX_FAILING_ROLES; i++)
		if (slot->failing[i].failures > 0 && slot->failing[i].role == role)
			return &slot->failing[i];
	return NULL;
}

/*
 * A place to count failures of a role: a free one, or that of the role whose last failure is
 * oldest.
 */
static WfRoleFailures *
new_failures(WfSlot *slot, Oid role)
{
	WfRoleFailures *place = &slot->failing[0];

	for (int i = 0; i < WF_MAX_FAILING_ROLES; i++)
		if (slot->failing[i].failures == 0 || (place->failures > 0 && slot->failing[i].failed_at < place->failed_at))
			place = &slot->failing[i];
	*place = (WfRoleFailures){.role = role};
	return place;
}

/*
 * Count an executor's end. Failures are counted by role, so that a role whose executors die makes
 * only its own work wait.
 */
void
wf_executor_report_end(WfSlot *slot, Oid role, bool failed)
{
	WfRoleFailures *failures = failures_of(slot, role);

	if (!failed)
	{
		if (failures != NULL)
			failures->failures = 0;
		return;
	}
	if (failures == NULL)
		failures = new_failures(slot, role);
	failures->failures++;
	failures->failed_at = GetCurrentTimestamp();
}

static long
pause_left(int failures, TimestampTz since, TimestampTz now)
{
	long pause;

	if (failures == 0)
		return 0;
	pause = Min((long) FIRST_PAUSE_MS << Min(failures - 1, 16), LONGEST_PAUSE_MS);
	return TimestampDifferenceMilliseconds(now, TimestampTzPlusMilliseconds(since, pause));
}

long
wf_executor_start_pause(WfSlot *slot, Oid role, TimestampTz now)
{
	WfRoleFailures *failures = failures_of(slot, role);

	return failures == NULL ? 0 : pause_left(failures->failures, failures->failed_at, now);
}

long
wf_executors_refused(TimestampTz now)
{
	return pause_left(refusals, refused_at, now);
}

/* ---- starting ---- */

bool
wf_executor_reserve(WfSlot *slot, Oid role, TimestampTz now, WfTicket *ticket)
{
	for (int i = 1; i < WF_MAX_WORKERS; i++)
	{
		WfWorker *worker = &slot->workers[i];

		if (worker->state != WF_WORKER_NONE)
			continue;
		worker->state = WF_WORKER_STARTING;
		worker->role = role;
		worker->started_at = now;
		ticket->index = i;
		ticket->generation = ++worker->generation;
		return true;
	}
	return false;
}

/* Give up the reservation of an executor that did not come. Called without locks. */
static void
unreserve(const WfTicket *ticket, bool failed)
{
	WfSlot	 *slot = wf_my_slot;
	WfWorker *worker = &slot->workers[ticket->index];

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	if (worker->generation == ticket->generation && wf_worker_orphan(worker, 1) > 0 && failed)
		wf_executor_report_end(slot, worker->role, true);
	LWLockRelease(wf_shared->lock);
}

static bool
start_executor(const WfTicket *ticket)
{
	BackgroundWorker		worker;
	BackgroundWorkerHandle *handle;
	MemoryContext			old = MemoryContextSwitchTo(TopMemoryContext);
	bool					registered;

	wf_worker_prepare(&worker, WF_EXECUTOR, MyDatabaseId, ticket);
	worker.bgw_notify_pid = MyProcPid;
	registered = RegisterDynamicBackgroundWorker(&worker, &handle);
	MemoryContextSwitchTo(old);
	if (!registered)
		return false;
	/* an executor that came and went since the last look has left its handle */
	if (starts[ticket->index].handle != NULL)
		pfree(starts[ticket->index].handle);
	else
		nstarts++;
	starts[ticket->index].handle = handle;
	starts[ticket->index].generation = ticket->generation;
	return true;
}

static void
log_refused_executor(bool refused)
{
	SpinLockAcquire(&wf_my_slot->mutex);
	wf_my_slot->executors_refused = refused;
	SpinLockRelease(&wf_my_slot->mutex);
}

static void
remember_refusal(void)
{
	refused_at = GetCurrentTimestamp();
	log_refused_executor(true);
	if (refusals++ == 0)
		ereport(LOG, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("no background worker slot is free for a workflow executor"),
				errdetail("It is tried again from time to time; SQL steps wait meanwhile."),
				errhint("Increase max_worker_processes and restart the server."));
}

void
wf_executors_start(const WfTicket *tickets, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (start_executor(&tickets[i]))
		{
			if (refusals > 0)
				log_refused_executor(false);
			refusals = 0;
			continue;
		}
		remember_refusal();
		for (; i < n; i++)
			unreserve(&tickets[i], false);
	}
}

/* ---- executors that never attached ---- */

static bool
has_attached(int index)
{
	bool attached;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	attached = wf_my_slot->workers[index].state != WF_WORKER_STARTING ||
			   wf_my_slot->workers[index].generation != starts[index].generation;
	LWLockRelease(wf_shared->lock);
	return attached;
}

void
wf_executors_reap(void)
{
	for (int i = 1; i < WF_MAX_WORKERS && nstarts > 0; i++)
	{
		WfTicket ticket = {i, starts[i].generation};
		pid_t	 pid;

		if (starts[i].handle == NULL)
			continue;
		if (!has_attached(i))
		{
			if (GetBackgroundWorkerPid(starts[i].handle, &pid) != BGWH_STOPPED)
				continue;
			unreserve(&ticket, true);
			wf_executors_look_again(wf_my_slot);
		}
		pfree(starts[i].handle);
		starts[i].handle = NULL;
		nstarts--;
	}
}

/* ---- uncancellable SQL ---- */

void
wf_uncancellable_add(int64 visit)
{
	SpinLockAcquire(&wf_my_slot->mutex);
	wf_my_slot->uncancellable[wf_my_slot->nuncancellable++ % WF_MAX_UNCANCELLABLE] = visit;
	SpinLockRelease(&wf_my_slot->mutex);
}

/* Look for a visit. `forget`: as well, free its places. */
static bool
find_uncancellable(int64 visit, bool forget)
{
	bool found = false;

	if (*(volatile int *) &wf_my_slot->nuncancellable == 0)
		return false;
	SpinLockAcquire(&wf_my_slot->mutex);
	for (int i = 0; i < WF_MAX_UNCANCELLABLE; i++)
	{
		if (wf_my_slot->uncancellable[i] != visit)
			continue;
		found = true;
		if (forget)
			wf_my_slot->uncancellable[i] = 0;
	}
	SpinLockRelease(&wf_my_slot->mutex);
	return found;
}

bool
wf_uncancellable_is(int64 visit)
{
	return find_uncancellable(visit, false);
}

void
wf_uncancellable_forget(int64 visit)
{
	(void) find_uncancellable(visit, true);
}
