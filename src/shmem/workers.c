/*
 * workers.c
 *		Which worker processes there are: starting, attaching, leaving; and the launcher's list of
 *		databases to look at.
 *
 * A start is reserved before the process is registered, and carries a ticket. Whoever wants no
 * worker to come any more forgets the reservation (wf_worker_orphan): the process finds its ticket
 * out of date, before it has connected to the database, and exits. So nobody ever has to wait for a
 * process that is only about to start.
 *
 * All of this is protected by wf_shared->lock, but for the requests to the launcher
 * (wf_shared->mutex), and what is under the mutex of a slot (dispatcher_has_gone).
 */
#include "compat.h"

#include <signal.h>

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "shmem/careful.h"
#include "shmem/claims.h"
#include "shmem/slots.h"

/* ---- reservations ---- */

static WfSlot *
free_slot(void)
{
	for (int i = 0; i < wf_shared->nslots; i++)
	{
		if (!OidIsValid(wf_shared->slots[i].database))
			return &wf_shared->slots[i];
	}
	return NULL;
}

static WfReserve
reserve(Oid database, WfTicket *ticket)
{
	WfSlot	 *slot = wf_slot_of(database);
	WfWorker *worker;

	if (wf_database_blocked(database))
		return WF_RESERVE_BLOCKED;
	if (slot == NULL)
	{
		slot = free_slot();
		if (slot == NULL)
			return WF_RESERVE_FULL;
		wf_slot_assign(slot, database);
	}
	worker = &slot->workers[WF_DISPATCHER_INDEX];
	if (worker->state != WF_WORKER_NONE)
		return WF_RESERVE_RUNNING;
	worker->state = WF_WORKER_STARTING;
	slot->exit_reason = WF_EXIT_NONE;
	ticket->index = WF_DISPATCHER_INDEX;
	ticket->generation = ++worker->generation;
	return WF_RESERVED;
}

WfReserve
wf_dispatcher_reserve(Oid database, WfTicket *ticket)
{
	WfReserve answer;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	answer = reserve(database, ticket);
	LWLockRelease(wf_shared->lock);
	return answer;
}

void
wf_dispatcher_unreserve(Oid database, const WfTicket *ticket)
{
	WfSlot *slot;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	slot = wf_slot_of(database);
	if (slot != NULL && slot->workers[WF_DISPATCHER_INDEX].generation == ticket->generation)
		wf_worker_orphan(&slot->workers[WF_DISPATCHER_INDEX], 1);
	LWLockRelease(wf_shared->lock);
}

WfDispatcherState
wf_dispatcher_look(Oid database, WfExitReason *exit_reason)
{
	WfSlot			 *slot;
	WfDispatcherState state = WF_DISPATCHER_NONE;

	*exit_reason = WF_EXIT_NONE;
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	slot = wf_slot_of(database);
	if (slot != NULL)
	{
		*exit_reason = slot->exit_reason;
		if (slot->workers[WF_DISPATCHER_INDEX].state == WF_WORKER_STARTING)
			state = WF_DISPATCHER_STARTING;
		else if (slot->workers[WF_DISPATCHER_INDEX].state == WF_WORKER_RUNNING)
			state = slot->confirmed ? WF_DISPATCHER_CONFIRMED : WF_DISPATCHER_PROBING;
	}
	LWLockRelease(wf_shared->lock);
	return state;
}

/* ---- the slot as a whole ---- */

/* Send SIGTERM to the slot's workers, under the lock. Returns how many there are. */
static int
terminate_workers(WfSlot *slot)
{
	int n = 0;

	wf_worker_orphan(slot->workers, WF_MAX_WORKERS);
	for (int i = 0; i < WF_MAX_WORKERS; i++)
	{
		if (slot->workers[i].state != WF_WORKER_RUNNING)
			continue;
		(void) kill(slot->workers[i].pid, SIGTERM);
		n++;
	}
	return n;
}

void
wf_slot_stop(WfSlot *slot)
{
	slot->exit_reason = WF_EXIT_STOPPED;
	(void) terminate_workers(slot);
}

void
wf_database_terminate(Oid database)
{
	WfSlot *slot;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	slot = wf_slot_of(database);
	if (slot != NULL)
		wf_slot_stop(slot);
	LWLockRelease(wf_shared->lock);
}

bool
wf_slot_release(Oid database)
{
	WfSlot *slot;
	bool	released = true;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	slot = wf_slot_of(database);
	if (slot != NULL)
	{
		released = terminate_workers(slot) == 0;
		if (released)
			wf_slot_assign(slot, InvalidOid);
	}
	LWLockRelease(wf_shared->lock);
	return released;
}

int
wf_slot_databases(Oid **databases)
{
	int n = 0;

	*databases = palloc(sizeof(Oid) * wf_shared->nslots);
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	for (int i = 0; i < wf_shared->nslots; i++)
	{
		if (OidIsValid(wf_shared->slots[i].database))
			(*databases)[n++] = wf_shared->slots[i].database;
	}
	LWLockRelease(wf_shared->lock);
	return n;
}

/* ---- a process comes and goes ---- */

static void
fill_in(WfWorker *worker)
{
	worker->state = WF_WORKER_RUNNING;
	worker->pid = MyProcPid;
	worker->procno = wf_my_procno();
	worker->started_at = GetCurrentTimestamp();
	worker->idle = worker->called = worker->leave = false;
	worker->in_flight = 0;
	worker->handled = 0;
}

