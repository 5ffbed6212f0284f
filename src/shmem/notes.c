/*
 * notes.c
 *		Wake-ups that a transaction leaves for the workers, published at its end.
 *
 * The wake-ups of the running transaction are in static memory, so that publishing them, after the
 * commit record is written, can neither allocate nor fail. Those of a rolled back subtransaction
 * stay: they only make a worker look in vain. The callback is registered by a backend's first
 * wake-up.
 *
 * Ended instances are remembered as bits of their numbers, not as a list: there may be a hundred
 * thousand of them, and a waiter that is woken in vain just looks again.
 */
#include "compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "shmem/claims.h"
#include "shmem/slots.h"

#define ENDED_BITS 16384
#define ENDED_BIT(instance) ((uint64) (instance) % ENDED_BITS)

typedef struct Pending
{
	WfNotes		notes;
	bool		any_due;
	bool		any_ended;
	uint8		ended[ENDED_BITS / 8];
	int			nstopped;
	int64		stopped[WF_MAX_WORKERS]; /* claimed visits that this transaction ends or suspends */
} Pending;

static Pending pending;
static bool registered = false;

/* ---- collecting ---- */

static void add_note(WfNotes *notes, const char *queue, TimestampTz due_at);
static void at_transaction_end(XactEvent event, void *arg);
static void at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
								  void *arg);

static void
register_once(void)
{
	wf_shmem_require();
	if (likely(registered))
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	registered = true;
}

void
wf_note_due(const char *queue, TimestampTz due_at)
{
	register_once();
	add_note(&pending.notes, queue, due_at);
	pending.any_due = true;
}

void
wf_note_ended(int64 instance)
{
	uint64		bit = ENDED_BIT(instance);

	register_once();
	pending.ended[bit / 8] |= 1 << (bit % 8);
	pending.any_ended = true;
}

/* There are no more claims at a time than places for them here. */
void
wf_note_stopped(int64 visit)
{
	if (!wf_claimed_elsewhere(visit))
		return;
	for (int i = 0; i < pending.nstopped; i++)
		if (pending.stopped[i] == visit)
			return;
	if (pending.nstopped == WF_MAX_WORKERS)
		return;
	register_once();
	pending.stopped[pending.nstopped++] = visit;
}

/* Works without the preloaded library too, since a trigger that a restore fires calls it. */
void
wf_note_everything(void)
{
	if (wf_shared == NULL)
		return;
	register_once();
	pending.notes.everything = true;
	pending.any_due = true;
}

/*
 * The dispatcher leaves no such wake-up: it does not wait for its own locks, and would wake itself
 * for ever.
 */
void
wf_note_locked(void)
{
	register_once();
	pending.notes.unlocked = !wf_am_dispatcher();
}

static void
forget(void)
{
	pending.notes.n = 0;
	pending.notes.everything = false;
	pending.notes.unlocked = false;
	pending.any_due = false;
	if (pending.any_ended)
		memset(pending.ended, 0, sizeof(pending.ended));
	pending.any_ended = false;
	pending.nstopped = 0;
}

/* Add a wake-up. Also called under a spinlock: it neither allocates nor fails. */
static void
add_note(WfNotes *notes, const char *queue, TimestampTz due_at)
{
	if (notes->everything)
		return;
	for (int i = 0; i < notes->n; i++)
	{
		if (strcmp(notes->notes[i].queue, queue) == 0)
		{
			notes->notes[i].due_at = Min(notes->notes[i].due_at, due_at);
			return;
		}
	}
	if (notes->n == WF_MAX_NOTES)
	{
		notes->everything = true;
		return;
	}
	strlcpy(notes->notes[notes->n].queue, queue, WF_QUEUE_LEN);
	notes->notes[notes->n].due_at = due_at;
	notes->n++;
}

static void
merge_notes(WfNotes *into, const WfNotes *from)
{
	into->everything |= from->everything;
	into->unlocked |= from->unlocked;
	for (int i = 0; i < from->n; i++)
		add_note(into, from->notes[i].queue, from->notes[i].due_at);
}

/* ---- publishing ---- */

/*
 * Publish the wake-ups. `wake` says that due times are among them: else the dispatcher is woken
 * only if it waits for the end of locks.
 */
static void
publish_notes(Oid database, const WfNotes *notes, bool wake)
{
	WfSlot	   *slot = wf_slot_of(database);
	int			procno = WF_NO_PROC;

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == database)
	{
		merge_notes(&slot->notes, notes);
		if (wake || slot->want_unlocks)
			procno = slot->dispatcher_procno;
	}
	SpinLockRelease(&slot->mutex);
	wf_set_latch(procno);
}

static bool
is_ended(uint64 instance)
{
	uint64		bit = ENDED_BIT(instance);

	return (pending.ended[bit / 8] & (1 << (bit % 8))) != 0;
}

