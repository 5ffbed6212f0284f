/*
 * claims.c
 *		Which executor works on which visit, and how its statement is stopped.
 *
 * Claims are protected by the slot's mutex. An executor releases its claims after its transaction
 * has ended, so that whoever claims the visit next sees what it did. At exit they are released
 * by workers.c, after the transaction was rolled back.
 *
 * Of the visits of one transaction, one is worked on at a time. The others are kept, which only keeps other
 * executors away: those that are done are under the lock of their instance, and those that are still to be done have nothing
 * that could be stopped.
 *
 * A statement is stopped by SIGUSR2. The signal is sent under the mutex: as long as the claim
 * stands, its process does, so that no stranger with the same pid is hit. The executor may have
 * released the claim before the signal arrives; so the handler cancels nothing unless the claim
 * that stands then was stopped itself.
 */
#include "postgres.h"

#include <signal.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "storage/latch.h"

#include "shmem/claims.h"
#include "shmem/slots.h"

/* Our claim, while the statement that runs is to be stopped with it. */
static WfClaim *volatile mine = NULL;

static int
my_index(void)
{
	return wf_my_worker - wf_my_slot->workers;
}

/* The index of the worker that works on the visit, or -1. Under the mutex. */
static int
find(const WfSlot *slot, int64 visit)
{
	for (int i = 0; i < WF_MAX_WORKERS; i++)
		if (slot->claims[i].visit == visit)
			return i;
	return -1;
}

static int
find_kept(const WfClaim *claim, int64 visit)
{
	for (int i = 0; i < claim->nkept; i++)
		if (claim->kept[i].visit == visit)
			return i;
	return -1;
}

/* Does another worker work on the visit, or keep it? Under the mutex. */
static bool
others_have(const WfSlot *slot, int64 visit)
{
	for (int i = 0; i < WF_MAX_WORKERS; i++)
		if (i != my_index() && (slot->claims[i].visit == visit || find_kept(&slot->claims[i], visit) >= 0))
			return true;
	return false;
}

static void
stop_handler(SIGNAL_ARGS)
{
	int save_errno = errno;

	if (mine != NULL && mine->stopped)
	{
		InterruptPending = true;
		QueryCancelPending = true;
	}
	SetLatch(MyLatch);
	errno = save_errno;
}

void
wf_claims_attach(void)
{
	pqsignal(SIGUSR2, stop_handler);
}

/* ---- the executor's side ---- */

bool
wf_claim(int64 visit)
{
	WfSlot	*slot = wf_my_slot;
	WfClaim *claim = &slot->claims[my_index()];
	bool	 ours;
	int		 kept;

	SpinLockAcquire(&slot->mutex);
	ours = !others_have(slot, visit);
	if (ours)
	{
		kept = find_kept(claim, visit);
		if (kept >= 0)
			claim->kept[kept] = claim->kept[--claim->nkept];
		claim->visit = visit;
		claim->stopped = claim->begun = false;
		slot->nclaims++;
	}
	SpinLockRelease(&slot->mutex);
	return ours;
}

void
wf_claims_keep(const int64 *visits, int n)
{
	WfSlot	*slot = wf_my_slot;
	WfClaim *claim = &slot->claims[my_index()];

	SpinLockAcquire(&slot->mutex);
	for (int i = 0; i < n && claim->nkept < WF_MAX_KEPT_CLAIMS; i++)
		if (!others_have(slot, visits[i]))
			claim->kept[claim->nkept++] = (WfKeptClaim){.visit = visits[i]};
	SpinLockRelease(&slot->mutex);
}

bool
wf_claim_is_kept(int64 visit)
{
	return find_kept(&wf_my_slot->claims[my_index()], visit) >= 0;
}

bool
wf_claim_is_stopped(void)
{
	const WfClaim *claim = &wf_my_slot->claims[my_index()];
	bool		   stopped;

	SpinLockAcquire(&wf_my_slot->mutex);
	stopped = claim->stopped;
	SpinLockRelease(&wf_my_slot->mutex);
	return stopped;
}

/* A stop that comes before `mine` is set is seen here, one that comes later by the handler. */
bool
wf_claim_heed(void)
{
	mine = &wf_my_slot->claims[my_index()];
	return !wf_claim_is_stopped();
}

void
wf_claim_heed_end(void)
{
	mine = NULL;
	if (wf_claim_is_stopped())
		QueryCancelPending = false; /* it was meant for the statement */
}

/* The place in which the visit's abandoned statement is remembered, or NULL. Under the mutex. */
static WfYield *
yield_of(WfSlot *slot, int64 visit)
{
	for (int i = 0; i < WF_MAX_YIELDS; i++)
		if (slot->yields[i].visit == visit)
			return &slot->yields[i];
	return NULL;
}

/* The same, made if need be. The place of the oldest is taken. */
static WfYield *
note_yield(WfSlot *slot, int64 visit)
{
	WfYield *yield = yield_of(slot, visit);

	if (yield == NULL)
	{
		yield = &slot->yields[slot->nyields++ % WF_MAX_YIELDS];
		*yield = (WfYield){.visit = visit};
	}
	return yield;
}

