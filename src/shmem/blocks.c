/*
 * blocks.c
 *		Statements on whole databases: they stop the workers, and tell the launcher what they
 *		changed.
 *
 * A block lasts until the end of its transaction; that of a backend that dies until the abort on
 * its way out. Lifting it and telling the launcher happen in a transaction callback that can
 * neither allocate nor fail.
 */
#include "compat.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "shmem/slots.h"

#define STOP_TIMEOUT_MS 10000

static bool registered = false;
static bool have_blocks = false;
static bool note_scan = false;
static bool note_probe = false;
static bool note_look = false;

/* ---- the end of the transaction ---- */

/* Add a database to a list of requests to the launcher. Called under the mutex. */
static void
request(Oid database, Oid *databases, int *n, bool *all)
{
	for (int i = 0; i < *n; i++)
	{
		if (databases[i] == database)
			return;
	}
	if (*n == WF_MAX_PROBES)
		*all = true;
	else
		databases[(*n)++] = database;
}

/*
 * Request what the transaction asked for, under the mutex. A look is requested only by a commit:
 * the launcher would not see what a prepared transaction did, so COMMIT PREPARED requests that.
 */
static void
request_looks(WfLauncherRequests *requests, bool committed)
{
	requests->scan |= note_scan;
	if (note_probe)
		request(MyDatabaseId, requests->probes, &requests->nprobes, &requests->probe_all);
	if (note_look && committed)
		request(MyDatabaseId, requests->looks, &requests->nlooks, &requests->look_all);
}

/* Lift the blocks of this backend. Called under the mutex. */
static void
lift_blocks(void)
{
	int me = wf_my_procno();

	for (int i = 0; i < WF_MAX_BLOCKS; i++)
	{
		if (OidIsValid(wf_shared->blocks[i].database) && wf_shared->blocks[i].procno == me)
			wf_shared->blocks[i].database = InvalidOid;
	}
}

static void
unblock_at_transaction_end(XactEvent event, void *arg)
{
	bool ended = event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE;
	int	 procno;

	if (!ended && event != XACT_EVENT_ABORT)
		return;
	if (!have_blocks && !note_scan && !note_probe && !note_look)
		return;
	SpinLockAcquire(&wf_shared->mutex);
	if (have_blocks)
		lift_blocks();
	if (ended)
		request_looks(&wf_shared->requests, event == XACT_EVENT_COMMIT);
	procno = wf_shared->launcher_procno;
	SpinLockRelease(&wf_shared->mutex);
	have_blocks = note_scan = note_probe = note_look = false;
	wf_set_latch(procno);
}

static void
register_blocks_once(void)
{
	if (!registered)
		RegisterXactCallback(unblock_at_transaction_end, NULL);
	registered = true;
}

void
wf_launcher_request_scan(void)
{
	register_blocks_once();
	note_scan = true;
}

void
wf_launcher_request_probe(void)
{
	register_blocks_once();
	note_probe = true;
}

/* Works without the preloaded library too, since a trigger that a restore fires calls it. */
void
wf_launcher_request_look(void)
{
	if (wf_shared == NULL)
		return;
	register_blocks_once();
	note_look = true;
}

/* ---- blocks ---- */

/*
 * Set a block. Returns true if there was a free place, or if this transaction has blocked the
 * database before, which needs no second place.
 */
static bool
set_block(Oid database)
{
	int		 me = wf_my_procno();
	WfBlock *place = NULL;

	SpinLockAcquire(&wf_shared->mutex);
	for (int i = 0; i < WF_MAX_BLOCKS; i++)
	{
		WfBlock *block = &wf_shared->blocks[i];

		if (block->database == database && block->procno == me)
		{
			place = block;
			break;
		}
		if (place == NULL && !OidIsValid(block->database))
			place = block;
	}
	if (place != NULL)
	{
		place->database = database;
		place->procno = me;
	}
	SpinLockRelease(&wf_shared->mutex);
	return place != NULL;
}

static int
count_running(WfSlot *slot, Oid database)
{
	int n = 0;

	LWLockAcquire(wf_shared->lock, LW_SHARED);
	if (slot->database == database)
	{
		for (int i = 0; i < WF_MAX_WORKERS; i++)
			n += slot->workers[i].state == WF_WORKER_RUNNING;
	}
	LWLockRelease(wf_shared->lock);
	return n;
}

bool
wf_database_is_served(Oid database)
{
	WfExitReason exit_reason;

	return wf_dispatcher_look(database, &exit_reason) == WF_DISPATCHER_CONFIRMED && exit_reason == WF_EXIT_NONE;
}

static void
await_empty(WfSlot *slot, Oid database)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), STOP_TIMEOUT_MS);

	ConditionVariablePrepareToSleep(&slot->gone);
	while (count_running(slot, database) > 0)
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		if (left <= 0)
			break;
		(void) ConditionVariableTimedSleep(&slot->gone, left, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

void
wf_database_block(Oid database)
{
	WfSlot *slot;
	bool	done;

	register_blocks_once();
	have_blocks = true;
	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	done = set_block(database);
	slot = wf_slot_of(database);
	if (done && slot != NULL)
		wf_slot_stop(slot);
	LWLockRelease(wf_shared->lock);

	/* a database without a slot has no workers to stop, and hardly one that starts just now */
	if (!done && slot != NULL)
		ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("too many databases with workflow workers are being changed at once"),
				errhint("Try again when other statements that change databases have ended."));
	if (slot != NULL)
		await_empty(slot, database);
}
