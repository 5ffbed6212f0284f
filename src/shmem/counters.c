/*
 * counters.c
 *		What the views workers and servers show.
 *
 * Each counter has one writer, and readers that do not mind a value a moment old: the only lock is
 * the one on which workers there are.
 */
#include "compat.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "shmem/settings.h"
#include "shmem/slots.h"

void
wf_count_handled(int n)
{
	if (wf_my_worker != NULL)
		wf_my_worker->handled += n;
}

void
wf_show_in_flight(int n)
{
	if (wf_my_worker != NULL)
		wf_my_worker->in_flight = n;
}

WfServerCounts *
wf_server_counts(const char *server)
{
	WfSlot		 *slot = wf_my_slot;
	WfServerSlot *place;

	if (slot == NULL)
		return NULL;
	for (int i = 0; i < slot->nservers; i++)
	{
		if (strcmp(slot->servers[i].name, server) == 0)
			return &slot->servers[i].counts;
	}
	if (slot->nservers == WF_MAX_SERVERS)
		return NULL;
	place = &slot->servers[slot->nservers];
	memset(place, 0, sizeof(*place));
	strlcpy(place->name, server, NAMEDATALEN);
	pg_write_barrier();
	slot->nservers++;
	return &place->counts;
}

void
wf_server_count_elapsed(WfServerCounts *counts, int64 elapsed_us)
{
	int bucket = elapsed_us > 1 ? pg_leftmost_one_pos64((uint64) elapsed_us) : 0;

	counts->elapsed_us_buckets[Min(bucket, lengthof(counts->elapsed_us_buckets) - 1)]++;
}

void
wf_server_count_failure(WfServerCounts *counts, WfFailureKind kind)
{
	if (kind != WF_FAILURE_AUTH)
		counts->failures++;
	counts->failures_by_kind[kind]++;
}

const char *
wf_failure_kind_name(WfFailureKind kind)
{
	static const char *const names[] = {"connect", "timeout", "reply", "request", "3xx",
										"4xx",	   "429",	  "5xx",   "other",	  "auth"};

	StaticAssertStmt(lengthof(names) == WF_FAILURE_KINDS, "each kind has its name");
	return names[kind];
}

void
wf_server_show_state(WfServerCounts *counts, WfServerState state, TimestampTz since, TimestampTz until,
					 const char *error)
{
	if (state == WF_SERVER_TRIPPED && counts->state == WF_SERVER_OK)
		counts->trips++;
	SpinLockAcquire(&wf_my_slot->mutex);
	counts->state = state;
	counts->since = since;
	counts->until = until;
	strlcpy(counts->error, error, sizeof(counts->error));
	SpinLockRelease(&wf_my_slot->mutex);
}

WfServerState
wf_server_state(const char *name)
{
	WfServerRow *rows;
	int			 n = wf_servers_list(&rows);

	for (int i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].counts.state;
	return WF_SERVER_OK;
}

int
wf_servers_list(WfServerRow **rows)
{
	WfSlot *slot = wf_slot_of(MyDatabaseId);
	int		n = 0;

	*rows = NULL;
	if (slot == NULL)
		return 0;
	*rows = palloc(sizeof(WfServerRow) * WF_MAX_SERVERS);
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	if (slot->database == MyDatabaseId)
		n = slot->nservers;
	pg_read_barrier();
	for (int i = 0; i < n; i++)
	{
		memcpy((*rows)[i].name, slot->servers[i].name, NAMEDATALEN);
		SpinLockAcquire(&slot->mutex);
		(*rows)[i].counts = slot->servers[i].counts;
		SpinLockRelease(&slot->mutex);
	}
	LWLockRelease(wf_shared->lock);
	return n;
}

