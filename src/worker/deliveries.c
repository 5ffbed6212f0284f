/*
 * deliveries.c
 *		Deliveries that executors carry out: for instances (deliver.c), messages that start one (message_start.c), orders to
 *		instances that were called (order.c), calls that were made asynchronously (operation.c), what is told of them (rest.c), write-backs (write_back.c),
 *		upkeep (upkeep.c).
 *
 * Each is carried out in the transaction that deletes its row, so that it is carried out once. Two rows stay: that of a
 * write-back that has failed, and that of upkeep, which is due again in an hour.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "shmem/careful.h"
#include "shmem/executors.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/delivery.h"
#include "worker/deliveries.h"
#include "worker/deliver.h"
#include "worker/delivery_kinds.h"
#include "worker/failure.h"
#include "worker/message_start.h"
#include "worker/operation.h"
#include "worker/order.h"
#include "worker/rest.h"
#include "worker/upkeep.h"
#include "worker/write_back.h"

#define UPKEEP_PAUSE_MS (60 * 60 * 1000)

/* The server does not survive the upkeep: it is tried again in an hour. */
static void
put_off_upkeep(const WfDelivery *delivery)
{
	WfFault fault;

	wf_failure_died(&fault);
	ereport(WARNING, errcode(ERRCODE_SYSTEM_ERROR),
			errmsg("workflow gives up delivery " INT64_FORMAT " (%s) of instance " INT64_FORMAT ": %s", delivery->id,
				   delivery->kind, delivery->instance, fault.message));
	wf_delivery_postpone(delivery->id, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), UPKEEP_PAUSE_MS));
}

bool
wf_deliveries_work(const char *queue, WfWorkItem *item, int64 *delivering)
{
	WfAccess	  access;
	WfDelivery	 *delivery;
	MemoryContext context = CurrentMemoryContext;
	WfDelivery	  write_back = {0};
	WfDelivery	  upkeep_due = {0};
	int			  deaths;

	wf_store_enter(&access);
	delivery = wf_delivery_take(queue, GetCurrentTimestamp(), NULL);
	if (delivery == NULL)
	{
		wf_store_leave(&access);
		return false;
	}
	*item = (WfWorkItem){.instance = delivery->instance,
						 .visit = wf_delivery_kind(delivery->kind) != NULL ? delivery->visit : 0,
						 .delivery = delivery->id,
						 .due_at = delivery->due_at};
	deaths = wf_careful_begin(WF_PIECE_DELIVERY, delivery->id);
	if (strcmp(delivery->kind, WF_DELIVERY_WRITE_BACK) == 0)
	{
		*delivering = delivery->id;
		write_back = *delivery;
	}
	else if (wf_delivery_kind(delivery->kind) != NULL)
		wf_deliver(delivery, deaths);
	else if (strcmp(delivery->kind, WF_DELIVERY_START) == 0)
		wf_start_deliver(delivery, deaths);
	else if (strcmp(delivery->kind, WF_DELIVERY_CONTROL) == 0)
		wf_order_carry_out(delivery, deaths);
	else if (strcmp(delivery->kind, WF_DELIVERY_OPERATION) == 0)
		wf_operation_carry_out(delivery, deaths);
	else if (strcmp(delivery->kind, WF_DELIVERY_REST) == 0)
		wf_rest_carry_out(delivery, deaths);
	else if (deaths >= WF_MOST_DEATHS)
		put_off_upkeep(delivery);
	else
		upkeep_due = *delivery;
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	if (write_back.id != 0)
		item->shares = wf_write_back(&write_back, deaths >= WF_MOST_DEATHS ? WF_SPARED_DEADLY
												  : wf_uncancellable_is(WF_UNCANCELLABLE_DELIVERY(write_back.id))
													  ? WF_SPARED_UNCANCELLABLE
													  : WF_SPARED_NOT);
	if (upkeep_due.id != 0)
		wf_upkeep(&upkeep_due);
	return true;
}

bool
wf_deliveries_work_beside(const char *queue, int64 *delivering)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;
	WfDelivery	 *delivery;
	WfDelivery	  write_back = {0};

	wf_store_enter(&access);
	delivery = wf_delivery_take(queue, GetCurrentTimestamp(), NULL);
	if (delivery != NULL && strcmp(delivery->kind, WF_DELIVERY_WRITE_BACK) == 0)
		write_back = *delivery;
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	if (write_back.id == 0 || wf_uncancellable_is(WF_UNCANCELLABLE_DELIVERY(write_back.id)))
		return false;
	*delivering = write_back.id;
	return wf_write_back_beside(&write_back);
}