/* Wake sessions in wait_for; `all`: whatever instance they wait for. */
static void
wake_waiters(Oid database, bool all)
{
	pg_memory_barrier(); /* the commit must be visible before waiters are looked for */
	if (pg_atomic_read_u32(&wf_shared->nwaiters) == 0)
		return;
	for (int i = 0; i < wf_shared->nprocs; i++)
	{
		WfWaiter   *waiter = &wf_shared->waiters[i];
		uint64		instance = pg_atomic_read_u64(&waiter->instance);

		if (instance == 0 || waiter->database != database || !(all || is_ended(instance)))
			continue;
		pg_atomic_write_u32(&waiter->woken, 1);
		wf_set_latch(i);
	}
}

static void
publish_locks_gone(void)
{
	WfNotes		gone;

	gone.n = 0;
	gone.everything = false;
	gone.unlocked = true;
	publish_notes(MyDatabaseId, &gone, false);
}

static void
publish_commit(void)
{
	if (pending.any_due || pending.notes.unlocked)
		publish_notes(MyDatabaseId, &pending.notes, pending.any_due);
	if (pending.any_ended)
		wake_waiters(MyDatabaseId, false);
	if (pending.nstopped > 0)
		wf_claims_stop(pending.stopped, pending.nstopped);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			publish_commit();
			forget();
			break;
		case XACT_EVENT_ABORT:
			if (pending.notes.unlocked)
				publish_locks_gone();
			wf_waiter_remove();
			forget();
			break;
		/* nothing has ended yet; COMMIT PREPARED and ROLLBACK PREPARED wake everybody */
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			forget();
			break;
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

/* ROLLBACK TO SAVEPOINT releases locks too, so their end is published at once. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && pending.notes.unlocked)
		publish_locks_gone();
}

void
wf_wake_database(Oid database)
{
	WfNotes		all;

	if (wf_shared == NULL)
		return;
	all.n = 0;
	all.everything = all.unlocked = true;
	publish_notes(database, &all, true);
	wake_waiters(database, true);
}

void
wf_executors_look_again(WfSlot *slot)
{
	WfNotes		again;

	again.n = 0;
	again.everything = again.unlocked = false;
	add_note(&again, WF_QUEUE_EXECUTOR, DT_NOBEGIN);
	publish_notes(slot->database, &again, true);
}

/* ---- the dispatcher ---- */

void
wf_notes_take(WfNotes *notes)
{
	WfSlot	   *slot = wf_my_slot;

	SpinLockAcquire(&slot->mutex);
	notes->n = slot->notes.n;
	notes->everything = slot->notes.everything;
	notes->unlocked = slot->notes.unlocked;
	memcpy(notes->notes, slot->notes.notes, sizeof(WfNote) * notes->n);
	slot->notes.n = 0;
	slot->notes.everything = slot->notes.unlocked = false;
	SpinLockRelease(&slot->mutex);
}

bool
wf_notes_pending(void)
{
	WfNotes    *notes = &wf_my_slot->notes;
	bool		answer;

	SpinLockAcquire(&wf_my_slot->mutex);
	answer = notes->n > 0 || notes->everything || (notes->unlocked && wf_my_slot->want_unlocks);
	SpinLockRelease(&wf_my_slot->mutex);
	return answer;
}

void
wf_notes_want_unlocks(bool want)
{
	bool		gone_meanwhile;

	SpinLockAcquire(&wf_my_slot->mutex);
	wf_my_slot->want_unlocks = want;
	gone_meanwhile = wf_my_slot->notes.unlocked;
	SpinLockRelease(&wf_my_slot->mutex);
	if (want && gone_meanwhile)
		SetLatch(MyLatch);
}

void
wf_dispatcher_attach(void)
{
	SpinLockAcquire(&wf_my_slot->mutex);
	wf_my_slot->dispatcher_procno = wf_my_procno();
	wf_my_slot->want_unlocks = false;
	wf_my_slot->notes.everything = true;
	SpinLockRelease(&wf_my_slot->mutex);
}

/* ---- waiters ---- */

void
wf_waiter_add(int64 instance)
{
	WfWaiter   *waiter;

	register_once();
	wf_waiter_remove();
	waiter = &wf_shared->waiters[wf_my_procno()];
	waiter->database = MyDatabaseId;
	pg_atomic_write_u32(&waiter->woken, 0);
	pg_atomic_fetch_add_u32(&wf_shared->nwaiters, 1);
	/*
	 * a full barrier: whoever does not see this waiter yet has committed what it is about to read
	 */
	(void) pg_atomic_exchange_u64(&waiter->instance, (uint64) instance);
}

/*
 * An exchange, since a barrier is needed: what the caller reads after it is newer than the wake-up.
 */
bool
wf_waiter_woken(void)
{
	return pg_atomic_exchange_u32(&wf_shared->waiters[wf_my_procno()].woken, 0) != 0;
}

void
wf_waiter_remove(void)
{
	WfWaiter   *waiter;

	if (wf_shared == NULL || MyProc == NULL)
		return;
	waiter = &wf_shared->waiters[wf_my_procno()];
	if (pg_atomic_read_u64(&waiter->instance) == 0)
		return;
	pg_atomic_write_u64(&waiter->instance, 0);
	pg_atomic_fetch_sub_u32(&wf_shared->nwaiters, 1);
}
