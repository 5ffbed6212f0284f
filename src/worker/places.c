/*
 * places.c
 *		How the places of the HTTP client are shared: by the owners of processes, and by each among his servers.
 *
 * While half of the places are free, nobody is asked who he is. Then an owner may have nine for each that could still be
 * added, so that there is room for others whatever his servers do; the last places of all are for owners that have none. In
 * what an owner may still add, each of his servers may have four for each place, and the last ones are for his servers that have
 * none: one that hangs takes some three quarters of his, the next one as much of the rest.
 *
 * The places of a server, its max_in_flight, are first come, first served; but whoever may not send more is gone past there.
 */
#include "postgres.h"

#include "utils/hsearch.h"

#include "worker/places.h"

/* requests for each that could still be added: of an owner, of his to one server */
#define SHARE_OF_OWNER	9
#define SHARE_OF_SERVER 4
/* parts of all places: the last ones, for owners that have none; and in an owner's share, for his servers that have none */
#define KEPT_FOR_OWNERS	 16
#define KEPT_FOR_SERVERS 16

typedef struct CountKey
{
	WfQueueCursor *cursor; /* NULL: all of them */
	uint64		   owner;  /* as wide as the other: padding would be hashed, too */
} CountKey;

StaticAssertDecl(sizeof(CountKey) == sizeof(WfQueueCursor *) + sizeof(uint64), "no padding");

typedef struct CountEntry
{
	CountKey key;
	int		 in_flight;
} CountEntry;

static HTAB *counts; /* of owners that have requests under way */

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
