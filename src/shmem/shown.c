/*
 * shown.c
 *		What workers are working on, and what keeps them from working on more.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"

#include "shmem/slots.h"

/* ---- the dispatcher ---- */

static int free_places[WF_MAX_SHOWN];
static int nfree = 0;

void
wf_requests_show_none(void)
{
	WfShownRequests *shown = &wf_my_slot->requests;

	nfree = 0;
	memset(shown->visits, 0, sizeof(int64) * shown->n);
	shown->n = shown->hidden = 0;
}

int
wf_request_show(int64 visit)
{
	WfShownRequests *shown = &wf_my_slot->requests;
	int				 place;

	if (nfree > 0)
		place = free_places[--nfree];
	else if (shown->n < WF_MAX_SHOWN)
		place = shown->n++;
	else
	{
		shown->hidden++;
		return -1;
	}
	shown->visits[place] = visit;
	return place;
}

void
wf_request_hide(int place)
{
	WfShownRequests *shown = &wf_my_slot->requests;

	if (place < 0)
	{
		shown->hidden--;
		return;
	}
	shown->visits[place] = 0;
	free_places[nfree++] = place;
}

void
wf_tokens_show(const WfShownToken *awaited, int n)
{
	WfShownTokens *shown = &wf_my_slot->tokens;

	shown->n = 0;
	for (int i = 0; i < n; i++)
		shown->awaited[i] = awaited[i];
	shown->n = n;
}

/* ---- executors and launcher ---- */

void
wf_show_dispatchers_refused(bool refused)
{
	wf_shared->dispatchers_refused = refused;
}

/* ---- for the views ---- */

static bool
is_copy(Oid database)
{
	for (int i = 0; i < WF_MAX_COPIES; i++)
		if (wf_shared->copies[i] == database)
			return true;
	return false;
}

/* See what executors do, under the lock. */
static void
look_at_executors(WfSlot *slot, WfServing *serving)
{
	int	 n = 0;
	bool idle = false;

	for (int i = WF_DISPATCHER_INDEX + 1; i < WF_MAX_WORKERS; i++)
	{
		n += slot->workers[i].state != WF_WORKER_NONE;
		idle |= slot->workers[i].state == WF_WORKER_RUNNING && slot->workers[i].idle;
	}
	serving->executors_refused = slot->executors_refused;
	serving->executors_busy = !idle && n >= wf_setting_executors;
}

void
wf_serving(WfServing *serving)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);

	memset(serving, 0, sizeof(*serving));
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	if (slot != NULL && slot->database == MyDatabaseId)
	{
		serving->dispatcher = slot->workers[WF_DISPATCHER_INDEX].state == WF_WORKER_RUNNING;
		serving->pause = slot->pause;
		for (int i = 0; i < slot->nservers; i++)
			serving->in_flight += slot->servers[i].counts.in_flight;
		look_at_executors(slot, serving);
	}
	if (!serving->dispatcher && is_copy(MyDatabaseId))
		serving->pause = WF_PAUSED_COPY;
	serving->dispatcher_refused = !serving->dispatcher && wf_shared->dispatchers_refused;
	LWLockRelease(wf_shared->lock);
}

bool
wf_request_is_shown(int64 visit, bool *unknown)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);

	*unknown = slot == NULL || slot->requests.hidden > 0;
	for (int i = 0; slot != NULL && i < slot->requests.n; i++)
		if (slot->requests.visits[i] == visit)
			return true;
	return false;
}

bool
wf_token_is_awaited(const char *server, Oid owner)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);

	for (int i = 0; slot != NULL && i < slot->tokens.n; i++)
		if (slot->tokens.awaited[i].owner == owner && strcmp(slot->tokens.awaited[i].server, server) == 0)
			return true;
	return false;
}

/* The executor that is working on the visit at this moment, or NULL. */
static const WfWorker *
executor_of(int64 visit)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);

	for (int i = WF_DISPATCHER_INDEX + 1; slot != NULL && i < WF_MAX_WORKERS; i++)
		if (slot->workers[i].state == WF_WORKER_RUNNING && slot->claims[i].visit == visit)
			return &slot->workers[i];
	return NULL;
}

bool
wf_visit_is_shown(int64 visit)
{
	return executor_of(visit) != NULL;
}

bool
wf_visit_waits_for_lock(int64 visit)
{
	const WfWorker *worker = executor_of(visit);

	return worker != NULL && ProcGlobal->allProcs[worker->procno].waitStatus == PROC_WAIT_STATUS_WAITING;
}

int
wf_server_in_flight(const char *server)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);

	for (int i = 0; slot != NULL && i < slot->nservers; i++)
		if (strcmp(slot->servers[i].name, server) == 0)
			return slot->servers[i].counts.in_flight;
	return 0;
}
