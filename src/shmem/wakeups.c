/*
 * wakeups.c
 *		Wake-ups that a transaction leaves for the workers, published at its end.
 *
 * The wake-ups of the running transaction are in static memory, so that publishing them, after the
 * commit record is written, can neither allocate nor fail. Those of a rolled back subtransaction
 * stay: they only make a worker look in vain. But no statement is stopped for one. The callback is registered by a backend's first
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
#include "shmem/unconfirmed.h"

#define ENDED_BITS			16384
#define ENDED_BIT(instance) ((uint64) (instance) % ENDED_BITS)

typedef struct Pending
{
	WfWakeups wakeups;
	WfTopics  topics;
	bool	  any_due;
	bool	  any_ended;
	uint8	  ended[ENDED_BITS / 8];
	bool	  any_moved;
	uint8	  moved[ENDED_BITS / 8];
	int		  nstopped;
	int64	  stopped[WF_MAX_WORKERS];		 /* claimed visits that this transaction ends or suspends */
	int		  stopped_level[WF_MAX_WORKERS]; /* in which nested transaction */
} Pending;

static Pending pending;
static bool	   registered = false;

/* ---- collecting ---- */

static void add_wakeup(WfWakeups *wakeups, const char *queue, TimestampTz due_at);
static void wakeups_at_transaction_end(XactEvent event, void *arg);
static void wakeups_at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
										  void *arg);

static void
register_wakeups_once(void)
{
	wf_shmem_require();
	if (likely(registered))
		return;
	RegisterXactCallback(wakeups_at_transaction_end, NULL);
	RegisterSubXactCallback(wakeups_at_subtransaction_end, NULL);
	registered = true;
}

static TimestampTz first_due = DT_NOEND; /* since wf_wakeups_first */

TimestampTz
wf_wakeups_first(void)
{
	TimestampTz first = first_due;

	first_due = DT_NOEND;
	return first;
}

void
wf_wakeup_due(const char *queue, TimestampTz due_at)
{
	register_wakeups_once();
	first_due = Min(first_due, due_at);
	add_wakeup(&pending.wakeups, queue, due_at);
	pending.any_due = true;
}

/* The smaller of two numbers, where 0 means none. */
static int64
smaller(int64 a, int64 b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

void
wf_wakeup_message(int64 message)
{
	register_wakeups_once();
	pending.wakeups.message = smaller(pending.wakeups.message, message);
	pending.any_due = true;
}

void
wf_wakeup_subscription(int64 subscription)
{
	register_wakeups_once();
	pending.wakeups.subscription = smaller(pending.wakeups.subscription, subscription);
	pending.any_due = true;
}

void
wf_wakeup_broadcast(void)
{
	register_wakeups_once();
	pending.wakeups.broadcast = true;
	pending.any_due = true;
}

void
wf_wakeup_topic(const char *topic, TimestampTz at)
{
	register_wakeups_once();
	wf_topics_add(&pending.topics, topic, at);
}

void
wf_wakeup_ended(int64 instance)
{
	uint64 bit = ENDED_BIT(instance);

	register_wakeups_once();
	pending.ended[bit / 8] |= 1 << (bit % 8);
	pending.any_ended = true;
}

void
wf_wakeup_moved(int64 instance)
{
	uint64 bit = ENDED_BIT(instance);

	register_wakeups_once();
	pending.moved[bit / 8] |= 1 << (bit % 8);
	pending.any_moved = true;
}

/* There are no more claims at a time than places for them here. */
void
wf_wakeup_stopped(int64 visit)
{
	if (!wf_claimed_elsewhere(visit))
		return;
	for (int i = 0; i < pending.nstopped; i++)
		if (pending.stopped[i] == visit)
			return;
	if (pending.nstopped == WF_MAX_WORKERS)
		return;
	register_wakeups_once();
	pending.stopped_level[pending.nstopped] = GetCurrentTransactionNestLevel();
	pending.stopped[pending.nstopped++] = visit;
}

/* Works without the preloaded library too, since a trigger that a restore fires calls it. */
void
wf_wakeup_everything(void)
{
	if (wf_shared == NULL)
		return;
	register_wakeups_once();
	pending.wakeups.everything = true;
	pending.any_due = true;
}

/*
 * The dispatcher leaves no such wake-up: it does not wait for its own locks, and would wake itself
 * for ever.
 */
void
wf_wakeup_locked(void)
{
	register_wakeups_once();
	pending.wakeups.unlocked = !wf_am_dispatcher();
}

static void
clear_wakeups(WfWakeups *wakeups)
{
	wakeups->n = 0;
	wakeups->message = wakeups->subscription = 0;
	wakeups->broadcast = wakeups->everything = wakeups->unlocked = false;
}

static void
forget_wakeups(void)
{
	clear_wakeups(&pending.wakeups);
	wf_topics_clear(&pending.topics);
	pending.any_due = false;
	if (pending.any_ended)
		memset(pending.ended, 0, sizeof(pending.ended));
	pending.any_ended = false;
	if (pending.any_moved)
		memset(pending.moved, 0, sizeof(pending.moved));
	pending.any_moved = false;
	pending.nstopped = 0;
}

/* Add a wake-up. Also called under a spinlock: it neither allocates nor fails. */
static void
add_wakeup(WfWakeups *wakeups, const char *queue, TimestampTz due_at)
{
	if (wakeups->everything)
		return;
	for (int i = 0; i < wakeups->n; i++)
	{
		if (strcmp(wakeups->wakeups[i].queue, queue) == 0)
		{
			wakeups->wakeups[i].due_at = Min(wakeups->wakeups[i].due_at, due_at);
			return;
		}
	}
	if (wakeups->n == WF_MAX_WAKEUPS)
	{
		wakeups->everything = true;
		return;
	}
	strlcpy(wakeups->wakeups[wakeups->n].queue, queue, WF_QUEUE_LEN);
	wakeups->wakeups[wakeups->n].due_at = due_at;
	wakeups->n++;
}

static void
merge_wakeups(WfWakeups *into, const WfWakeups *from)
{
	into->everything |= from->everything;
	into->unlocked |= from->unlocked;
	into->message = smaller(into->message, from->message);
	into->subscription = smaller(into->subscription, from->subscription);
	into->broadcast |= from->broadcast;
	for (int i = 0; i < from->n; i++)
		add_wakeup(into, from->wakeups[i].queue, from->wakeups[i].due_at);
}

/* ---- publishing ---- */

/*
 * Publish the wake-ups. `wake` says that due times are among them: else the dispatcher is woken
 * only if it waits for the end of locks.
 */
static void
publish_wakeups(Oid database, const WfWakeups *wakeups, bool wake)
{
	WfSlot *slot = wf_slot_of(database);
	int		procno = WF_NO_PROC;

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == database)
	{
		merge_wakeups(&slot->wakeups, wakeups);
		if (wake || slot->want_unlocks)
			procno = slot->dispatcher_procno;
	}
	SpinLockRelease(&slot->mutex);
	wf_set_latch(procno);
}

