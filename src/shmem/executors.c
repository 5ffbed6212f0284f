/*
 * executors.c
 *		The pool of executors of one database: woken and started by its dispatcher, leaving by themselves.
 *
 * Who is there is in shared memory, so that it outlives a dispatcher; the handles of those that are only starting
 * live in the dispatcher that registered them, and a new dispatcher finds their reservations gone.
 */
#include "compat.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/slots.h"

#define FIRST_PAUSE_MS 100
#define LONGEST_PAUSE_MS 60000

typedef struct Start /* one that has not been seen to attach */
{
	BackgroundWorkerHandle *handle;
	uint32		generation;
} Start;

static Start starts[WF_MAX_WORKERS];
static int	nstarts = 0;

/* Registrations that found no free worker slot, in a row. */
static int	refusals = 0;
static TimestampTz refused_at;

/* ---- the executor's side ---- */

void
wf_executor_attach(void)
{
	wf_executor_idle(false);
}

/* A call that came while it looked may have lost its latch to a wait somewhere below. */
void
wf_executor_idle(bool idle)
{
	bool		called;

	SpinLockAcquire(&wf_my_slot->mutex);
	called = wf_my_worker->called;
	wf_my_worker->idle = idle;
	wf_my_worker->called = false;
	SpinLockRelease(&wf_my_slot->mutex);
	if (idle && called)
		SetLatch(MyLatch);
}

/* ---- pauses ---- */

static long
pause_left(int failures, TimestampTz since, TimestampTz now)
{
	long		pause;

	if (failures == 0)
		return 0;
	pause = Min((long) FIRST_PAUSE_MS << Min(failures - 1, 16), LONGEST_PAUSE_MS);
	return TimestampDifferenceMilliseconds(now, TimestampTzPlusMilliseconds(since, pause));
}

/* Milliseconds until another executor may be started; 0: now. Under lock. */
static long
start_pause(WfSlot *slot)
{
	TimestampTz now;

	if (refusals == 0 && slot->executor_failures == 0)
		return 0;
	now = GetCurrentTimestamp();
	return Max(pause_left(refusals, refused_at, now),
			   pause_left(slot->executor_failures, slot->executor_failed_at, now));
}

/* ---- waking ---- */

/* Take executors that are there until there are `wanted`. Collects whose latches to set. Under lock. */
static int
engage(WfSlot *slot, int wanted, int *procnos, int *nprocnos)
{
	int			engaged = 0;

	for (int idle = 0; idle <= 1; idle++)
	{
		for (int i = 1; i < WF_MAX_WORKERS; i++)
		{
			WfWorker   *worker = &slot->workers[i];

			if (worker->state == WF_WORKER_STARTING && !idle)
				engaged++;
			if (worker->state != WF_WORKER_RUNNING || worker->idle != (bool) idle)
				continue;
			if (idle && engaged >= wanted)
				break;
			worker->idle = false;
			worker->called = true;
			procnos[(*nprocnos)++] = worker->procno;
			engaged++;
		}
	}
	return engaged;
}

/* Under lock. */
static int
reserve(WfSlot *slot, int n, WfTicket *tickets)
{
	int			reserved = 0;

	for (int i = 1; i < WF_MAX_WORKERS && reserved < n; i++)
	{
		WfWorker   *worker = &slot->workers[i];

		if (worker->state != WF_WORKER_NONE)
			continue;
		worker->state = WF_WORKER_STARTING;
		tickets[reserved].index = i;
		tickets[reserved].generation = ++worker->generation;
		reserved++;
	}
	return reserved;
}

/* Under no lock. */
static void
unreserve(const WfTicket *ticket, bool failed)
{
	WfSlot	   *slot = wf_my_slot;
	WfWorker   *worker = &slot->workers[ticket->index];

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	if (worker->generation == ticket->generation && wf_worker_orphan(worker, 1) > 0 && failed)
	{
		slot->executor_failures++;
		slot->executor_failed_at = GetCurrentTimestamp();
	}
	LWLockRelease(wf_shared->lock);
}

static bool
start(const WfTicket *ticket)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		registered;

	wf_worker_prepare(&worker, WF_EXECUTOR, MyDatabaseId, ticket);
	worker.bgw_notify_pid = MyProcPid;
	registered = RegisterDynamicBackgroundWorker(&worker, &handle);
	MemoryContextSwitchTo(old);
	if (!registered)
		return false;
	/* one that came and went since the last look has left its handle */
	if (starts[ticket->index].handle != NULL)
		pfree(starts[ticket->index].handle);
	else
		nstarts++;
	starts[ticket->index].handle = handle;
	starts[ticket->index].generation = ticket->generation;
	return true;
}

static void
note_refusal(void)
{
	refused_at = GetCurrentTimestamp();
	if (refusals++ == 0)
		ereport(LOG, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("no background worker slot is free for a workflow executor"),
				errdetail("It is tried again from time to time; SQL steps wait meanwhile."),
				errhint("Increase max_worker_processes and restart the server."));
}

static void
start_all(const WfTicket *tickets, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (start(&tickets[i]))
		{
			refusals = 0;
			continue;
		}
		note_refusal();
		for (; i < n; i++)
			unreserve(&tickets[i], false);
	}
}

int
wf_executors_wake(int wanted)
{
	WfSlot	   *slot = wf_my_slot;
	int			procnos[WF_MAX_WORKERS];
	int			nprocnos = 0;
	WfTicket	tickets[WF_MAX_WORKERS];
	int			ntickets = 0;
	int			missing;
	long		pause = 0;

	wf_executors_reap();
	wanted = Min(wanted, wf_setting_executors);
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	SpinLockAcquire(&slot->mutex);
	missing = wanted - engage(slot, wanted, procnos, &nprocnos);
	SpinLockRelease(&slot->mutex);
	if (missing > 0 && !wf_database_blocked(slot->database))
	{
		pause = start_pause(slot);
		if (pause == 0)
			ntickets = reserve(slot, missing, tickets);
	}
	LWLockRelease(wf_shared->lock);

	for (int i = 0; i < nprocnos; i++)
		wf_set_latch(procnos[i]);
	start_all(tickets, ntickets);
	if (ntickets > 0 && refusals > 0)
		pause = pause_left(refusals, refused_at, GetCurrentTimestamp());
	return pause > 0 ? (int) pause : -1;
}

/* ---- those that never came ---- */

static bool
has_attached(int index)
{
	bool		attached;

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
		WfTicket	ticket = {i, starts[i].generation};
		pid_t		pid;

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

/* ---- SQL that does not end ---- */

void
wf_stubborn_note(int64 visit)
{
	SpinLockAcquire(&wf_my_slot->mutex);
	wf_my_slot->stubborn[wf_my_slot->nstubborn++ % WF_MAX_STUBBORN] = visit;
	SpinLockRelease(&wf_my_slot->mutex);
}

bool
wf_stubborn_take(int64 visit)
{
	bool		found = false;

	SpinLockAcquire(&wf_my_slot->mutex);
	for (int i = 0; i < WF_MAX_STUBBORN; i++)
	{
		if (wf_my_slot->stubborn[i] != visit)
			continue;
		wf_my_slot->stubborn[i] = 0;
		found = true;
	}
	SpinLockRelease(&wf_my_slot->mutex);
	return found;
}
