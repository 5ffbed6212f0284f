/*
 * deliver.c
 *		Applying the deliveries of an instance, in an executor, in the order of their numbers.
 *
 * The lock of the instance is tried once for all of its deliveries, and not waited for. Whoever holds it may apply
 * any of them, so they are read only once it is held. If an earlier delivery is in another worker's queue, they wait
 * for it.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "engine/engine.h"
#include "shmem/careful.h"
#include "shmem/wakeups.h"
#include "store/due.h"
#include "worker/deliver.h"
#include "worker/delivery_kinds.h"
#include "worker/failure.h"

#define PER_TRANSACTION 256
/* Bytes of payloads, which the last one may exceed. As jsonb in memory they take many times that. */
#define BYTES_PER_TRANSACTION (4 * 1024 * 1024)
/* After so long the transaction ends, so that other queues have their turn. */
#define LONGEST_TURN_MS 100
/* Longest pause between two tries to lock an instance. */
#define LONGEST_LOCK_PAUSE_MS 1000

static int64 alone = 0; /* an instance whose deliveries failed together, and are applied one by one; 0: none */
static int	 together;	/* deliveries that were applied in this transaction */

/* Postpone all deliveries of the instance, so that no other executor waits for its lock too, and their order stays. */
static void
postpone(const WfDelivery *taken, TimestampTz until)
{
	wf_careful_keep();
	wf_deliveries_postpone(&taken->instance, &until, 1);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, until);
}

static void
wait_for_unlock(const WfDelivery *taken)
{
	int pause_ms = Min(10 << Min(taken->attempt, 10), LONGEST_LOCK_PAUSE_MS);

	postpone(taken, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms));
}

/*
 * The delivery that was taken is not the instance's first one: let it wait. If the first is in the same queue, that is
 * until it is due; if it is in another one, until another worker has applied it.
 */
static void
line_up(const WfDelivery *taken, const WfDelivery *first)
{
	if (strcmp(first->queue, taken->queue) == 0)
		postpone(taken, first->due_at);
	else
		wait_for_unlock(taken);
}

/*
 * How many deliveries, from the first one on, can be applied now: those that are due in our queue. One that is in the
 * queue for suspended instances can be, too, since the caller has seen that its instance is suspended no longer.
 */
static int
count_due(const WfDelivery *waiting, int n, const char *queue, TimestampTz now)
{
	int due = 0;

	while (due < n && (strcmp(waiting[due].queue, WF_QUEUE_SUSPENDED) == 0 ||
					   (strcmp(waiting[due].queue, queue) == 0 && waiting[due].due_at <= now)))
		due++;
	return due;
}

static void
load_visits(WfBatch *batch, const WfDelivery *waiting, int n)
{
	int64 *instances = palloc(sizeof(int64) * n);
	int64 *visits = palloc(sizeof(int64) * n);

	for (int i = 0; i < n; i++)
	{
		instances[i] = waiting[i].instance;
		visits[i] = waiting[i].visit;
	}
	batch->memory_budget = n > 1 ? WF_BATCH_MEMORY_BUDGET : 0;
	wf_batch_load_visits(batch, instances, visits, n);
}

/* Apply deliveries until the time is up. Returns how many are done with, including those whose visit has ended. */
static int
apply_delivery(WfBatch *batch, const WfDelivery *waiting, int n)
{
	TimestampTz begin = GetCurrentTimestamp();
	int			applied = 0;

	while (applied < n && !wf_batch_is_deferred(batch, waiting[applied].instance, waiting[applied].visit) &&
		   !TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), LONGEST_TURN_MS))
	{
		const WfDelivery *delivery = &waiting[applied++];

		together = applied;
		wf_delivery_apply(batch, delivery);
	}
	return applied;
}

/* The server does not survive the first delivery: its visit fails, and the delivery is not tried again. */
static void
fail_first(WfBatch *batch, const WfDelivery *first, int deaths)
{
	WfVisit *visit = wf_batch_visit(batch, first->instance, first->visit);
	WfFault	 fault;

	wf_failure_died(&fault);
	ereport(WARNING, errcode(ERRCODE_SYSTEM_ERROR),
			errmsg("workflow gives up delivery " INT64_FORMAT " (%s) of instance " INT64_FORMAT ": %s", first->id,
				   first->kind, first->instance, fault.message));
	if (visit != NULL)
		wf_engine_fail(batch, visit, &fault, deaths > WF_MOST_DEATHS ? WF_FAIL_BARE : WF_FAIL_ACTION);
	if (wf_delivery_kind(first->kind)->failed != NULL)
		wf_delivery_kind(first->kind)->failed(batch, first->payload);
}

static void
bring(WfBatch *batch, const WfDelivery *waiting, int n, int deaths)
{
	int64 *ids = palloc(sizeof(int64) * n);

	load_visits(batch, waiting, n);
	if (deaths >= WF_MOST_DEATHS)
	{
		fail_first(batch, &waiting[0], deaths);
		n = 1;
	}
	else
		n = apply_delivery(batch, waiting, n);
	for (int i = 0; i < n; i++)
		ids[i] = waiting[i].id;
	wf_batch_flush(batch);
	if (wf_deliveries_delete(ids, n) != n)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE), errmsg("a delivery was made by somebody else"));
	/* The dispatcher has their visits in flight until this wake-up has it look which replies were delivered. */
	wf_wakeup_due(WF_QUEUE_MOVE, batch->now);
}

void
wf_deliver(const WfDelivery *taken, int deaths)
{
	WfBatch	   *batch = wf_batch_begin();
	bool		one = wf_careful() || taken->instance == alone;
	WfDelivery *waiting;
	WfInstance *instance;
	int64		living;
	int			n;

	together = 0;
	if (wf_batch_lock(batch, &taken->instance, 1, WF_LOCK_SKIP) == 0 &&
		wf_instances_living(&taken->instance, 1, &living) > 0)
	{
		wait_for_unlock(taken);
		return;
	}
	instance = wf_batch_instance(batch, taken->instance);
	if (instance != NULL && instance->status == WF_STATUS_SUSPENDED)
	{
		wf_deliveries_hold(&taken->instance, 1);
		wf_wakeup_due(WF_QUEUE_MOVE, batch->now);
		return;
	}
	n = wf_deliveries_waiting(&taken->instance, 1, one ? 1 : PER_TRANSACTION, BYTES_PER_TRANSACTION, &waiting);
	n = count_due(waiting, n, taken->queue, GetCurrentTimestamp());
	if (n == 0 || waiting[0].id != taken->id)
		line_up(taken, &waiting[0]);
	else
		bring(batch, waiting, n, deaths);
}

bool
wf_deliver_one_by_one(int64 instance)
{
	bool again = together > 1;

	alone = again ? instance : 0;
	together = 0;
	return again;
}
