/*
 * row_place.c
 *		Where this process has last seen rows of instances and visits.
 *
 * Numbers come from sequences, so those that are under way at the same time have different last digits.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "store/row_place.h"
#include "store/shard.h"

#define PLACES 2048 /* of instances, and as many of visits; a power of 2 */

typedef struct Place
{
	int64			instance;
	int64			visit;
	ItemPointerData place;
} Place;

static Place *places = NULL;

void
wf_row_places_begin(void)
{
	if (places == NULL)
		places = MemoryContextAllocZero(TopMemoryContext, sizeof(Place) * PLACES * 2);
}

/* In a shard, the lowest bits of all instances are the same. */
static Place *
entry_of(int64 instance, int64 visit)
{
	return visit != 0 ? &places[PLACES + visit % PLACES] : &places[(instance ^ instance >> WF_SHARD_BITS) % PLACES];
}

void
wf_row_place_note(int64 instance, int64 visit, ItemPointerData place)
{
	if (places != NULL && instance > 0 && visit >= 0)
		*entry_of(instance, visit) = (Place){instance, visit, place};
}

ItemPointerData
wf_row_place(int64 instance, int64 visit)
{
	ItemPointerData none;
	const Place	   *entry;

	ItemPointerSetInvalid(&none);
	if (places == NULL || instance <= 0 || visit < 0)
		return none;
	entry = entry_of(instance, visit);
	return entry->instance == instance && entry->visit == visit ? entry->place : none;
}
