/*
 * shares.c
 *		How the places of the HTTP client are shared: by the owners of processes, and by each among his servers.
 *
 * While half of the places are free, nobody is asked who he is. Then an owner may have nine for each that could still be
 * added, so that there is room for others whatever his servers do: one whose servers all hang takes nine tenths at most, the
 * next one nine tenths of the rest. The last places of all are for owners that have none. Of what an owner may take, the last
 * places are for servers that have none, and one server has four for each that is free.
 *
 * On one server, whose places are first come, first served, whoever may not send more is gone past.
 */
#include "postgres.h"

#include "utils/hsearch.h"

#include "worker/dispatcher_internal.h"
#include "worker/shares.h"

/* requests for each that could still be added: of an owner, of a server */
#define SHARE_OF_OWNER 9
#define SHARE_OF_SERVER 4
/* parts of all places: the last ones, for owners that have none; and in an owner's share, for his servers that have none */
#define KEPT_FOR_OWNERS 16
#define KEPT_FOR_SERVERS 8

typedef struct OwnerEntry
{
	Oid			owner;
	int			in_flight;
} OwnerEntry;

static HTAB *owners; /* that have requests under way */

void
wf_shares_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(OwnerEntry)};

	owners = hash_create("workflow owners with requests", 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

void
wf_shares_count(Oid owner, int change)
{
	bool		found;
	OwnerEntry *entry = hash_search(owners, &owner, HASH_ENTER, &found);

	if (!found)
		entry->in_flight = 0;
	entry->in_flight += change;
	if (entry->in_flight <= 0)
		(void) hash_search(owners, &owner, HASH_REMOVE, NULL);
}

static int
in_flight_of(Oid owner)
{
	OwnerEntry *entry = hash_search(owners, &owner, HASH_FIND, NULL);

	return entry != NULL ? entry->in_flight : 0;
}

int
wf_shares_room(int taken)
{
	return Max(0, wf_http_places(wf_dispatcher.http) - wf_http_in_flight(wf_dispatcher.http) - taken);
}

int
wf_shares_free_for_all(void)
{
	if (wf_http_is_crowded(wf_dispatcher.http))
		return 0;
	return Max(0, wf_shares_room(0) - wf_http_places(wf_dispatcher.http) / 2);
}

bool
wf_shares_allow(const WfLane *lane, Oid owner, bool is_cancel, int taken)
{
	int			places = wf_http_places(wf_dispatcher.http);
	int			room = wf_shares_room(taken);
	int			of_owner = in_flight_of(owner);
	int			left;

	if (room == 0 || (lane->in_flight > 0 && wf_http_is_crowded(wf_dispatcher.http)))
		return false;
	if (of_owner == 0)
		return true;
	left = (SHARE_OF_OWNER * (room - places / KEPT_FOR_OWNERS) - of_owner) / (SHARE_OF_OWNER + 1);
	if (left <= 0)
		return false;
	if (lane->in_flight == 0 || is_cancel)
		return true;
	return left > places / KEPT_FOR_SERVERS && SHARE_OF_SERVER * (room - 1) > lane->in_flight;
}
