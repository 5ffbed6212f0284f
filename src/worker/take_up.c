/*
 * take_up.c
 *		Which visit of a queue an executor takes up.
 *
 * Visits are claimed in the order in which they are due; those that other executors have are passed over.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "shmem/claims.h"
#include "store/locked.h"
#include "worker/take_up.h"

/* So many due rows are read at a time. */
#define LOOK_AT (1 + WF_MOST_BESIDE)
/* A statement that has given way so many times in a row runs with its instance locked. */
#define MOST_YIELDS 3

/* The rows that were read last. */
static WfWorkItem list[LOOK_AT];
static int		  nlist = 0;
static int		  next = 0;
static bool		  kept = false; /* the rest of them is kept from others */

/*
 * Claim the visit. Its instance is locked if the visit only has to be moved, or if its statement
 * has given way too often. If another transaction has locked the instance, nothing is begun with it.
 */
static WfTaken
take(WfWorkItem *item)
{
	int yields;

	if (!wf_claim(item->visit))
		return WF_TAKEN_NONE; /* the executor that has it looks again when it is done */
	yields = wf_yield_count(item->visit);
	item->moves = item->moves && !wf_statement_was_begun(item->visit);
	item->locked = item->moves || yields >= MOST_YIELDS;
	if (item->locked ? wf_due_lock(item->instance) : !wf_instance_is_locked(item->instance))
		return WF_TAKEN;
	wf_claim_drop();
	return WF_TAKEN_LOCKED;
}

/*
 * Instances that were found locked while the queue is gone through. One may have very many visits that are due, the items
 * of a list, and none of them can be taken up.
 */
typedef struct Locked
{
	int64 ids[LOOK_AT];
	int	  n;
} Locked;

static bool
is_known_as_locked(const Locked *locked, int64 instance)
{
	for (int i = 0; i < locked->n; i++)
		if (locked->ids[i] == instance)
			return true;
	return false;
}

static void
note_locked(Locked *locked, int64 instance)
{
	if (locked->n == LOOK_AT)
		locked->n = 0;
	locked->ids[locked->n++] = instance;
}

/* Behind the row, and behind all of its instance that are due at the same time if that is locked. */
static WfWorkItem
place_behind(const WfWorkItem *item, const Locked *locked)
{
	WfWorkItem place = *item;

	if (is_known_as_locked(locked, item->instance))
		place.visit = PG_INT64_MAX;
	return place;
}

WfTaken
wf_take_up(const char *queue, WfWorkItem *item)
{
	WfWorkItem	after = {.due_at = DT_NOBEGIN};
	TimestampTz now = GetCurrentTimestamp();
	Locked		locked = {.n = 0};

	kept = false;
	do
	{
		nlist = wf_due_scan_work(queue, &after, now, LOOK_AT, list);
		for (next = 0; next < nlist;)
		{
			WfWorkItem *one = &list[next++];
			WfTaken		taken = is_known_as_locked(&locked, one->instance) ? WF_TAKEN_NONE : take(one);

			if (taken == WF_TAKEN)
			{
				*item = *one;
				return WF_TAKEN;
			}
			if (taken == WF_TAKEN_LOCKED)
				note_locked(&locked, one->instance);
		}
		if (nlist > 0)
			after = place_behind(&list[nlist - 1], &locked);
	} while (nlist == LOOK_AT);
	return locked.n > 0 ? WF_TAKEN_LOCKED : WF_TAKEN_NONE;
}

/* Keep the rest of the list from other executors. It is begun within milliseconds, or given up. */
static void
keep_rest(void)
{
	int64 visits[LOOK_AT];
	int	  n = 0;

	for (int i = next; i < nlist; i++)
		if (!list[i].moves && !wf_statement_was_begun(list[i].visit))
			visits[n++] = list[i].visit;
	wf_claims_keep(visits, n);
	kept = true;
}

bool
wf_take_up_beside(WfWorkItem *item)
{
	if (!kept)
		keep_rest();
	while (next < nlist)
	{
		*item = list[next++];
		if (wf_claim_is_kept(item->visit) && wf_claim(item->visit))
			return true;
	}
	return false;
}
