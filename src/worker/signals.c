/*
 * signals.c
 *		Signals, and messages to very many: the dispatcher takes each to all that wait for it, some in a transaction.
 *
 * Where many wait, a transaction brings it to some of them at once, and says how far it has come (store/broadcast.c). For those
 * that are locked, suspended, slow, or for which deliveries wait already, it makes deliveries, which are applied like all
 * others, each instance in its order. Where few wait, or the transaction fails, all of them get deliveries: so what fails,
 * takes long or is locked holds up no others.
 */
#include "postgres.h"

#include "shmem/careful.h"
#include "store/broadcast.h"
#include "store/event_delivery.h"
#include "worker/dispatcher_internal.h"

typedef struct Taking
{
	MemoryContext	context;  /* the part is allocated there */
	bool			at_once;  /* bring it to many without deliveries */
	WfBroadcastPart part;	  /* those who get it so */
	bool			has_more; /* broadcasts */
} Taking;

static void
advance(WfDispatcher *dispatcher, void *arg)
{
	Taking		 *taking = arg;
	MemoryContext old = MemoryContextSwitchTo(taking->context);

	taking->has_more = wf_broadcast_advance(taking->at_once ? &taking->part : NULL);
	MemoryContextSwitchTo(old);
}

/* Those who were too large to be loaded with the others have their turn next: so that what they take holds up nobody for long. */
static int
leave_large(WfBroadcastPart *part, const WfJob *jobs, int n)
{
	int first = 0;

	while (first < n && !jobs[first].deferred)
		first++;
	if (first == 0 || first == n)
		return n;
	part->position = part->receivers[first - 1].subscription;
	return first;
}

/* Those to whom it could not be brought get deliveries, and it has come further. */
static void
bring_to_rest(const WfJob *jobs, int n, void *arg)
{
	WfBroadcastPart *part = arg;
	WfReceiver		*left = palloc(sizeof(WfReceiver) * n);
	int				 nleft = 0;

	n = leave_large(part, jobs, n);
	for (int i = 0; i < n; i++)
		if (wf_job_is_left(&jobs[i]))
			left[nleft++] = part->receivers[i];
	wf_event_deliveries_add(part->signal, &part->message, left, nleft);
	wf_broadcast_brought(part);
}

static bool
bring_at_once(WfDispatcher *dispatcher, WfBroadcastPart *part)
{
	WfJob			*jobs = palloc0(sizeof(WfJob) * part->n);
	WfEventDelivery *events = palloc0(sizeof(WfEventDelivery) * part->n);

	for (int i = 0; i < part->n; i++)
	{
		const WfReceiver *receiver = &part->receivers[i];

		events[i] = (WfEventDelivery){.signal = part->signal,
									  .message = part->message,
									  .subscription = receiver->subscription,
									  .entry = receiver->entry};
		jobs[i] = (WfJob){.kind = WF_JOB_EVENT,
						  .instance = receiver->instance,
						  .visit = receiver->visit,
						  .event = &events[i]};
	}
	return wf_jobs_try_events(dispatcher, jobs, part->n, bring_to_rest, part);
}

void
wf_signals_take(WfDispatcher *dispatcher)
{
	Taking taking = {.context = CurrentMemoryContext, .at_once = !wf_careful()};

	if (!dispatcher->has_broadcasts || !wf_small_transaction(dispatcher, advance, &taking))
		return;
	if (taking.part.n > 0 && !bring_at_once(dispatcher, &taking.part))
	{
		taking = (Taking){.context = CurrentMemoryContext};
		if (!wf_small_transaction(dispatcher, advance, &taking))
			return;
	}
	dispatcher->has_broadcasts = taking.has_more;
}
