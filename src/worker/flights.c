/*
 * flights.c
 *		Which visits the dispatcher has in its hands.
 *
 * A hash in this process's memory: claiming a row writes nothing. A visit in it is never sent again, whatever the cursor of
 * its queue does. A new dispatcher begins with the replies that wait as deliveries. A process has one, so what is static here, and in
 * lanes.c and places.c, is the dispatcher's.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/shown.h"
#include "worker/flights.h"
#include "worker/places.h"

/* While it grows it is in no state to go on from an error. */
struct flight_hash;
static void *flight_allocate(struct flight_hash *table, Size size);
static void flight_free(struct flight_hash *table, void *pointer);

#define SH_PREFIX flight
#define SH_ELEMENT_TYPE WfFlight
#define SH_KEY_TYPE int64
#define SH_KEY visit
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) (key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_USE_NONDEFAULT_ALLOCATOR
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static flight_hash *flights;
static int	nhanded_over = 0;
static int	nkept = 0;
static int	nblocking = 0; /* of those */
static int	npostponed = 0;

static void *
flight_allocate(struct flight_hash *table, Size size)
{
	void	   *memory = MemoryContextAllocExtended(TopMemoryContext, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM);

	if (memory == NULL)
		ereport(FATAL, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
				errdetail("The workflow dispatcher ends, and another one goes on from the rows."));
	return memory;
}

static void
flight_free(struct flight_hash *table, void *pointer)
{
	pfree(pointer);
}

void
wf_flights_init(void)
{
	flights = flight_create(TopMemoryContext, 1024, NULL);
	wf_requests_show_none();
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
		wf_places_count(lane, flight->owner, -1);
	flight->owner = InvalidOid;
	wf_request_hide(flight->place);
	count_in_flight(lane, -1);
	if (lane->slots <= 0)
		lane->slots = 1; /* look again */
}

static void
set_kept(WfFlight *flight, WfHttpReply *reply)
{
	nkept += (reply != NULL) - (flight->kept != NULL);
	nblocking += (reply != NULL) - flight->blocks;
	flight->kept = reply;
	flight->blocks = reply != NULL;
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
	flight->home = lane;
	flight->later = false;
	flight->kept = NULL;
	flight->blocks = false;
	flight->handed_over = false;
	if (lane == NULL)
		return true;
	flight->place = wf_request_show(visit);
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
	wf_places_count(flight->lane, owner, 1);
}

void
wf_flight_land(int64 visit)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight == NULL)
		return;
	leave_lane(flight);
	nhanded_over -= flight->handed_over;
	nkept -= flight->kept != NULL;
	nblocking -= flight->blocks;
	npostponed -= flight->later;
	flight_delete(flights, visit);
}

void
wf_flight_hold(int64 visit)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight == NULL)
		return;
	leave_lane(flight);
	set_kept(flight, NULL);
}

void
wf_flight_hand_over(int64 visit)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight == NULL || flight->handed_over)
		return;
	leave_lane(flight);
	set_kept(flight, NULL);
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

	return flight != NULL && flight->lane == NULL && !flight->later;
}

/* ---- replies that could not be stored ---- */

void
wf_flight_keep(int64 visit, WfHttpReply *reply, TimestampTz again_at)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	leave_lane(flight);
	if (flight->kept == NULL)
		set_kept(flight, reply);
	flight->again_at = again_at;
}

int
wf_flights_kept(TimestampTz now, int limit, size_t bytes, WfFlight *due)
{
	flight_iterator iterator;
	WfFlight   *flight;
	size_t		sum = 0;
	int			n = 0;

	if (nkept == 0)
		return 0;
	flight_start_iterate(flights, &iterator);
	while (n < limit && sum < bytes && (flight = flight_iterate(flights, &iterator)) != NULL)
	{
		if (flight->kept == NULL || flight->again_at > now)
			continue;
		due[n++] = *flight;
		sum += flight->kept->body_len;
	}
	return n;
}

TimestampTz
wf_flights_kept_next(void)
{
	flight_iterator iterator;
	WfFlight   *flight;
	TimestampTz next = WF_NEVER;

	if (nkept == 0)
		return next;
	flight_start_iterate(flights, &iterator);
	while ((flight = flight_iterate(flights, &iterator)) != NULL)
		if (flight->kept != NULL)
			next = Min(next, flight->again_at);
	return next;
}

void
wf_flights_stored(void)
{
	flight_iterator iterator;
	WfFlight   *flight;

	if (nblocking == 0)
		return;
	nblocking = 0;
	flight_start_iterate(flights, &iterator);
	while ((flight = flight_iterate(flights, &iterator)) != NULL)
		flight->blocks = false;
}

bool
wf_flights_blocked(void)
{
	return nblocking > 0;
}

/* ---- those that are looked at again ---- */

void
wf_flight_postpone(int64 visit, int pause_ms)
{
	WfFlight   *flight = flight_lookup(flights, visit);

	if (flight == NULL || flight->home == NULL || flight->later)
		return;
	leave_lane(flight);
	set_kept(flight, NULL);
	flight->later = true;
	flight->again_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
	npostponed++;
}

/* Their rows may lie behind the cursor. */
void
wf_flights_resume(TimestampTz now)
{
	flight_iterator iterator;
	WfFlight   *flight;

	if (npostponed == 0)
		return;
	flight_start_iterate(flights, &iterator);
	while ((flight = flight_iterate(flights, &iterator)) != NULL)
	{
		if (!flight->later || flight->again_at > now)
			continue;
		wf_lane_restart(flight->home);
		npostponed--;
		flight_delete_item(flights, flight);
	}
}

TimestampTz
wf_flights_resume_next(void)
{
	flight_iterator iterator;
	WfFlight   *flight;
	TimestampTz next = WF_NEVER;

	if (npostponed == 0)
		return next;
	flight_start_iterate(flights, &iterator);
	while ((flight = flight_iterate(flights, &iterator)) != NULL)
		if (flight->later)
			next = Min(next, flight->again_at);
	return next;
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
