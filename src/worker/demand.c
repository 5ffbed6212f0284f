/*
 * demand.c
 *		The dispatcher's look at the work that is due for executors, and for which role each piece is.
 *
 * All queues for executors share one cursor, which says when to look again. A commit leaves the wake-up that there is
 * work for executors, but not in which queue, since there may be as many queues as processes.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/executor_shares.h"
#include "shmem/wakeups.h"
#include "shmem/settings.h"
#include "store/executor_work.h"
#include "worker/dispatcher_internal.h"

/* While executors have work, look at least so often whether it was done. */
#define EXECUTOR_CHECK_MS 5000
/* A look that takes longer than LONG_LOOK_US, since there are many queues, is taken in 1/LONG_LOOK_PART of the time. */
#define LONG_LOOK_US   1000
#define LONG_LOOK_PART 4
/* While all executors are busy, pause so long between two looks: they find more of the same work by themselves. */
#define BUSY_LOOK_MS 2

typedef struct Demands
{
	MemoryContext context; /* the list is allocated there */
	TimestampTz	  now;
	WfDemand	 *list;
	int			  n;
	TimestampTz	  next; /* first due time in the future; WF_NEVER: there is none */
} Demands;

static void
add_demand(Demands *demands, const WfExecutorWork *work)
{
	Oid		  role = wf_executor_queue_role(work->queue);
	WfDemand *demand = NULL;

	for (int i = 0; i < demands->n && demand == NULL; i++)
		if (demands->list[i].role == role)
			demand = &demands->list[i];
	if (demand == NULL)
	{
		demand = &demands->list[demands->n++];
		*demand = (WfDemand){.role = role, .since = work->since};
	}
	demand->wanted = Min(demand->wanted + work->n, WF_MAX_EXECUTORS);
	demand->since = Min(demand->since, work->since);
}

static void
look_at_work(WfDispatcher *dispatcher, void *arg)
{
	Demands		   *demands = arg;
	WfExecutorWork *work;
	int				n = wf_executor_work(demands->now, wf_setting_executors, &work);

	demands->list = MemoryContextAlloc(demands->context, sizeof(WfDemand) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (work[i].n > 0)
			add_demand(demands, &work[i]);
		if (work[i].next != 0)
			demands->next = Min(demands->next, work[i].next);
	}
}

void
wf_demand_meet(WfDispatcher *dispatcher)
{
	WfQueueCursor *cursor = wf_queue_cursor(WF_QUEUE_EXECUTOR);
	TimestampTz	   now = GetCurrentTimestamp();
	Demands		   demands = {.context = CurrentMemoryContext, .now = now, .next = WF_NEVER};
	TimestampTz	   took;
	bool		   all_busy;
	int			   again_ms;

	cursor->next = Max(cursor->next, dispatcher->demand_not_before);
	if (cursor->next > now)
		return;
	if (!wf_small_transaction(dispatcher, look_at_work, &demands))
		return;
	cursor->next = demands.next;
	cursor->pause_ms = 0;
	took = GetCurrentTimestamp() - now;
	if (took > LONG_LOOK_US)
		dispatcher->demand_not_before = now + took * LONG_LOOK_PART;
	if (demands.n == 0 && !dispatcher->had_demands)
		return;
	dispatcher->had_demands = demands.n > 0;
	again_ms = wf_executors_share(demands.list, demands.n, &all_busy);
	if (all_busy)
		dispatcher->demand_not_before =
			Max(dispatcher->demand_not_before, TimestampTzPlusMilliseconds(now, BUSY_LOOK_MS));
	if (dispatcher->had_demands && (again_ms < 0 || again_ms > EXECUTOR_CHECK_MS))
		again_ms = EXECUTOR_CHECK_MS;
	if (again_ms >= 0)
		cursor->next = Min(cursor->next, TimestampTzPlusMilliseconds(now, again_ms));
}
