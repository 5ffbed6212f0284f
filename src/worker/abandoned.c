/*
 * abandoned.c
 *		Requests in flight that nobody wants any more: while others wait for their places, they are aborted.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "store/due.h"
#include "worker/in_flight.h"
#include "worker/pick_up.h"

/* While rows wait for places, look so often whether requests in flight are still wanted. */
#define ABANDONED_CHECK_MS 1000

/* Are there rows of this server that wait for places? */
static bool
is_held_up(WfDispatcher *dispatcher, const WfQueueCursor *cursor, TimestampTz now)
{
	return cursor->server != NULL && wf_pick_up_is_held_up(dispatcher, cursor, now);
}

/*
 * Does any row wait for a place? *crowded: for one of the client, and not only of its own server. To be called inside
 * wf_store_enter.
 */
static bool
anything_waits(WfDispatcher *dispatcher, TimestampTz now, bool *crowded)
{
	bool			waits = false;
	int				n;
	WfQueueCursor **cursors = wf_queue_cursors_all(&n);

	*crowded = false;
	for (int i = 0; i < n; i++)
	{
		if (!is_held_up(dispatcher, cursors[i], now) || !wf_pick_up_has_due(cursors[i], now))
			continue;
		waits = true;
		*crowded |= cursors[i]->slots > 0;
	}
	return waits;
}

/*
 * Find visits that have ended, or were moved on, while their requests are in flight, if those may take places that
 * others wait for. Writes them to `gone`, and returns how many.
 */
static int
find_abandoned(WfDispatcher *dispatcher, bool crowded, int64 *gone)
{
	int		max = wf_http_in_flight(dispatcher->http);
	uint64 *tags = palloc(sizeof(uint64) * Max(max, 1));
	int64  *instances = palloc(sizeof(int64) * Max(max, 1));
	int64  *visits = palloc(sizeof(int64) * Max(max, 1));
	int		older = wf_http_older(dispatcher->http, ABANDONED_CHECK_MS, tags);
	int		n = 0;

	for (int i = 0; i < older; i++)
	{
		WfInFlight *entry = wf_in_flight_find((int64) tags[i]);

		if (entry == NULL || entry->cursor == NULL || (!crowded && entry->cursor->slots > 0))
			continue;
		instances[n] = entry->instance;
		visits[n++] = entry->visit;
	}
	return n > 0 ? wf_visits_not_calling(instances, visits, n, gone) : 0;
}

typedef struct Abandoned
{
	TimestampTz now;
	int64	   *visits;
	int			n;
} Abandoned;

static void
look_for_abandoned(WfDispatcher *dispatcher, void *arg)
{
	Abandoned *abandoned = arg;
	bool	   crowded;

	if (anything_waits(dispatcher, abandoned->now, &crowded))
		abandoned->n = find_abandoned(dispatcher, crowded, abandoned->visits);
}

/*
 * A session that ends a visit cannot abort the visit's request, which may hang for hours. So the dispatcher aborts it,
 * but only if rows wait for places, since it has to look at all requests in flight for that.
 */
void
wf_requests_abort_abandoned(WfDispatcher *dispatcher)
{
	TimestampTz		now = GetCurrentTimestamp();
	Abandoned		abandoned = {.now = now};
	bool			held_up = false;
	WfQueueCursor **cursors;
	int				n;

	cursors = wf_queue_cursors_all(&n);
	for (int i = 0; i < n && dispatcher->abandoned_at <= now; i++)
		held_up |= is_held_up(dispatcher, cursors[i], now);
	if (!held_up)
		return;
	dispatcher->abandoned_at = TimestampTzPlusMilliseconds(now, ABANDONED_CHECK_MS);
	abandoned.visits = palloc(sizeof(int64) * Max(wf_http_in_flight(dispatcher->http), 1));
	if (!wf_small_transaction(dispatcher, look_for_abandoned, &abandoned))
		return;
	for (int i = 0; i < abandoned.n; i++)
	{
		(void) wf_http_abort(dispatcher->http, (uint64) abandoned.visits[i]);
		wf_in_flight_remove(abandoned.visits[i]);
	}
}