/* Publish what is noted of topics. The dispatcher is woken if it would look too late. */
static void
publish_topics(Oid database, const WfTopics *topics)
{
	WfSlot	   *slot = wf_slot_of(database);
	TimestampTz due = wf_topics_due(topics);
	int			procno = WF_NO_PROC;

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	if (slot->database == database)
	{
		wf_topics_merge(&slot->topics, topics);
		due = Max(due, slot->topics_quiet);
		if (due < slot->topics_next)
		{
			slot->topics_next = due;
			procno = slot->dispatcher_procno;
		}
	}
	SpinLockRelease(&slot->mutex);
	wf_set_latch(procno);
}

static bool
is_awaited(const WfWaiter *waiter, uint64 instance)
{
	uint64 bit = ENDED_BIT(instance);
	uint8  changed = pending.ended[bit / 8] | (waiter->by_move ? pending.moved[bit / 8] : 0);

	return (changed & (1 << (bit % 8))) != 0;
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
		WfWaiter *waiter = &wf_shared->waiters[i];
		uint64	  instance = pg_atomic_read_u64(&waiter->instance);

		if (instance == 0 || waiter->database != database || !(all || is_awaited(waiter, instance)))
			continue;
		pg_atomic_write_u32(&waiter->woken, 1);
		wf_set_latch(i);
	}
}

static void
publish_locks_gone(void)
{
	WfWakeups gone;

	clear_wakeups(&gone);
	gone.unlocked = true;
	publish_wakeups(MyDatabaseId, &gone, false);
}

static void
publish_commit(void)
{
	if (pending.any_due)
		wf_unconfirmed_note();
	if (pending.any_due || pending.wakeups.unlocked)
		publish_wakeups(MyDatabaseId, &pending.wakeups, pending.any_due);
	if (pending.topics.n > 0)
		publish_topics(MyDatabaseId, &pending.topics);
	if (pending.any_ended || pending.any_moved)
		wake_waiters(MyDatabaseId, false);
	if (pending.nstopped > 0)
		wf_claims_stop(pending.stopped, pending.nstopped);
}

