/*
 * data_cache.c
 *		The large data that this process has read last, kept as long as they stay the same.
 *
 * What is stored outside of its row is never changed: new data are stored under a new number. Numbers come again only
 * after four billion others, so what is kept is forgotten long before that.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store/data_cache.h"

/* What is larger is not kept, since each worker may keep some, */
#define LARGEST (8 * 1024 * 1024)
/* and nothing for longer. */
#define LONGEST_MS 10000

static struct varatt_external where; /* place of what is kept */
static Jsonb				 *kept = NULL;
static TimestampTz			  kept_at;

static void
forget(void)
{
	if (kept != NULL)
		pfree(kept);
	kept = NULL;
}

static void
keep(const struct varatt_external *place, const Jsonb *jsonb)
{
	forget();
	if (VARSIZE(jsonb) > LARGEST)
		return;
	kept = MemoryContextAlloc(TopMemoryContext, VARSIZE(jsonb));
	memcpy(kept, jsonb, VARSIZE(jsonb));
	where = *place;
	kept_at = GetCurrentTimestamp();
}

static bool
is_kept(const struct varatt_external *place)
{
	return kept != NULL && memcmp(place, &where, sizeof(where)) == 0 &&
		   !TimestampDifferenceExceeds(kept_at, GetCurrentTimestamp(), LONGEST_MS);
}

static Jsonb *
copy_kept(void)
{
	Jsonb *copy = palloc(VARSIZE(kept));

	memcpy(copy, kept, VARSIZE(kept));
	return copy;
}

Jsonb *
wf_data_cache_read(Datum stored)
{
	struct varatt_external place;
	Jsonb				  *jsonb;

	if (!VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(stored)))
		return DatumGetJsonbPCopy(stored);
	VARATT_EXTERNAL_GET_POINTER(place, (struct varlena *) DatumGetPointer(stored));
	if (is_kept(&place))
		return copy_kept();
	jsonb = DatumGetJsonbPCopy(stored);
	keep(&place, jsonb);
	return jsonb;
}
