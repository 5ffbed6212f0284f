/*
 * executor_shares.c
 *		Which role gets how many executors: fair shares, however long single statements take.
 *
 * An executor serves one role all its life, since what a session remembers must not pass from one
 * role to another. There are up to workflow.executors of them. They are shared out among the roles
 * that have work: one each in turn, as often as a role has work for one. A role with more than its
 * share gives one up between two pieces of work; where there are more roles than executors, the
 * role that has had one for longest does. A statement is never interrupted; so that statements of
 * hours hold up nobody else, a role without an executor gets one of workflow.spare_executors in
 * addition.
 *
 * Called by the dispatcher, under wf_shared->lock; the slot's mutex is held for one pass over the
 * workers at a time.
 */
#include "compat.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "shmem/slots.h"

/*
 * An executor serves its role for so long at least, whoever waits, since a start costs some
 * milliseconds.
 */
#define QUANTUM_MS 200
/* An idle executor is kept for so long while other roles have executors of their own. */
#define GRACE_MS 1000
/* With so many remembered roles, those are forgotten that have had no executor for FORGOTTEN_MS. */
#define MANY_ROLES	 1024
#define FORGOTTEN_MS (60 * 60 * 1000)

typedef struct Share
{
	Oid			role;
	int			wanted;
	TimestampTz since;	/* its work waits since then, or it last had an executor then */
	TimestampTz latest; /* start time of its youngest executor */
	int			has;	/* executors that it has */
	int			target; /* executors that it should have */
} Share;

typedef struct Place /* an executor's place in the slot, as it was at the beginning of the look */
{
	bool		is_running;
	bool		is_idle;
	TimestampTz idle_since;
	bool		leaves;
	Share	   *share; /* the share of its role; NULL: the role has no work */
} Place;

typedef struct Look
{
	WfSlot	   *slot;
	TimestampTz now;
	int			nshares;
	Share	   *shares; /* sorted by whose turn it is */
	Place		places[WF_MAX_WORKERS];
	int			total;	 /* number of executors */
	int			nidle;	 /* how many of them were idle at the beginning */
	int			lacking; /* so many more are needed, and cannot be started */
	bool		urgent;	 /* some role lacks its only executor */
	WfTicket	tickets[WF_MAX_WORKERS];
	int			ntickets;
	long		again_ms; /* ms after which to look again; -1: no need */
} Look;

static void
look_again_after(Look *look, long ms)
{
	if (look->again_ms < 0 || ms < look->again_ms)
		look->again_ms = Max(ms, 1);
}

static long
ms_left(TimestampTz since, int ms, TimestampTz now)
{
	return TimestampDifferenceMilliseconds(now, TimestampTzPlusMilliseconds(since, ms));
}

/* ---- who has waited for how long ---- */

typedef struct Served
{
	Oid			role;
	TimestampTz at; /* when the role was last seen to have an executor */
} Served;

static HTAB *served_roles = NULL; /* in this dispatcher's memory */

static Served *
served(Oid role)
{
	Served *entry;
	bool	found;

	if (served_roles == NULL)
	{
		HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Served)};

		served_roles = hash_create("workflow roles served", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(served_roles, &role, HASH_ENTER, &found);
	if (!found)
		entry->at = 0;
	return entry;
}

/* Forget roles without executors, since roles come and go while a dispatcher stays. */
static void
forget_served(TimestampTz now)
{
	HASH_SEQ_STATUS status;
	Served		   *entry;

	if (served_roles == NULL || hash_get_num_entries(served_roles) < MANY_ROLES)
		return;
	hash_seq_init(&status, served_roles);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (TimestampDifferenceExceeds(entry->at, now, FORGOTTEN_MS))
			(void) hash_search(served_roles, &entry->role, HASH_REMOVE, NULL);
}

/* ---- looking ---- */

static Share *
share_of(Look *look, Oid role)
{
	for (int i = 0; i < look->nshares; i++)
		if (look->shares[i].role == role)
			return &look->shares[i];
	return NULL;
}

static void
count_executors(Look *look)
{
	look->total = 0;
	for (int i = 1; i < WF_MAX_WORKERS; i++)
	{
		WfWorker *worker = &look->slot->workers[i];
		Share	 *share;

		if (worker->state == WF_WORKER_NONE)
			continue;
		look->total++;
		share = share_of(look, worker->role);
		if (share == NULL)
			continue;
		share->has++;
		share->latest = Max(share->latest, worker->started_at);
	}
}