static bool
list_worker(WfWorkerRow *row, WfWorkerKind kind, WfSlot *slot, const WfWorker *worker)
{
	if (worker->state != WF_WORKER_RUNNING)
		return false;
	row->kind = kind;
	row->pid = worker->pid;
	row->database = slot != NULL ? slot->database : InvalidOid;
	row->pause = slot != NULL ? slot->pause : WF_RUNNING;
	row->idle = worker->idle;
	row->role = worker->role;
	row->started_at = worker->started_at;
	row->in_flight = worker->in_flight;
	row->handled = worker->handled;
	row->refused = row->crowded_out = false;
	row->failure[0] = row->error[0] = '\0';
	if (kind == WF_DISPATCHER)
	{
		SpinLockAcquire(&slot->mutex);
		strlcpy(row->failure, slot->upkeep_failure, sizeof(row->failure));
		strlcpy(row->error, slot->upkeep_error, sizeof(row->error));
		SpinLockRelease(&slot->mutex);
	}
	return true;
}

/* A row for a copy, which has no dispatcher. */
static bool
list_quiet_copy(WfWorkerRow *row, Oid database)
{
	WfSlot *slot = wf_slot_of(database);

	if (!OidIsValid(database) || (slot != NULL && slot->workers[WF_DISPATCHER_INDEX].state == WF_WORKER_RUNNING))
		return false;
	memset(row, 0, sizeof(*row));
	row->kind = WF_DISPATCHER;
	row->database = database;
	row->pause = WF_PAUSED_COPY;
	return true;
}

static int
list_refused(WfWorkerRow *row, WfWorkerKind kind, Oid database)
{
	memset(row, 0, sizeof(*row));
	row->kind = kind;
	row->database = database;
	row->refused = true;
	return 1;
}

static bool
is_refused(WfSlot *slot)
{
	return wf_shared->dispatchers_refused && slot->workers[WF_DISPATCHER_INDEX].state == WF_WORKER_NONE;
}

/* Is there no place for one more database? */
static bool
is_crowded(void)
{
	int n = 0;

	for (int i = 0; i < wf_shared->nslots; i++)
		if (wf_shared->slots[i].confirmed)
			n++;
	return n >= wf_setting_databases;
}

/*
 * Rows for workers that could not be started, since no worker slot is free, or no place for the database. One without a
 * slot is known to need a dispatcher only to its own sessions.
 */
static int
list_all_refused(WfWorkerRow *rows)
{
	int	 n = 0;
	bool ours = false;

	for (int i = 0; i < wf_shared->nslots; i++)
	{
		WfSlot *slot = &wf_shared->slots[i];

		if (!OidIsValid(slot->database))
			continue;
		ours |= slot->database == MyDatabaseId;
		if (is_refused(slot))
			n += list_refused(&rows[n], WF_DISPATCHER, slot->database);
		if (slot->executors_refused)
			n += list_refused(&rows[n], WF_EXECUTOR, slot->database);
	}
	for (int i = 0; i < WF_MAX_COPIES; i++)
		ours |= wf_shared->copies[i] == MyDatabaseId;
	if (ours || (!wf_shared->dispatchers_refused && !is_crowded()))
		return n;
	(void) list_refused(&rows[n], WF_DISPATCHER, MyDatabaseId);
	rows[n].crowded_out = is_crowded();
	return n + 1;
}

int
wf_workers_list(WfWorkerRow **rows)
{
	int n = 0;

	*rows = palloc(sizeof(WfWorkerRow) * (2 + wf_shared->nslots * (WF_MAX_WORKERS + 2) + WF_MAX_COPIES));
	LWLockAcquire(wf_shared->lock, LW_SHARED);
	n += list_worker(&(*rows)[n], WF_LAUNCHER, NULL, &wf_shared->launcher);
	for (int i = 0; i < wf_shared->nslots; i++)
	{
		WfSlot *slot = &wf_shared->slots[i];

		for (int j = 0; OidIsValid(slot->database) && j < WF_MAX_WORKERS; j++)
			n += list_worker(&(*rows)[n], j == WF_DISPATCHER_INDEX ? WF_DISPATCHER : WF_EXECUTOR, slot,
							 &slot->workers[j]);
	}
	for (int i = 0; i < WF_MAX_COPIES; i++)
		n += list_quiet_copy(&(*rows)[n], wf_shared->copies[i]);
	n += list_all_refused(&(*rows)[n]);
	LWLockRelease(wf_shared->lock);
	return n;
}
