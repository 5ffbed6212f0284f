/*
 * in_flight.h
 *		The visits that are in flight: those whose rows the dispatcher has picked up, and must not pick up again.
 *
 * A visit is in flight until the result of its request has been committed. A reply that cannot be applied at once parks
 * it: no request is in flight then, but its reply waits as a delivery, with an executor or in memory (`kept`). There is
 * one such table, in the memory of the dispatcher.
 */
#ifndef WF_IN_FLIGHT_H
#define WF_IN_FLIGHT_H

#include "postgres.h"

#include "http/http.h"
#include "store/delivery.h"
#include "worker/queue_cursor.h"

typedef struct WfInFlight
{
	int64		   visit;
	int64		   instance;
	uint64		   token;  /* number of the token that its request has (token.h); 0: none */
	WfQueueCursor *cursor; /* cursor of the server that its request is in flight to; NULL: no request is */
	int			   place;  /* where the request is shown (shmem/shown.h), while cursor is set */
	uint64		   sent;   /* what the breaker of the server is told when the request has ended, while cursor is set */
	bool		   probe;  /* its request tries whether the server is well again */
	bool		   cancel; /* its request asks the service to stop, and says nothing of the server */
	bool		   held;   /* its request was a probe that has failed */
	Oid			   owner;  /* owner of its process, while its request is in flight; InvalidOid: not known yet */
	WfQueueCursor *home;   /* cursor of the queue where its row was due; NULL: it was parked from the start */
	bool		   later;  /* no request is in flight, and its row is looked at again at again_at */
	WfHttpReply	  *kept;   /* its reply, which could not be stored and is tried again at again_at; or NULL */
	bool		   blocks; /* since its reply was kept, no other reply could be stored */
	TimestampTz	   again_at;
	bool		   handed_over; /* its reply is a delivery for an executor */
	char		   status;		/* simplehash's */
} WfInFlight;

/* Make the table, once per process. Without memory for it, the process ends (FATAL). */
extern void wf_in_flight_init(void);

/* Find the entry of a visit, which is valid until the next call of another function here. NULL: it is not in flight. */
extern WfInFlight *wf_in_flight_find(int64 visit);

/*
 * Add a visit, with a request that counts for `cursor`; or, with `cursor` NULL, parked, since its reply waits as a
 * delivery. Returns false if it was in flight already. Without memory for the table, the process ends (FATAL).
 */
extern bool wf_in_flight_add(int64 instance, int64 visit, WfQueueCursor *cursor);

/* Count the request of a visit for the owner of its process. To be called before it is sent; may be called again. */
extern void wf_in_flight_set_owner(int64 visit, Oid owner);

/* Note what kind of request was made of a visit. */
extern void wf_in_flight_set_kind(int64 visit, bool probe, bool cancel);

/* The request of a visit is about to be sent, as this attempt (from 1): should this process end, the next one knows that. */
extern void wf_in_flight_note_sent(int64 visit, int attempt);

/* Remove a visit, if it is in flight, since its result has been committed. Its row may be picked up again. */
extern void wf_in_flight_remove(int64 visit);

/* Park a visit: its request has ended, but its reply waits as a delivery, so that it must not be sent again. */
extern void wf_in_flight_park(int64 visit);

/* Park a visit whose reply is a delivery for an executor. */
extern void wf_in_flight_hand_over(int64 visit);
/* The instances of visits that are parked so, palloc'd; one may come several times. Returns how many. */
extern int wf_in_flight_handed_over(int64 **instances);
/*
 * Given the n replies that still wait as deliveries for these instances, remove the visits whose replies executors have
 * delivered. A reply that is in the dispatcher's queue again leaves its visit parked. Sorts the array. Returns how many
 * visits were removed.
 */
extern int wf_in_flight_settle(WfReplyKey *waiting, int n);

/* Is the visit parked? Then its reply waits as a delivery, or is kept. */
extern bool wf_in_flight_awaits_delivery(int64 visit);

/*
 * Park a visit whose reply could not be stored, since something was lacking: the reply is kept in memory, and tried
 * again at again_at. Who removes the visit releases the reply.
 */
extern void wf_in_flight_keep(int64 visit, WfHttpReply *reply, TimestampTz again_at);
/*
 * Copy the entries whose kept replies are to be tried again by now to `due`: at most `limit`, and no further one once
 * the bodies have reached `bytes` bytes. Returns how many.
 */
extern int wf_in_flight_kept(TimestampTz now, int limit, size_t bytes, WfInFlight *due);
/* When the first kept reply is tried again; WF_NEVER: none is kept. */
extern TimestampTz wf_in_flight_kept_next(void);

/* A reply was stored, so that those that are kept do not block new requests any more. */
extern void wf_in_flight_stored(void);
/* Is a reply kept since which no other reply could be stored? Then hardly any new request should be sent. */
extern bool wf_in_flight_blocked(void);

/* The request of a visit has come to nothing. Keep the visit for pause_ms; after that its row is looked at again. */
extern void wf_in_flight_postpone(int64 visit, int pause_ms);
/* Remove the visits whose pause is over, and let their cursors find their rows. */
extern void wf_in_flight_resume(TimestampTz now);
/* When the first pause is over; WF_NEVER: there is none. */
extern TimestampTz wf_in_flight_resume_next(void);

/*
 * The request of a visit cannot be made before its token is there. Keep the visit, without a place, until
 * wf_in_flight_go_on has its row looked at again; or until wf_in_flight_take_back, after which a job decides on it:
 * that returns its instance. Both leave alone a visit that does not wait so any more; then 0 is returned.
 */
extern void	 wf_in_flight_await(int64 visit);
extern void	 wf_in_flight_go_on(int64 visit);
extern int64 wf_in_flight_take_back(int64 visit);
extern void	 wf_in_flight_set_token(int64 visit, uint64 token);

/* Remove a visit, and let the cursor of its server look again after a pause, which grows up to longest_pause_ms. */
extern void wf_in_flight_see_again(int64 visit, int longest_pause_ms);

#endif
