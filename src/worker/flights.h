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
	bool		stuck; /* its answer could not be dealt with */
	bool		handed_over; /* an executor deals with its reply */
	char		status; /* simplehash's */
} WfFlight;

extern void wf_flights_init(void);

/* NULL: it is not in flight. Valid until the next call of another function here. */
extern WfFlight *wf_flight_find(int64 visit);

/* False: it was in flight already. `lane` NULL: no request, but a reply that waits as a delivery. */
extern bool wf_flight_take_off(int64 instance, int64 visit, WfLane *lane);

/* What came of it has been committed. */
extern void wf_flight_land(int64 visit);

/* Its request is over, but what came back waits, or cannot be dealt with: it is not to be sent again. */
extern void wf_flight_hold(int64 visit);

/*
 * Likewise, and an executor deals with it. Those whose replies are not among the n that still wait have been dealt with:
 * they land. Returns how many.
 */
extern void wf_flight_hand_over(int64 visit);
extern bool wf_flights_handed_over(void); /* are there any? */
extern int	wf_flights_land_delivered(WfDueKey *waiting, int n);

/* Its request is over, and what came back is lost; and, later, all such rows are to be looked at again. */
extern void wf_flight_stick(int64 visit);
extern void wf_flights_land_stuck(void);

/* It could not be dealt with: its row is looked at again after a pause. */
extern void wf_flight_see_again(int64 visit, int longest_pause_ms);

#endif