/* Forget, under the lock, what the slot remembers of a dispatcher that has gone. */
static void
dispatcher_has_gone(WfSlot *slot)
{
	SpinLockAcquire(&slot->mutex);
	slot->dispatcher_procno = WF_NO_PROC;
	slot->want_unlocks = slot->executors_refused = false;
	slot->pause = WF_PAUSE_UNKNOWN;
	slot->requests.n = slot->requests.hidden = 0;
	SpinLockRelease(&slot->mutex);
	slot->confirmed = false;
	wf_worker_orphan(slot->workers, WF_MAX_WORKERS);
	for (int i = 0; i < slot->nservers; i++)
		slot->servers[i].counts.in_flight = 0;
}

static void
executor_has_gone(WfSlot *slot, WfWorker *worker, bool failed)
{
	wf_executor_report_end(slot, worker->role, failed && worker->handled == 0);
}

/*
 * Runs at exit, after this process has left the list of those connected to the database (it was
 * registered before connecting), and before it gives back its PGPROC.
 */
static void
detach_worker(int code, Datum arg)
{
	WfSlot	 *slot = wf_my_slot;
	WfWorker *worker = wf_my_worker;
	bool	  dispatcher = wf_am_dispatcher();
	bool	  left_work;
	bool	  wake_launcher;

	wf_careful_end();
	wf_careful_yield();
	wf_claim_release();
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	left_work = !dispatcher && (!worker->idle || worker->called);
	worker->state = WF_WORKER_NONE;
	worker->pid = 0;
	worker->procno = WF_NO_PROC;
	if (dispatcher)
		dispatcher_has_gone(slot);
	else
		executor_has_gone(slot, worker, code != 0);
	wake_launcher = dispatcher || slot->workers[WF_DISPATCHER_INDEX].state == WF_WORKER_NONE;
	LWLockRelease(wf_shared->lock);

	wf_my_slot = NULL;
	wf_my_worker = NULL;
	ConditionVariableBroadcast(&slot->gone);
	if (left_work)
		wf_executors_look_again(slot);
	if (wake_launcher)
		wf_launcher_wake();
}

bool
wf_worker_attach(WfWorkerKind kind, Oid database)
{
	WfTicket  ticket;
	WfSlot	 *slot;
	WfWorker *worker = NULL;

	memcpy(&ticket, MyBgworkerEntry->bgw_extra, sizeof(ticket));
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	slot = wf_slot_of(database);
	if (slot != NULL)
		worker = &slot->workers[ticket.index];
	if (worker == NULL || worker->state != WF_WORKER_STARTING || worker->generation != ticket.generation)
	{
		LWLockRelease(wf_shared->lock);
		return false;
	}
	fill_in(worker);
	wf_my_slot = slot;
	wf_my_worker = worker;
	LWLockRelease(wf_shared->lock);
	on_shmem_exit(detach_worker, (Datum) 0);
	return true;
}

bool
wf_worker_confirm(void)
{
	int others = 0;

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < wf_shared->nslots; i++)
	{
		if (&wf_shared->slots[i] != wf_my_slot && wf_shared->slots[i].confirmed)
			others++;
	}
	wf_my_slot->confirmed = others < wf_setting_databases;
	LWLockRelease(wf_shared->lock);
	wf_launcher_wake(); /* the launcher may look at the next database now */
	return wf_my_slot->confirmed;
}

void
wf_worker_exit_reason(WfExitReason exit_reason)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	/* what a stopped dispatcher has seen may be out of date */
	if (wf_my_slot->exit_reason == WF_EXIT_NONE)
		wf_my_slot->exit_reason = exit_reason;
	LWLockRelease(wf_shared->lock);
}

/* ---- the launcher ---- */

static void
launcher_detach(int code, Datum arg)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	wf_shared->launcher.state = WF_WORKER_NONE;
	wf_shared->dispatchers_refused = false;
	LWLockRelease(wf_shared->lock);

	SpinLockAcquire(&wf_shared->mutex);
	wf_shared->launcher_procno = WF_NO_PROC;
	SpinLockRelease(&wf_shared->mutex);
}

/* Dispatchers that a former launcher was starting are forgotten, since their handles are lost. */
void
wf_launcher_attach(void)
{
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	fill_in(&wf_shared->launcher);
	for (int i = 0; i < wf_shared->nslots; i++)
		wf_worker_orphan(&wf_shared->slots[i].workers[WF_DISPATCHER_INDEX], 1);
	LWLockRelease(wf_shared->lock);

	SpinLockAcquire(&wf_shared->mutex);
	wf_shared->launcher_procno = wf_my_procno();
	wf_shared->requests.scan = true;
	SpinLockRelease(&wf_shared->mutex);
	before_shmem_exit(launcher_detach, (Datum) 0);
}

void
wf_launcher_take(WfLauncherRequests *requests)
{
	SpinLockAcquire(&wf_shared->mutex);
	*requests = wf_shared->requests;
	wf_shared->requests.scan = false;
	wf_shared->requests.probe_all = wf_shared->requests.look_all = false;
	wf_shared->requests.nprobes = wf_shared->requests.nlooks = 0;
	SpinLockRelease(&wf_shared->mutex);
}

void
wf_launcher_wake(void)
{
	int procno;

	SpinLockAcquire(&wf_shared->mutex);
	procno = wf_shared->launcher_procno;
	SpinLockRelease(&wf_shared->mutex);
	wf_set_latch(procno);
}
