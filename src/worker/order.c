/*
 * order.c
 *		Carrying out orders to instances that were called, in an executor.
 *
 * An order is what an operator could do to the instance: it does not wait for the deliveries of that, and reaches it
 * while it is suspended. Orders of one instance are carried out one after the other, since being resumed after a
 * suspension is not the same as before it: under the lock of the instance the first one goes, and others wait for it.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "engine/engine.h"
#include "shmem/careful.h"
#include "shmem/wakeups.h"
#include "store/due.h"
#include "worker/failure.h"
#include "worker/order.h"

/* Longest pause between two tries to lock an instance. */
#define LONGEST_PAUSE_MS 1000
/* An order that brings the server down is tried again after so long. */
#define DEADLY_PAUSE_MS (60 * 60 * 1000)

static void
postpone(const WfDelivery *taken, int pause_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);

	wf_delivery_postpone(taken->id, until);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, until);
}

static void
wait_for_turn(const WfDelivery *taken)
{
	wf_careful_keep();
	postpone(taken, Min(10 << Min(taken->attempt, 10), LONGEST_PAUSE_MS));
}

static void
put_off(const WfDelivery *taken)
{
	WfFault fault;

	wf_failure_died(&fault);
	ereport(WARNING, errcode(ERRCODE_SYSTEM_ERROR),
			errmsg("workflow puts off delivery " INT64_FORMAT " (%s) of instance " INT64_FORMAT ": %s", taken->id,
				   taken->kind, taken->instance, fault.message));
	postpone(taken, DEADLY_PAUSE_MS);
}

static void
obey(WfBatch *batch, WfInstance *instance, WfOrder order, const char *reason)
{
	switch (order)
	{
		case WF_ORDER_CANCEL:
			wf_engine_cancel(batch, instance, reason);
			break;
		case WF_ORDER_SUSPEND:
			wf_engine_suspend(batch, instance, true);
			break;
		case WF_ORDER_RESUME:
			/* it, or its own process, may have been suspended for itself */
			if (instance->with_caller && !wf_process_is_suspended(instance->process->process_id))
				wf_engine_resume(batch, instance);
			break;
	}
}

void
wf_order_carry_out(const WfDelivery *taken, int deaths)
{
	WfBatch	   *batch = wf_batch_begin();
	WfInstance *instance;
	int64		living;
	WfOrder		order;
	char	   *reason;

	if (deaths >= WF_MOST_DEATHS)
	{
		put_off(taken);
		return;
	}
	if (wf_batch_lock(batch, &taken->instance, 1, WF_LOCK_SKIP) == 0 &&
		wf_instances_living(&taken->instance, 1, &living) > 0)
	{
		wait_for_turn(taken);
		return;
	}
	instance = wf_batch_instance(batch, taken->instance);
	if (instance != NULL)
	{
		if (wf_notice_first_order(taken->instance, &order, &reason) != taken->id)
		{
			wait_for_turn(taken);
			return;
		}
		obey(batch, instance, order, reason);
		wf_batch_flush(batch);
	}
	wf_delivery_delete(taken->id);
}
