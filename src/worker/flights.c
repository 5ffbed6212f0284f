/*
 * flights.c
 *		Which visits the dispatcher has in its hands.
 *
 * A hash in this process's memory: claiming a row writes nothing. A visit in it is never sent again, whatever the cursor of
 * its queue does. A new dispatcher begins with the replies that wait as deliveries.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "worker/flights.h"
#include "worker/shares.h"

#define SH_PREFIX flight
#define SH_ELEMENT_TYPE WfFlight
#define SH_KEY_TYPE int64
#define SH_KEY visit
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static flight_hash *flights;
static int	nhanded_over = 0;

void
wf_flights_init(void)
{
	flights = flight_create(TopMemoryContext, 1024, NULL);
}

WfFlight *
wf_flight_find(int64 visit)
{
	return flight_lookup(flights, visit);
}

static void
count_in_flight(WfLane *lane, int change)
{
	lane->in_flight += change;
	if (lane->counts != NULL)
		lane->counts->in_flight = lane->in_flight;
}

static void
leave_lane(WfFlight *flight)
{
	WfLane	   *lane = flight->lane;

	flight->lane = NULL;
	if (lane == NULL)
		return;
	if (OidIsValid(flight->owner))
		wf_shares_count(lane, flight->owner, -1);
	flight->owner = InvalidOid;
	count_in_flight(lane, -1);
	if (lane->slots <= 0)
		lane->slots = 1; /* look again */
}

bool
wf_flight_take_off(int64 instance, int64 visit, WfLane *lane)
{
	bool		found;
	WfFlight   *flight = flight_insert(flights, visit, &found);

	if (found)
		return false;
	flight->instance = instance;
	flight->lane = lane;
	flight->owner = InvalidOid;
	flight->stuck = false;
	flight->handed_over = false;
	if (lane != NULL)
		count_in_flight(lane, 1);
	return true;
}

void
wf_flight_own(int64 visit, Oid owner)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight == NULL || flight->lane == NULL || OidIsValid(flight->owner) || !OidIsValid(owner))
		return;
	flight->owner = owner;
	wf_shares_count(flight->lane, owner, 1);
}

void
wf_flight_land(int64 visit)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight == NULL)
		return;
	leave_lane(flight);
	nhanded_over -= flight->handed_over;
	flight_delete(flights, visit);
}

void
wf_flight_hold(int64 visit)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight != NULL)
		leave_lane(flight);
}

void
wf_flight_hand_over(int64 visit)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight == NULL || flight->handed_over)
		return;
	leave_lane(flight);
	flight->handed_over = true;
	nhanded_over++;
}

int
wf_flights_handed_over(int64 **instances)
{
	flight_iterator iterator;
	WfFlight   *flight;
	int			n = 0;

	if (nhanded_over == 0)
		return 0;
	*instances = palloc(sizeof(int64) * nhanded_over);
	flight_start_iterate(flights, &iterator);
	while ((flight = flight_iterate(flights, &iterator)) != NULL)
		if (flight->handed_over)
			(*instances)[n++] = flight->instance;
	return n;
}

static int
compare_visits(const void *a, const void *b)
{
	int64		x = ((const WfReplyKey *) a)->visit;
	int64		y = ((const WfReplyKey *) b)->visit;

	return x < y ? -1 : x > y;
}

int
wf_flights_settle(WfReplyKey *waiting, int n)
{
	flight_iterator iterator;
	WfFlight   *flight;
	int			landed = 0;

	qsort(waiting, n, sizeof(WfReplyKey), compare_visits);
	flight_start_iterate(flights, &iterator);
	while ((flight = flight_iterate(flights, &iterator)) != NULL)
	{
		WfReplyKey	key = {.visit = flight->visit};
		WfReplyKey *reply;

		if (!flight->handed_over)
			continue;
		reply = bsearch(&key, waiting, n, sizeof(WfReplyKey), compare_visits);
		if (reply != NULL && reply->with_executor)
			continue;
		nhanded_over--;
		flight->handed_over = false;
		if (reply != NULL)
			continue;
		landed++;
		flight_delete_item(flights, flight);
	}
	return landed;
}

bool
wf_flight_awaits_delivery(int64 visit)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	return flight != NULL && flight->lane == NULL && !flight->stuck;
}

void
wf_flight_stick(int64 visit)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight == NULL)
		return;
	leave_lane(flight);
	flight->stuck = true;
}

void
wf_flights_land_stuck(void)
{
	flight_iterator iterator;
	WfFlight   *flight;

	flight_start_iterate(flights, &iterator);
	while ((flight = flight_iterate(flights, &iterator)) != NULL)
		if (flight->stuck)
			flight_delete_item(flights, flight);
}

void
wf_flight_see_again(int64 visit, int longest_pause_ms)
{
	WfFlight   *flight = flight_lookup(flights, visit);
	WfLane	   *lane = flight != NULL ? flight->lane : NULL;

	wf_flight_land(visit);
	if (lane != NULL)
		wf_lane_pause(lane, DT_NOBEGIN, longest_pause_ms);
}
