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

/* Data in a context of their own. */
typedef struct Kept
{
	MemoryContext context;
	Jsonb		 *jsonb;
	int			  readers;	 /* contexts in which somebody may still look at them */
	bool		  forgotten; /* nobody new looks at them */
} Kept;

static struct varatt_external last;	 /* place of what was read last, and is not kept */
static struct varatt_external where; /* place of what is kept */
static Kept					 *kept = NULL;
static TimestampTz			  kept_at;

static void
reader_gone(void *arg)
{
	Kept *read = arg;

	if (--read->readers == 0 && read->forgotten)
		MemoryContextDelete(read->context);
}

/* A transaction may read very many, one after the other: they go as soon as whoever has read them is gone. */
static void
forget(void)
{
	Kept *old = kept;

	kept = NULL;
	if (old == NULL)
		return;
	old->forgotten = true;
	if (old->readers == 0)
		MemoryContextDelete(old->context);
}

/* Whoever reads it may not change it, and looks at it as long as CurrentMemoryContext is there. */
static Jsonb *
lend(void)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	*callback = (MemoryContextCallback){.func = reader_gone, .arg = kept};
	kept->readers++;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return kept->jsonb;
}

static Jsonb *
keep(const struct varatt_external *place, Datum stored)
{
	MemoryContext fresh = AllocSetContextCreate(CurrentMemoryContext, "workflow data", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(fresh);
	Kept		 *read = palloc0(sizeof(Kept));

	read->context = fresh;
	read->jsonb = DatumGetJsonbPCopy(stored);
	MemoryContextSwitchTo(old);
	if (VARSIZE(read->jsonb) > LARGEST)
		return read->jsonb;
	forget();
	MemoryContextSetParent(fresh, TopMemoryContext);
	kept = read;
	where = *place;
	kept_at = GetCurrentTimestamp();
	return lend();
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
		return lend();
	/* only what is read twice in a row */
	if (memcmp(&place, &last, sizeof(last)) == 0)
		return keep(&place, stored);
	last = place;
	return DatumGetJsonbPCopy(stored);
}
