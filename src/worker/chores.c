/*
 * chores.c
 *		Deliveries that executors carry out.
 *
 * Each is done in the transaction that deletes it, so that it is done once; but a write-back that fails, which stays, and upkeep,
 * which is never done.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "engine/engine.h"
#include "shmem/careful.h"
#include "shmem/executors.h"
#include "shmem/notes.h"
#include "store/access.h"
#include "worker/chores.h"
#include "worker/exchange.h"
#include "worker/failure.h"
#include "worker/upkeep.h"
#include "worker/write_back.h"

/* between two looks at an instance that somebody has locked */
#define LONGEST_LOCK_PAUSE_MS 1000
#define UPKEEP_PAUSE_MS (60 * 60 * 1000)

/* ---- what took too long in the dispatcher ---- */

/* False: somebody else has its lock, perhaps for long. *visit is NULL if it has ended. */
static bool
load(WfBatch *batch, const WfDelivery *delivery, WfVisit **visit)
{
	int64		living;

	*visit = NULL;
	if (wf_batch_lock(batch, &delivery->instance, 1, WF_LOCK_SKIP) == 0)
		return wf_instances_living(&delivery->instance, 1, &living) == 0;
	wf_batch_load_visits(batch, &delivery->instance, &delivery->visit, 1);
	*visit = wf_batch_visit(batch, delivery->instance, delivery->visit);
	return true;
}

static bool
reply(const WfDelivery *delivery)
{
	WfBatch    *batch = wf_batch_begin();
	WfVisit    *visit;
	WfAnswer	answer;

	if (!load(batch, delivery, &visit))
		return false;
	if (visit != NULL && visit->held)
		wf_delivery_add(delivery->instance, delivery->visit, WF_DELIVERY_REPLY, WF_QUEUE_HELD,
						batch->now, delivery->payload);
	else if (visit != NULL)
	{
		wf_exchange_unpack(delivery->payload, &answer);
		wf_engine_answer(batch, visit, &answer);
		wf_batch_flush(batch);
	}
	/* the dispatcher has the visit in flight until its reply is delivered */
	wf_note_due(WF_QUEUE_MOVE, GetCurrentTimestamp());
	return true;
}

static bool
deliver_alarm(const WfDelivery *delivery)
{
	WfBatch    *batch = wf_batch_begin();
	WfVisit    *visit;

	if (!load(batch, delivery, &visit))
		return false;
	if (visit != NULL)
		wf_engine_alarm(batch, visit);
	wf_batch_flush(batch);
	return true;
}

/* ---- taking one ---- */

typedef struct Chore
{
	const char *kind;
	/* inside the store; false: somebody has the lock of the instance */
	bool		(*work) (const WfDelivery *delivery);
} Chore;

static const Chore chores[] = {{WF_DELIVERY_REPLY, reply}, {WF_DELIVERY_ALARM, deliver_alarm}};

/* Nobody else is to wait for a lock with us. */
static void
wait_for_unlock(const WfDelivery *delivery)
{
	int			pause_ms = Min(10 << Min(delivery->attempt, 10), LONGEST_LOCK_PAUSE_MS);
	TimestampTz again = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);

	wf_careful_keep();
	wf_delivery_postpone(delivery->id, again);
	wf_note_due(WF_QUEUE_EXECUTOR, again);
}

static void
carry_out(const WfDelivery *delivery)
{
	for (int i = 0; i < lengthof(chores); i++)
	{
		if (strcmp(chores[i].kind, delivery->kind) != 0 || chores[i].work(delivery))
			continue;
		wait_for_unlock(delivery);
		return;
	}
	wf_delivery_delete(delivery->id);
}

static bool
moves_visit(const WfDelivery *delivery)
{
	return strcmp(delivery->kind, WF_DELIVERY_REPLY) == 0 ||
		   strcmp(delivery->kind, WF_DELIVERY_ALARM) == 0;
}

/* The server does not survive it: whom it is for gets to know, and it is not tried again; but upkeep, an hour later. */
static void
give_up(const WfDelivery *delivery, int deaths)
{
	WfBatch    *batch = wf_batch_begin();
	WfVisit    *visit = NULL;
	WfFault		fault;

	wf_failure_died(&fault);
	ereport(WARNING, errcode(ERRCODE_SYSTEM_ERROR),
			errmsg("workflow gives up delivery " INT64_FORMAT " (%s) of instance " INT64_FORMAT ": %s",
				   delivery->id, delivery->kind, delivery->instance, fault.message));
	if (strcmp(delivery->kind, WF_DELIVERY_MAINTAIN) == 0)
	{
		wf_delivery_postpone(delivery->id, TimestampTzPlusMilliseconds(batch->now, UPKEEP_PAUSE_MS));
		return;
	}
	if (moves_visit(delivery))
	{
		if (!load(batch, delivery, &visit))
		{
			wait_for_unlock(delivery);
			return;
		}
		if (visit != NULL)
			wf_engine_break(batch, visit, &fault, deaths > WF_MOST_DEATHS ? WF_BREAK_BARE : WF_BREAK_ACTION);
		wf_batch_flush(batch);
		wf_note_due(WF_QUEUE_MOVE, batch->now); /* the dispatcher has it in flight until then */
	}
	wf_delivery_delete(delivery->id);
}

bool
wf_chores_work(const char *queue, WfWorkItem *item, int64 *delivering)
{
	WfAccess	access;
	WfDelivery *delivery;
	MemoryContext context = CurrentMemoryContext;
	WfDelivery	write_back = {0};
	WfDelivery	upkeep_due = {0};
	int			deaths;

	wf_store_enter(&access);
	delivery = wf_delivery_take(queue, GetCurrentTimestamp());
	if (delivery == NULL)
	{
		wf_store_leave(&access);
		return false;
	}
	*item = (WfWorkItem){.instance = delivery->instance, .visit = moves_visit(delivery) ? delivery->visit : 0,
		.delivery = delivery->id, .due_at = delivery->due_at};
	deaths = wf_careful_begin(WF_PIECE_DELIVERY, delivery->id);
	if (strcmp(delivery->kind, WF_DELIVERY_WRITE_BACK) == 0)
	{
		*delivering = delivery->id;
		write_back = *delivery;
	}
	else if (deaths >= WF_MOST_DEATHS)
		give_up(delivery, deaths);
	else if (strcmp(delivery->kind, WF_DELIVERY_MAINTAIN) == 0)
		upkeep_due = *delivery;
	else
		carry_out(delivery);
	wf_store_leave(&access);
	MemoryContextSwitchTo(context);
	if (write_back.id != 0)
		wf_write_back(&write_back, deaths >= WF_MOST_DEATHS						   ? WF_SPARED_DEADLY
								   : wf_stubborn_take(WF_STUBBORN_DELIVERY(write_back.id)) ? WF_SPARED_STUBBORN
																						  : WF_SPARED_NOT);
	if (upkeep_due.id != 0)
		wf_upkeep(&upkeep_due);
	return true;
}
