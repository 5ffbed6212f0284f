/*
 * in_flight.h
 *		Which visits the dispatcher has in its hands.
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
	WfQueueCursor *cursor; /* where its request is under way; NULL: its reply waits as a delivery */
	int			   place;  /* where that is shown, while cursor is set */
	Oid			   owner;  /* of its process, while its request is under way */
	WfQueueCursor *home;   /* where its request was due; NULL: likewise */
	bool		   later;  /* nothing is under way: its row is looked at again at again_at */
	WfHttpReply	  *kept;   /* its reply, which could not be stored yet: again at again_at */
	bool		   blocks; /* … and since then no other reply could be */
	TimestampTz	   again_at;
	bool		   handed_over; /* an executor deals with its reply */
	char		   status;		/* simplehash's */
} WfInFlight;

extern void wf_in_flight_init(void);

/* NULL: it is not in flight. Valid until the next call of another function here. */
extern WfInFlight *wf_in_flight_find(int64 visit);

/* False: it was in flight already. `cursor` NULL: no request, but a reply that waits as a delivery. */
extern bool wf_in_flight_take_off(int64 instance, int64 visit, WfQueueCursor *cursor);

/* Whose request it is, before it is sent. */
extern void wf_in_flight_own(int64 visit, Oid owner);

/* What came of it has been committed. */
extern void wf_in_flight_land(int64 visit);

/* Its request is over, but what came back waits, or cannot be dealt with: it is not to be sent again. */
extern void wf_in_flight_hold(int64 visit);

/* Likewise, and an executor deals with it. */
extern void wf_in_flight_hand_over(int64 visit);
/* Instances of those with which executors deal, palloc'd. Returns how many. */
extern int wf_in_flight_handed_over(int64 **instances);
/*
 * Given the replies of these instances that still wait, n of them: requests whose reply has been delivered are in flight no longer, others wait as
 * deliveries for somebody else again. Returns how many are in flight no longer.
 */
extern int wf_in_flight_settle(WfReplyKey *waiting, int n);

/* Its reply is there, and waits: as a delivery, or kept. */
extern bool wf_in_flight_awaits_delivery(int64 visit);

/*
 * Its request is over, and its reply could not be stored for want of something: it is kept, and to be tried again then. Landing it
 * does not release the reply.
 */
extern void wf_in_flight_keep(int64 visit, WfHttpReply *reply, TimestampTz again_at);
/* Whose replies are to be tried by now, up to `limit` of them and so many bytes of bodies: copies. Returns how many. */
extern int		   wf_in_flight_kept(TimestampTz now, int limit, size_t bytes, WfInFlight *due);
extern TimestampTz wf_in_flight_kept_next(void); /* the first again_at; WF_NEVER: none is kept */

/* A reply was stored: those that are kept all the same stand for themselves. */
extern void wf_in_flight_stored(void);
/* Has no reply been stored since one of those that are kept could not be? */
extern bool wf_in_flight_blocked(void);

/* Nothing is under way any more, and nothing came back that could be dealt with: its row is looked at again then. */
extern void wf_in_flight_postpone(int64 visit, int pause_ms);
/* Land those whose time has come. */
extern void		   wf_in_flight_resume(TimestampTz now);
extern TimestampTz wf_in_flight_resume_next(void); /* WF_NEVER: there are none */

/* It could not be dealt with: its row is looked at again after a pause. */
extern void wf_in_flight_see_again(int64 visit, int longest_pause_ms);

#endif
