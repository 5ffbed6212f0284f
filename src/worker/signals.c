/*
 * signals.c
 *		Signals, and messages to very many: the dispatcher takes each to all that wait for it, some in a transaction.
 *
 * A transaction only makes deliveries, and says how far it has come (store/broadcast.c). The deliveries are applied like
 * all others, each instance in its order; so what fails, takes long or is locked holds up no others.
 */
#include "postgres.h"

#include "store/broadcast.h"
#include "worker/dispatcher_internal.h"

static void
advance(WfDispatcher *dispatcher, void *arg)
{
	*(bool *) arg = wf_broadcast_advance();
}

void
wf_signals_take(WfDispatcher *dispatcher)
{
	bool more;

	if (dispatcher->has_broadcasts && wf_small_transaction(dispatcher, advance, &more))
		dispatcher->has_broadcasts = more;
}
