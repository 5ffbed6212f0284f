/*
 * deliver.c
 *		Deliveries that executors bring to instances, in the order of their numbers.
 *
 * The lock of the instance is tried once for all of them. Whoever holds it may apply any of them, so what waits is read once it is
 * held; what another worker's queue has before them comes first, and they wait for that.
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
/* of payloads, which the last one may exceed: read, they take many times that */
#define BYTES_PER_TRANSACTION (4 * 1024 * 1024)
/* then others have their turn */
#define LONGEST_TURN_MS 100
/* between two looks at an instance that somebody has locked */
#define LONGEST_LOCK_PAUSE_MS 1000

static int64 alone = 0; /* what waits for this instance has failed together: one by one */
static int	 together;	/* that many were applied in this transaction */

/* All of the instance together, so that nobody else waits for its lock with us, and their order stays. */
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

/* What was taken does not come first. It waits until what does is due, or somebody else has dealt with that. */
static void
line_up(const WfDelivery *taken, const WfDelivery *first)
{
	if (strcmp(first->queue, taken->queue) == 0)
		postpone(taken, first->due_at);
	else
		wait_for_unlock(taken);
}

/* How many of them can be brought now, from the first one on. What was held is so no longer if its instance is not suspended. */
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

/* Returns how many were applied, for a visit that lives or for nobody. */
static int
apply_delivery(WfBatch *batch, const WfDelivery *waiting, int n)
{
	TimestampTz begin = GetCurrentTimestamp();
	int			applied = 0;

	while (applied < n && !wf_batch_is_deferred(batch, waiting[applied].instance, waiting[applied].visit) &&
		   !TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), LONGEST_TURN_MS))
	{
		const WfDelivery *delivery = &waiting[applied++];
		WfVisit			 *visit = wf_batch_visit(batch, delivery->instance, delivery->visit);

		together = applied;
		if (visit != NULL)
			wf_delivery_kind(delivery->kind)->apply(batch, visit, delivery->payload);
	}
	return applied;
}

/* The server does not survive it: whom it is for gets to know, and it is not tried again. */
static void
break_first(WfBatch *batch, const WfDelivery *first, int deaths)
{
	WfVisit *visit = wf_batch_visit(batch, first->instance, first->visit);
	WfFault	 fault;

	wf_failure_died(&fault);
	ereport(WARNING, errcode(ERRCODE_SYSTEM_ERROR),
			errmsg("workflow gives up delivery " INT64_FORMAT " (%s) of instance " INT64_FORMAT ": %s", first->id,
				   first->kind, first->instance, fault.message));
	if (visit != NULL)
		wf_engine_fail(batch, visit, &fault, deaths > WF_MOST_DEATHS ? WF_FAIL_BARE : WF_FAIL_ACTION);
}

static void
bring(WfBatch *batch, const WfDelivery *waiting, int n, int deaths)
{
	int64 *ids = palloc(sizeof(int64) * n);

	load_visits(batch, waiting, n);
	if (deaths >= WF_MOST_DEATHS)
	{
		break_first(batch, &waiting[0], deaths);
		n = 1;
	}
	else
		n = apply_delivery(batch, waiting, n);
	for (int i = 0; i < n; i++)
		ids[i] = waiting[i].id;
	wf_batch_flush(batch);
	if (wf_deliveries_delete(ids, n) != n)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE), errmsg("a delivery was made by somebody else"));
	/* the dispatcher has their visits in flight until then */
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