static void
wakeups_at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			publish_commit();
			forget_wakeups();
			break;
		case XACT_EVENT_ABORT:
			if (pending.wakeups.unlocked)
				publish_locks_gone();
			wf_waiter_remove();
			forget_wakeups();
			break;
		/* nothing has ended yet; COMMIT PREPARED and ROLLBACK PREPARED wake everybody */
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			forget_wakeups();
			break;
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
	}
}

/* What a nested transaction has ended or suspended, its parent has too, or nobody. */
static void
settle_stopped(bool aborted)
{
	int level = GetCurrentTransactionNestLevel();
	int n = 0;

	for (int i = 0; i < pending.nstopped; i++)
	{
		if (aborted && pending.stopped_level[i] >= level)
			continue;
		pending.stopped[n] = pending.stopped[i];
		pending.stopped_level[n++] = Min(pending.stopped_level[i], level - 1);
	}
	pending.nstopped = n;
}

/* ROLLBACK TO SAVEPOINT releases locks too, so their end is published at once. */
static void
wakeups_at_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && pending.wakeups.unlocked)
		publish_locks_gone();
	if (event == SUBXACT_EVENT_ABORT_SUB || event == SUBXACT_EVENT_COMMIT_SUB)
		settle_stopped(event == SUBXACT_EVENT_ABORT_SUB);
}

void
wf_wake_database(Oid database)
{
	WfWakeups all;

	if (wf_shared == NULL)
		return;
	clear_wakeups(&all);
	all.everything = all.unlocked = true;
	publish_wakeups(database, &all, true);
	wake_waiters(database, true);
}

void
wf_executors_look_again(WfSlot *slot)
{
	WfWakeups again;

	clear_wakeups(&again);
	add_wakeup(&again, WF_QUEUE_EXECUTOR, DT_NOBEGIN);
	publish_wakeups(slot->database, &again, true);
}

/* ---- the dispatcher ---- */

void
wf_wakeups_take(WfWakeups *wakeups)
{
	WfSlot *slot = wf_my_slot;

	SpinLockAcquire(&slot->mutex);
	*wakeups = slot->wakeups;
	clear_wakeups(&slot->wakeups);
	SpinLockRelease(&slot->mutex);
}

void
wf_topics_take(WfTopics *topics)
{
	WfSlot *slot = wf_my_slot;

	SpinLockAcquire(&slot->mutex);
	*topics = slot->topics;
	wf_topics_clear(&slot->topics);
	SpinLockRelease(&slot->mutex);
}

/* Some may have come since they were taken. */
void
wf_topics_look(TimestampTz next, TimestampTz quiet)
{
	WfSlot *slot = wf_my_slot;

	SpinLockAcquire(&slot->mutex);
	slot->topics_quiet = quiet;
	slot->topics_next = Max(Min(next, wf_topics_due(&slot->topics)), quiet);
	SpinLockRelease(&slot->mutex);
}

TimestampTz
wf_topics_next(void)
{
	TimestampTz next;

	SpinLockAcquire(&wf_my_slot->mutex);
	next = wf_my_slot->topics_next;
	SpinLockRelease(&wf_my_slot->mutex);
	return next;
}

bool
wf_wakeups_pending(void)
{
	WfWakeups *wakeups = &wf_my_slot->wakeups;
	bool	   answer;

	SpinLockAcquire(&wf_my_slot->mutex);
	answer = wakeups->n > 0 || wakeups->message != 0 || wakeups->subscription != 0 || wakeups->broadcast ||
			 wakeups->everything || (wakeups->unlocked && wf_my_slot->want_unlocks);
	SpinLockRelease(&wf_my_slot->mutex);
	return answer;
}

void
wf_wakeups_want_unlocks(bool want)
{
	bool gone_meanwhile;

	SpinLockAcquire(&wf_my_slot->mutex);
	wf_my_slot->want_unlocks = want;
	gone_meanwhile = wf_my_slot->wakeups.unlocked;
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
	wf_my_slot->wakeups.everything = true;
	wf_my_slot->topics_quiet = wf_my_slot->topics_next = 0;
	SpinLockRelease(&wf_my_slot->mutex);
}

/* ---- waiters ---- */

void
wf_waiter_add(int64 instance, bool by_move)
{
	WfWaiter *waiter;

	register_wakeups_once();
	wf_waiter_remove();
	waiter = &wf_shared->waiters[wf_my_procno()];
	waiter->database = MyDatabaseId;
	waiter->by_move = by_move;
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
	WfWaiter *waiter;

	if (wf_shared == NULL || MyProc == NULL)
		return;
	waiter = &wf_shared->waiters[wf_my_procno()];
	if (pg_atomic_read_u64(&waiter->instance) == 0)
		return;
	pg_atomic_write_u64(&waiter->instance, 0);
	pg_atomic_fetch_sub_u32(&wf_shared->nwaiters, 1);
}