/*
 * Sort by whose turn it is: first roles without executors, the longest waiting first; then the
 * others, the one whose last start is most recent first.
 */
static int
compare_turns(const void *left, const void *right)
{
	const Share *a = left;
	const Share *b = right;

	if ((a->has == 0) != (b->has == 0))
		return a->has == 0 ? -1 : 1;
	if (a->has == 0)
		return a->since < b->since ? -1 : a->since > b->since;
	return a->latest > b->latest ? -1 : a->latest < b->latest;
}

/* Set the targets: one executor each in turn, until all are given away or no role needs more. */
static void
set_targets(Look *look)
{
	int	 left = wf_setting_executors;
	bool given = true;

	qsort(look->shares, look->nshares, sizeof(Share), compare_turns);
	while (left > 0 && given)
	{
		given = false;
		for (int i = 0; i < look->nshares && left > 0; i++)
		{
			if (look->shares[i].target == look->shares[i].wanted)
				continue;
			look->shares[i].target++;
			left--;
			given = true;
		}
	}
}

/* Copy what is under the slot's mutex, which is held. */
static void
see_places(Look *look)
{
	for (int i = 1; i < WF_MAX_WORKERS; i++)
	{
		WfWorker *worker = &look->slot->workers[i];

		look->places[i].is_running = worker->state == WF_WORKER_RUNNING;
		look->places[i].is_idle = worker->idle;
		look->places[i].idle_since = worker->idle_since;
		look->nidle += look->places[i].is_running && worker->idle;
	}
}

/* ---- more ---- */

/* May one more executor be started for this share? */
static bool
has_free_executor(const Look *look, const Share *share)
{
	int most = wf_setting_executors + (share->has == 0 ? wf_setting_spare_executors : 0);

	return look->total < most && wf_executors_refused(look->now) == 0;
}

static void
start_missing(Look *look, Share *share)
{
	int	 wanted = Max(share->target, Min(share->wanted, 1));
	long pause = wf_executor_start_pause(look->slot, share->role, look->now);

	if (share->has >= wanted)
		return;
	if (pause > 0)
	{
		look_again_after(look, pause);
		return;
	}
	while (share->has < wanted && has_free_executor(look, share) &&
		   wf_executor_reserve(look->slot, share->role, look->now, &look->tickets[look->ntickets]))
	{
		look->ntickets++;
		look->total++;
		share->has++;
	}
	look->lacking += wanted - share->has;
	look->urgent |= share->has == 0;
}

/* ---- less ---- */

/*
 * May this executor be told to leave? `for_others`: because other roles wait for its place; else
 * because there are more executors than allowed.
 */
static bool
may_leave(Look *look, int i, bool for_others)
{
	Place *place = &look->places[i];
	Share *share = place->share;
	long   left;

	if (!place->is_running || place->leaves)
		return false;
	if (place->is_idle)
		left = for_others && look->urgent ? 0 : ms_left(place->idle_since, GRACE_MS, look->now);
	else if (share == NULL ? !for_others : share->has <= (for_others ? share->target : Max(share->target, 1)))
		return false;
	else
		left = ms_left(look->slot->workers[i].started_at, QUANTUM_MS, look->now);
	if (left > 0)
		look_again_after(look, left);
	return left == 0;
}

/*
 * Does executor i leave before the other? Idle ones leave first, then those of the role with the
 * most beyond its share, the oldest of them first.
 */
static bool
leaves_before(const Look *look, int i, int other)
{
	const Place *a = &look->places[i];
	const Place *b = &look->places[other];
	int			 excess = a->share == NULL ? 0 : a->share->has - a->share->target;
	int			 other_excess = b->share == NULL ? 0 : b->share->has - b->share->target;

	if (a->is_idle != b->is_idle)
		return a->is_idle;
	if (a->is_idle)
		return a->idle_since < b->idle_since;
	if (excess != other_excess)
		return excess > other_excess;
	return look->slot->workers[i].started_at < look->slot->workers[other].started_at;
}

