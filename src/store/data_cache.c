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

static struct varatt_external last;			  /* place of what was read last, and is not kept */
static struct varatt_external where;		  /* place of what is kept */
static MemoryContext		  context = NULL; /* has `kept` */
static Jsonb				 *kept = NULL;
static TimestampTz			  kept_at;

/* Whoever has read it in this transaction may still look at it. */
static void
forget(void)
{
	if (context != NULL)
		MemoryContextSetParent(context, TopTransactionContext);
	context = NULL;
	kept = NULL;
}

/* Whoever reads it may not change it. */
static Jsonb *
keep(const struct varatt_external *place, Datum stored)
{
	MemoryContext fresh = AllocSetContextCreate(CurrentMemoryContext, "workflow data", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(fresh);
	Jsonb		 *jsonb = DatumGetJsonbPCopy(stored);

	MemoryContextSwitchTo(old);
	if (VARSIZE(jsonb) > LARGEST)
		return jsonb;
	forget();
	MemoryContextSetParent(fresh, TopMemoryContext);
	context = fresh;
	kept = jsonb;
	where = *place;
	kept_at = GetCurrentTimestamp();
	return jsonb;
}

static bool
is_kept(const struct varatt_external *place)
{
	return kept != NULL && memcmp(place, &where, sizeof(where)) == 0 &&
		   !TimestampDifferenceExceeds(kept_at, GetCurrentTimestamp(), LONGEST_MS);
}

Jsonb *
wf_data_cache_read(Datum stored)
{
	struct varatt_external place;

	if (!VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(stored)))
		return DatumGetJsonbPCopy(stored);
	VARATT_EXTERNAL_GET_POINTER(place, (struct varlena *) DatumGetPointer(stored));
	if (is_kept(&place))
		return kept;
	/* only what is read twice in a row: a transaction may read very many, and what is kept stays until its end */
	if (memcmp(&place, &last, sizeof(last)) == 0)
		return keep(&place, stored);
	last = place;
	return DatumGetJsonbPCopy(stored);
}
