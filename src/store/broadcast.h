/*
 * broadcast.h
 *		Signals, and messages to very many: one row each, which the dispatcher takes to all that wait.
 *
 * All functions are called inside wf_store_enter.
 */
#ifndef WF_BROADCAST_H
#define WF_BROADCAST_H

#include "postgres.h"

#include "store/kept.h"
#include "store/receivers.h"

/*
 * Add a row, with its wake-up. A signal reaches those that wait when it is taken up, a message those
 * that wait now.
 */
extern void wf_broadcast_add(bool signal, const WfMessage *message);

/* The next of those that wait for a broadcast, which get it together. */
typedef struct WfBroadcastPart
{
	int64		id; /* of the broadcast */
	int64		number;
	int64		position; /* when these have it; PG_INT64_MAX: nobody is left */
	bool		signal;	  /* else a message */
	WfMessage	message;
	WfReceiver *receivers;
	int			n; /* 0: there is no such part */
} WfBroadcastPart;

/*
 * Take the first ones to the next of those that wait for them, by deliveries. Where many wait and `many` is not NULL, nothing is done
 * for them, and they are returned there, in CurrentMemoryContext. Returns false if no broadcast is left.
 */
extern bool wf_broadcast_advance(WfBroadcastPart *many);

/*
 * Take one that this transaction has sent to the next of those that wait for it and that the transaction has started. Returns
 * false if there is none.
 */
extern bool wf_broadcast_play(void);

/* They have it, by the transaction that says so here. */
extern void wf_broadcast_brought(const WfBroadcastPart *part);

/* So many receivers, of messages of this size, get their deliveries in one transaction. */
extern int wf_broadcast_chunk(const WfMessage *message);

#endif