static void
choose_leaving(Look *look, int need, bool for_others)
{
	for (; need > 0; need--)
	{
		int chosen = 0;

		for (int i = 1; i < WF_MAX_WORKERS; i++)
			if (may_leave(look, i, for_others) && (chosen == 0 || leaves_before(look, i, chosen)))
				chosen = i;
		if (chosen == 0)
			return;
		look->places[chosen].leaves = true;
		look->total--;
		if (look->places[chosen].share != NULL)
			look->places[chosen].share->has--;
	}
}

/* ---- telling them ---- */

/*
 * Choose idle executors to be woken, as many as their roles have work for. The others are left
 * alone.
 */
static void
wake_idle(Look *look)
{
	for (int idle = 0; idle <= 1; idle++)
		for (int i = 1; i < WF_MAX_WORKERS; i++)
		{
			Place *place = &look->places[i];

			if (look->slot->workers[i].state == WF_WORKER_NONE || place->share == NULL ||
				(place->is_running && place->is_idle) != idle)
				continue;
			if (idle && place->share->wanted <= 0)
				continue;
			place->share->wanted--;
			place->is_idle = false;
		}
}

/*
 * Tell executors to leave or to look for work. Called under the mutex; collects whose latches to
 * set.
 */
static int
tell_executors(Look *look, int *procnos)
{
	int n = 0;

	for (int i = 1; i < WF_MAX_WORKERS; i++)
	{
		WfWorker *worker = &look->slot->workers[i];
		Place	 *place = &look->places[i];

		if (!place->is_running)
			continue;
		worker->leave = place->leaves;
		if (!place->leaves && (place->is_idle || place->share == NULL))
			continue;
		worker->idle = false;
		worker->called = true;
		procnos[n++] = worker->procno;
	}
	look->slot->want_executors = look->lacking > 0;
	if (look->lacking == 0 && look->ntickets == 0)
		look->slot->executors_refused = false; /* no work waits for an executor any more */
	return n;
}

static void
share_out(Look *look)
{
	count_executors(look);
	set_targets(look);
	for (int i = 1; i < WF_MAX_WORKERS; i++)
		look->places[i].share =
			look->slot->workers[i].state == WF_WORKER_NONE ? NULL : share_of(look, look->slot->workers[i].role);
	for (int i = 0; i < look->nshares && !wf_database_blocked(look->slot->database); i++)
		start_missing(look, &look->shares[i]);
	wake_idle(look);
	choose_leaving(look, look->lacking, true);
	choose_leaving(look, look->total - wf_setting_executors, false);
}

int
wf_executors_share(const WfDemand *demands, int n, bool *all_busy)
{
	Look *look = palloc0(sizeof(Look));
	int	  procnos[WF_MAX_WORKERS];
	int	  nprocnos;

	wf_executors_reap();
	look->slot = wf_my_slot;
	look->now = GetCurrentTimestamp();
	look->again_ms = -1;
	look->nshares = n;
	look->shares = palloc0(sizeof(Share) * Max(n, 1));
	for (int i = 0; i < n; i++)
		look->shares[i] = (Share){.role = demands[i].role,
								  .wanted = Min(demands[i].wanted, wf_setting_executors),
								  .since = Max(demands[i].since, served(demands[i].role)->at)};

	LWLockAcquire(wf_shared->lock, LW_EXCLUSIVE);
	SpinLockAcquire(&look->slot->mutex);
	see_places(look);
	SpinLockRelease(&look->slot->mutex);
	share_out(look);
	*all_busy = look->nidle == 0 && look->ntickets == 0 && look->total >= wf_setting_executors;
	SpinLockAcquire(&look->slot->mutex);
	nprocnos = tell_executors(look, procnos);
	SpinLockRelease(&look->slot->mutex);
	LWLockRelease(wf_shared->lock);

	for (int i = 0; i < nprocnos; i++)
		wf_set_latch(procnos[i]);
	wf_executors_start(look->tickets, look->ntickets);
	if (wf_executors_refused(look->now) > 0)
		look_again_after(look, wf_executors_refused(look->now));
	for (int i = 0; i < n; i++)
		if (look->shares[i].has > 0)
			served(look->shares[i].role)->at = look->now;
	forget_served(look->now);
	return (int) look->again_ms;
}