/* The visit is worked on no more. Under the mutex. */
static void
put_down(WfSlot *slot, WfClaim *claim)
{
	claim->visit = 0;
	claim->stopped = claim->begun = false;
	slot->nclaims--;
}

void
wf_claim_keep(void)
{
	WfSlot	*slot = wf_my_slot;
	WfClaim *claim = &slot->claims[my_index()];

	wf_claim_heed_end();
	SpinLockAcquire(&slot->mutex);
	if (claim->visit != 0 && claim->nkept < WF_MAX_KEPT_CLAIMS)
	{
		claim->kept[claim->nkept++] = (WfKeptClaim){claim->visit, claim->begun};
		put_down(slot, claim);
	}
	SpinLockRelease(&slot->mutex);
}

void
wf_claim_drop(void)
{
	WfSlot	*slot = wf_my_slot;
	WfClaim *claim = &slot->claims[my_index()];

	if (claim->visit == 0)
		return;
	wf_claim_heed_end();
	SpinLockAcquire(&slot->mutex);
	if (claim->begun)
		(void) note_yield(slot, claim->visit);
	put_down(slot, claim);
	SpinLockRelease(&slot->mutex);
}

void
wf_claim_release(void)
{
	WfSlot	*slot = wf_my_slot;
	WfClaim *claim = &slot->claims[my_index()];

	wf_claim_drop();
	if (claim->nkept == 0)
		return;
	SpinLockAcquire(&slot->mutex);
	for (int i = 0; i < claim->nkept; i++)
		if (claim->kept[i].begun)
			(void) note_yield(slot, claim->kept[i].visit);
	claim->nkept = 0;
	SpinLockRelease(&slot->mutex);
}

/* ---- those who stop it ---- */

bool
wf_claimed_elsewhere(int64 visit)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);
	bool	found = false;

	if (slot == NULL)
		return false;
	/*
	 * The caller has locked the instance before. An executor claims first and looks for that lock
	 * then, so one of the two sees the other.
	 */
	pg_memory_barrier();
	if (*(volatile int *) &slot->nclaims == 0)
		return false;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == MyDatabaseId)
	{
		int i = find(slot, visit);

		found = i >= 0 && &slot->workers[i] != wf_my_worker;
	}
	SpinLockRelease(&slot->mutex);
	return found;
}

void
wf_claims_stop(const int64 *visits, int n)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	for (int i = 0; i < n && slot->database == MyDatabaseId; i++)
	{
		int who = find(slot, visits[i]);

		if (who < 0 || &slot->workers[who] == wf_my_worker)
			continue;
		slot->claims[who].stopped = true;
		(void) kill(slot->workers[who].pid, SIGUSR2);
	}
	SpinLockRelease(&slot->mutex);
}

/* ---- statements that are begun again ---- */

void
wf_statement_begins(void)
{
	wf_my_slot->claims[my_index()].begun = true;
}

/* Forget what is remembered of a visit. Under the mutex. */
static void
forget_yield(WfSlot *slot, int64 visit)
{
	WfYield *yield = visit != 0 ? yield_of(slot, visit) : NULL;

	if (yield != NULL)
		*yield = (WfYield){0};
}

void
wf_statements_are_through(void)
{
	WfSlot	*slot = wf_my_slot;
	WfClaim *claim = &slot->claims[my_index()];

	claim->begun = false;
	for (int i = 0; i < claim->nkept; i++)
		claim->kept[i].begun = false;
	if (*(volatile uint32 *) &slot->nyields == 0)
		return;
	SpinLockAcquire(&slot->mutex);
	forget_yield(slot, claim->visit);
	for (int i = 0; i < claim->nkept; i++)
		forget_yield(slot, claim->kept[i].visit);
	SpinLockRelease(&slot->mutex);
}

void
wf_statement_abandoned(int64 visit)
{
	SpinLockAcquire(&wf_my_slot->mutex);
	(void) note_yield(wf_my_slot, visit);
	SpinLockRelease(&wf_my_slot->mutex);
}

/* Look for what is remembered of a visit. Returns false if that is nothing. */
static bool
recall(int64 visit, WfYield *found)
{
	WfSlot	*slot = wf_my_slot;
	WfYield *yield;

	*found = (WfYield){0};
	if (*(volatile uint32 *) &slot->nyields == 0)
		return false;
	SpinLockAcquire(&slot->mutex);
	yield = yield_of(slot, visit);
	if (yield != NULL)
		*found = *yield;
	SpinLockRelease(&slot->mutex);
	return found->visit != 0;
}

bool
wf_statement_was_begun(int64 visit)
{
	const WfClaim *claim = &wf_my_slot->claims[my_index()];
	int			   kept = find_kept(claim, visit);
	WfYield		   yield;

	return (claim->begun && claim->visit == visit) || (kept >= 0 && claim->kept[kept].begun) || recall(visit, &yield);
}

void
wf_yield_record(int64 visit)
{
	SpinLockAcquire(&wf_my_slot->mutex);
	note_yield(wf_my_slot, visit)->times++;
	SpinLockRelease(&wf_my_slot->mutex);
}

int
wf_yield_count(int64 visit)
{
	WfYield yield;

	return recall(visit, &yield) ? yield.times : 0;
}
