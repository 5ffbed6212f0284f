/*
 * pick_up.h
 *		Which rows of a server's queue the dispatcher picks up, to send their requests.
 */
#ifndef WF_PICK_UP_H
#define WF_PICK_UP_H

#include "worker/dispatcher_internal.h"

/* A cancel request fails after so long if its server is gone or paused, or has no place for it. */
#define CANCEL_PATIENCE_MS 30000

/* The result of one look at a queue, in turn_context, but for `instances`, which nobody needs after the transaction. */
typedef struct WfOutgoing
{
	WfDispatcher  *dispatcher;
	WfQueueCursor *cursor;
	WfDueKey	  *keys; /* rows that were read */
	int			   nkeys;
	int64		  *instances; /* instances of the visits in `taken` */
	int64		  *taken;	  /* visits that this look has put in flight */
	int			   ntaken;
	List		  *requests; /* of WfHttpRequest *, to be sent */
	WfJob		  *failing;	 /* jobs for visits whose requests cannot be sent */
	int			   nfailing;
	int			   npages; /* pages of the queue that were read again */
	HTAB		  *owners; /* of ProcessOwner; NULL: no owner was asked for */
} WfOutgoing;

/* The owner of a process, which is looked up once in each look at a queue. */
extern Oid wf_pick_up_owner(WfOutgoing *out, int process_id);

/* Is there a place for a request, at the server as of the last look, and in the client as of now? */
extern bool wf_pick_up_has_place(WfDispatcher *dispatcher, const WfQueueCursor *cursor);
/* The same, while replies can be stored. */
extern bool wf_pick_up_may(WfDispatcher *dispatcher, const WfQueueCursor *cursor);
/* When has the queue to be looked at? At once, if something waits that may be sent. */
extern TimestampTz wf_pick_up_next(WfDispatcher *dispatcher, const WfQueueCursor *cursor);

/* May only one row be picked up in this look? */
extern bool wf_pick_up_takes_one(const WfQueueCursor *cursor);
/* Are places so few that owners have to be asked for whether they may send more? */
extern bool wf_pick_up_asks_owners(WfDispatcher *dispatcher, const WfQueueCursor *cursor);
/* Put at most `limit` visits in flight, by turns; by_owner: of owners that may send more. */
extern void wf_pick_up(WfOutgoing *out, bool by_owner, int limit);
/* Read a page of the queue without picking up anything; when that is to be done, or WF_NEVER. */
extern void		   wf_pick_up_read_ahead(WfOutgoing *out);
extern TimestampTz wf_pick_up_reads_ahead(const WfQueueCursor *cursor);
/* Do rows wait that may not be sent? What is in memory may be due no more: inside wf_store_enter, is any row due? */
extern bool wf_pick_up_is_held_up(WfDispatcher *dispatcher, const WfQueueCursor *cursor, TimestampTz now);
extern bool wf_pick_up_has_due(WfQueueCursor *cursor, TimestampTz now);
/* The same, of cancel requests that are due; those for which there has been no place for too long fail. */
extern void wf_pick_up_cancels(WfOutgoing *out, const WfDueKey *keys, int n, int places, int64 *instances);

#endif
