/*
 * places.c
 *		How the places of the HTTP client are shared: among the owners of processes, and for each among its servers.
 *
 * While more than half of the places are free, requests are sent without asking for their owners. After that, an owner
 * may have nine places for each one that it could still add, so that others find places whatever its servers do; the
 * last places of all are kept for owners that have none. Of what an owner may still add, each of its servers may have
 * four for each place, and the last ones are kept for its servers that have none: a server that hangs takes about three
 * quarters of the owner's places, the next one as much of the rest.
 *
 * The places of a server, its max_in_flight, are given out by turns, and rows of an owner that may send no more are passed
 * over (pick_up.c).
 */
#include "postgres.h"

#include "utils/hsearch.h"

#include "worker/places.h"

/* Places in use for each one that could still be added: by an owner, and by an owner at one server. */
#define SHARE_OF_OWNER	9
#define SHARE_OF_SERVER 4
/* One such part of all places is kept for owners that have none, and one, of an owner's, for servers that have none. */
#define KEPT_FOR_OWNERS	 16
#define KEPT_FOR_SERVERS 16

typedef struct CountKey
{
	WfQueueCursor *cursor; /* cursor of a server; NULL: all servers */
	uint64		   owner;  /* an Oid, in 64 bits since padding would be hashed, too */
} CountKey;

StaticAssertDecl(sizeof(CountKey) == sizeof(WfQueueCursor *) + sizeof(uint64), "no padding");

typedef struct CountEntry
{
	CountKey key;
	int		 in_flight;
} CountEntry;

static HTAB *counts; /* of owners that have requests in flight */

void
wf_places_init(void)
{
	HASHCTL ctl = {.keysize = sizeof(CountKey), .entrysize = sizeof(CountEntry)};

	counts = hash_create("workflow requests by owner", 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

static void
count_one(WfQueueCursor *cursor, Oid owner, int change)
{
	CountKey	key = {.cursor = cursor, .owner = owner};
	bool		found;
	CountEntry *entry = hash_search(counts, &key, HASH_ENTER, &found);

	if (!found)
		entry->in_flight = 0;
	entry->in_flight += change;
	if (entry->in_flight <= 0)
		(void) hash_search(counts, &key, HASH_REMOVE, NULL);
}

void
wf_places_count(WfQueueCursor *cursor, Oid owner, int change)
{
	count_one(cursor, owner, change);
	count_one(NULL, owner, change);
}

static int
in_flight_of(const WfQueueCursor *cursor, Oid owner)
{
	CountKey	key = {.cursor = unconstify(WfQueueCursor *, cursor), .owner = owner};
	CountEntry *entry = hash_search(counts, &key, HASH_FIND, NULL);

	return entry != NULL ? entry->in_flight : 0;
}

int
wf_places_free(WfHttp *http, int taken)
{
	return Max(0, wf_http_places(http) - wf_http_in_flight(http) - taken);
}

int
wf_places_free_for_all(WfHttp *http)
{
	if (wf_http_is_crowded(http))
		return 0;
	return Max(0, wf_places_free(http, 0) - wf_http_places(http) / 2);
}

bool
wf_places_allow(WfHttp *http, const WfQueueCursor *cursor, Oid owner, bool is_cancel, int taken)
{
	int places = wf_http_places(http);
	int room = wf_places_free(http, taken);
	int of_owner = in_flight_of(NULL, owner);
	int to_server;
	int left;

	if (room == 0 || (cursor->in_flight > 0 && wf_http_is_crowded(http)))
		return false;
	if (of_owner == 0)
		return true;
	left = (SHARE_OF_OWNER * (room - places / KEPT_FOR_OWNERS) - of_owner) / (SHARE_OF_OWNER + 1);
	if (left <= 0)
		return false;
	to_server = in_flight_of(cursor, owner);
	return to_server == 0 || is_cancel || SHARE_OF_SERVER * (left - places / KEPT_FOR_SERVERS) > to_server;
}
