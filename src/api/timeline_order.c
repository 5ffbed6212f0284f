/*
 * timeline_order.c
 *		The order in which workflow.timeline tells events.
 *
 * All that happens in a transaction has the same time. Visits are numbered in the order in which
 * they begin, so events of the same time are told by the numbers of their visits, but for ends: a
 * sub-process ends after all that is in it, and what is interrupted ends after the failure, or the
 * `end`, that interrupts it. These are told after the events of a visit with a higher number.
 */
#include "postgres.h"

#include "api/timeline_internal.h"

/* ---- places ---- */

static int
compare_places(const void *a, const void *b)
{
	int64 left = ((const WfPlace *) a)->visit;
	int64 right = ((const WfPlace *) b)->visit;

	return left < right ? -1 : left > right;
}

/* The entries of visits say at which steps they are. */
void
wf_timeline_places(WfPlaces *places, const WfTold *events, int n)
{
	places->n = 0;
	places->of = palloc_extended(sizeof(WfPlace) * Max(n, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		if (events[i].rank == WF_RANK_ENTERED)
			places->of[places->n++] = (WfPlace){.visit = events[i].visit,
												.step = events[i].step,
												.scope = events[i].scope,
												.item = events[i].item,
												.last = events[i].visit};
	qsort(places->of, places->n, sizeof(WfPlace), compare_places);
}

WfPlace *
wf_timeline_place(const WfPlaces *places, int64 visit)
{
	WfPlace wanted = {visit};

	return bsearch(&wanted, places->of, places->n, sizeof(WfPlace), compare_places);
}

/* Scopes have lower numbers than what is in them. */
static void
measure_places(WfPlaces *places)
{
	for (int i = 0; i < places->n; i++)
	{
		WfPlace *scope = wf_timeline_place(places, places->of[i].scope);

		places->of[i].depth = scope != NULL ? scope->depth + 1 : 0;
	}
	for (int i = places->n - 1; i >= 0; i--)
	{
		WfPlace *scope = wf_timeline_place(places, places->of[i].scope);

		if (scope != NULL)
			scope->last = Max(scope->last, places->of[i].last);
	}
}

/* ---- ends ---- */

/* An end that may have interrupted others: of each scope around it, and of the instance. */
typedef struct Interrupter
{
	TimestampTz at;
	int64		scope; /* 0: the instance */
	int64		after; /* the number of the visit after whose events the others end */
} Interrupter;

typedef struct Interrupters
{
	Interrupter *of;
	int			 n;
	int			 allocated;
} Interrupters;

static int
compare_interrupters(const void *a, const void *b)
{
	const Interrupter *left = a;
	const Interrupter *right = b;

	if (left->at != right->at)
		return left->at < right->at ? -1 : 1;
	return left->scope < right->scope ? -1 : left->scope > right->scope;
}

static void
add_interrupter(Interrupters *all, TimestampTz at, int64 scope, int64 after)
{
	if (all->n == all->allocated)
	{
		all->allocated = Max(16, all->allocated * 2);
		all->of = all->of == NULL ? palloc(sizeof(Interrupter) * all->allocated)
								  : repalloc_huge(all->of, sizeof(Interrupter) * all->allocated);
	}
	all->of[all->n++] = (Interrupter){at, scope, after};
}

/* Sort them, and keep the last of each time and scope. */
static void
unite_interrupters(Interrupters *all)
{
	int kept = 0;

	if (all->n == 0)
		return;
	qsort(all->of, all->n, sizeof(Interrupter), compare_interrupters);
	for (int i = 1; i < all->n; i++)
	{
		if (compare_interrupters(&all->of[kept], &all->of[i]) != 0)
			all->of[++kept] = all->of[i];
		else
			all->of[kept].after = Max(all->of[kept].after, all->of[i].after);
	}
	all->n = kept + 1;
}

static void
find_interrupters(const WfPlaces *places, Interrupters *all)
{
	for (int i = 0; i < places->n; i++)
	{
		const WfPlace *place = &places->of[i];
		const WfPlace *around = place;

		if (place->end == NULL || !place->end->interrupts)
			continue;
		do
		{
			add_interrupter(all, place->end->at, around->scope, place->last);
			around = wf_timeline_place(places, around->scope);
		} while (around != NULL);
	}
	unite_interrupters(all);
}

/*
 * After which visit's events this one was cancelled: those of the end nearest to it that may have
 * been the reason. 0: of none.
 */
static int64
cancelled_after(const WfPlaces *places, const Interrupters *all, const WfPlace *place)
{
	TimestampTz at = place->end->at;

	for (; place != NULL; place = wf_timeline_place(places, place->scope))
	{
		Interrupter	 wanted = {.at = at, .scope = place->scope};
		Interrupter *found = bsearch(&wanted, all->of, all->n, sizeof(Interrupter), compare_interrupters);

		if (found != NULL)
			return found->after;
	}
	return 0;
}

static void
order_ends(const WfPlaces *places)
{
	Interrupters all = {0};

	find_interrupters(places, &all);
	for (int i = places->n - 1; i >= 0; i--)
	{
		WfPlace *place = &places->of[i];
		WfPlace *scope = wf_timeline_place(places, place->scope);
		WfTold	*end = place->end;

		if (end == NULL)
			continue;
		/* what is in it has lifted it already */
		end->after = Max(end->after, place->last);
		if (end->cancelled && all.n > 0)
			end->after = Max(end->after, cancelled_after(places, &all, place));
		if (scope != NULL && scope->end != NULL && scope->end->at == end->at)
			scope->end->after = Max(scope->end->after, end->after);
	}
}

/* ---- all events ---- */

/* What stands: the instance last. */
static int
compare_standing(const WfTold *left, const WfTold *right)
{
	if ((left->visit == 0) != (right->visit == 0))
		return left->visit == 0 ? 1 : -1;
	return left->visit < right->visit ? -1 : left->visit > right->visit;
}

static int
compare_same_time(const WfTold *left, const WfTold *right)
{
	bool left_waits = left->after != left->visit;
	bool right_waits = right->after != right->visit;

	if ((left->rank == WF_RANK_INSTANCE) != (right->rank == WF_RANK_INSTANCE))
		return left->rank == WF_RANK_INSTANCE ? 1 : -1;
	/* a call comes before what it brings about */
	if ((left->rank == WF_RANK_CALLED) != (right->rank == WF_RANK_CALLED))
		return left->rank == WF_RANK_CALLED ? -1 : 1;
	if (left->after != right->after)
		return left->after < right->after ? -1 : 1;
	if (left_waits != right_waits)
		return left_waits ? 1 : -1;
	if (left->depth != right->depth)
		return left->depth > right->depth ? -1 : 1;
	if (left->visit != right->visit)
		return left->visit < right->visit ? -1 : 1;
	return (int) left->rank - (int) right->rank;
}

static int
compare_events(const void *a, const void *b)
{
	const WfTold *left = a;
	const WfTold *right = b;

	if ((left->rank == WF_RANK_STANDING) != (right->rank == WF_RANK_STANDING))
		return left->rank == WF_RANK_STANDING ? 1 : -1;
	if (left->rank == WF_RANK_STANDING)
		return compare_standing(left, right);
	if (left->at != right->at)
		return left->at < right->at ? -1 : 1;
	return compare_same_time(left, right);
}

void
wf_timeline_sort(WfPlaces *places, WfTold *events, int n)
{
	measure_places(places);
	for (int i = 0; i < n; i++)
	{
		WfPlace *place = wf_timeline_place(places, events[i].visit);

		events[i].after = events[i].visit;
		if (place == NULL)
			continue;
		events[i].depth = place->depth;
		if (events[i].rank == WF_RANK_ENDED)
			place->end = &events[i];
	}
	order_ends(places);
	qsort(events, n, sizeof(WfTold), compare_events);
	/* they have moved */
	for (int i = 0; i < places->n; i++)
		places->of[i].end = NULL;
}
