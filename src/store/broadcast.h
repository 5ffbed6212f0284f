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

/*
 * Add a row, with its wake-up. A signal reaches those that wait when it is taken up, a message those
 * that wait now.
 */
extern void wf_broadcast_add(bool signal, const WfMessage *message);

/*
 * Take the first one to the next of those that wait for it. Returns false if there is none, so that
 * nothing was done.
 */
extern bool wf_broadcast_advance(void);

/* So many receivers, of messages of this size, get their deliveries in one transaction. */
extern int wf_broadcast_chunk(const WfMessage *message);

#endif
