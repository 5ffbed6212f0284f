/*
 * flights.h
 *		Which visits the dispatcher has in its hands.
 */
#ifndef WF_FLIGHTS_H
#define WF_FLIGHTS_H

#include "postgres.h"

#include "worker/lanes.h"

typedef struct WfFlight
{
	int64		visit;
	int64		instance;
	WfLane	   *lane; /* where its request is under way; NULL: its reply waits as a delivery */
	Oid			owner; /* of its process, while its request is under way */
	bool		stuck; /* its answer could not be dealt with */
	bool		handed_over; /* an executor deals with its reply */
	char		status; /* simplehash's */
} WfFlight;

extern void wf_flights_init(void);

/* NULL: it is not in flight. Valid until the next call of another function here. */
extern WfFlight *wf_flight_find(int64 visit);

/* False: it was in flight already. `lane` NULL: no request, but a reply that waits as a delivery. */
extern bool wf_flight_take_off(int64 instance, int64 visit, WfLane *lane);

/* Whose request it is, before it is sent. */
extern void wf_flight_own(int64 visit, Oid owner);

/* What came of it has been committed. */
extern void wf_flight_land(int64 visit);

/* Its request is over, but what came back waits, or cannot be dealt with: it is not to be sent again. */
extern void wf_flight_hold(int64 visit);

/* Likewise, and an executor deals with it. */
extern void wf_flight_hand_over(int64 visit);
/* Instances of those with which executors deal, palloc'd. Returns how many. */
extern int	wf_flights_handed_over(int64 **instances);
/*
 * Given the replies of these instances that still wait, n of them: flights whose reply has been delivered land, others wait as
 * deliveries for somebody else again. Returns how many have landed.
 */
extern int	wf_flights_settle(WfReplyKey *waiting, int n);

/* Its reply is there, and waits as a delivery. */
extern bool wf_flight_awaits_delivery(int64 visit);

/* Its request is over, and what came back is lost; and, later, all such rows are to be looked at again. */
extern void wf_flight_stick(int64 visit);
extern void wf_flights_land_stuck(void);

/* It could not be dealt with: its row is looked at again after a pause. */
extern void wf_flight_see_again(int64 visit, int longest_pause_ms);

#endif
