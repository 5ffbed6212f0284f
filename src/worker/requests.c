/*
 * requests.c
 *		The requests that the dispatcher sends: for visits that are due, as many as the client and their servers have
 *		places for.
 *
 * One look at a server's queue is one transaction: it picks up rows, puts their visits in flight, and makes their
 * requests in memory. The transaction locks nothing and writes nothing; the requests are sent after it has ended.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "http/server.h"
#include "shmem/careful.h"
#include "shmem/settings.h"
#include "store/access.h"
#include "store/due.h"
#include "store/privilege.h"
#include "worker/dispatcher_internal.h"
#include "worker/http_codec.h"
#include "worker/failure.h"
#include "worker/in_flight.h"
#include "worker/limit.h"
#include "worker/places.h"
#include "worker/worker.h"

/* While rows wait for places, look so often whether requests in flight are still wanted. */
#define ABANDONED_CHECK_MS 1000
/* A cancel request fails after so long if its server is gone or paused, or has no place for it. */
#define CANCEL_PATIENCE_MS 30000
/* A server has places beyond max_in_flight for cancel requests: one, and one more for each so many of its places. */
#define PLACES_PER_CANCEL 8
/*
 * While more is due than may be sent, cancel requests are looked for at most so often, and so seldom that it takes at
 * most 1/CANCELS_CHECK_PART of the time.
 */
#define CANCELS_CHECK_MS   1000
#define CANCELS_CHECK_PART 20
/*
 * Rows of owners that may send no more are looked through again so seldom that it takes at most 1/PASSED_CHECK_PART of
 * the time.
 */
#define PASSED_CHECK_PART 20
/* After a crash a look is at a single row, so there are several in a turn, for so long. */
#define LONGEST_LOOKS_MS 50
/* For a server that is gone or paused, cancel requests are looked for so often, since that reads all of its queue. */
#define GONE_SERVER_CHECK_MS 5000

typedef struct ProcessOwner
{
	int process_id;
	Oid owner;
} ProcessOwner;

/* The result of one look at a queue, in turn_context, but for `instances`, which nobody needs after the transaction. */
typedef struct Outgoing
{
	WfDispatcher  *dispatcher;
	WfQueueCursor *cursor;
	WfDueKey	  *keys; /* rows that were read */
	int			   nkeys;
	int64		  *instances; /* instances of the visits in `taken` */
	int64		  *taken;	  /* visits that this look has put in flight */
	int			   ntaken;
	List		  *requests; /* of WfHttpRequest *, to be sent */
	WfJob		  *failing;	 /* jobs for visits whose requests cannot be sent */
	int			   nfailing;
	HTAB		  *owners; /* of ProcessOwner; NULL: no owner was asked for */
} Outgoing;

/* The owner of a process, which is looked up once in each look at a queue. */
static Oid
owner_of(Outgoing *out, int process_id)
{
	HASHCTL ctl = {.keysize = sizeof(int), .entrysize = sizeof(ProcessOwner), .hcxt = out->dispatcher->turn_context};
	ProcessOwner *entry;
	bool		  found;

	if (out->owners == NULL)
		out->owners = hash_create("workflow owners of processes", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	entry = hash_search(out->owners, &process_id, HASH_FIND, &found);
	if (!found)
	{
		Oid owner = wf_process_owner(process_id);

		entry = hash_search(out->owners, &process_id, HASH_ENTER, &found);
		entry->owner = owner;
	}
	return entry->owner;
}

/* Is there a place for a request, at the server as of the last look, and in the client as of now? */
static bool
has_free_place(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	return cursor->slots > 0 && wf_places_free(dispatcher->http, 0) > 0 &&
		   (cursor->in_flight == 0 || !wf_http_is_crowded(dispatcher->http));
}

static bool
may_call(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	return !wf_shortage_holds_back(dispatcher) && has_free_place(dispatcher, cursor);
}

/* May an owner whose rows were passed over send more now? */
static bool
passed_may_go(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	for (int i = 0; i < cursor->npassed; i++)
		if (wf_places_allow(dispatcher->http, cursor, cursor->passed[i], false, 0))
			return true;
	return false;
}

/* When has the queue to be looked at? At once, if an owner that had to wait may send more. */
static TimestampTz
next_look_at(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	if (!OidIsValid(cursor->blocked_by) || cursor->slots <= 0)
		return cursor->next;
	if (wf_places_allow(dispatcher->http, cursor, cursor->blocked_by, false, 0))
		return DT_NOBEGIN;
	return passed_may_go(dispatcher, cursor) ? Min(cursor->next, cursor->passed_at) : cursor->next;
}

/* While rows wait for places, the dispatcher also wakes to look whether requests in flight are still wanted. */
TimestampTz
wf_requests_next(WfDispatcher *dispatcher, const WfQueueCursor *cursor)
{
	TimestampTz next =
		may_call(dispatcher, cursor) ? next_look_at(dispatcher, cursor) : Max(cursor->next, dispatcher->abandoned_at);

	return OidIsValid(cursor->blocked_by) ? Min(next, dispatcher->abandoned_at) : next;
}

/* Make the request of a visit; if that fails, a job that makes the visit fail. */
static void
prepare_request(Outgoing *out, WfVisit *visit, const WfServer *server)
{
	MemoryContext  old = MemoryContextSwitchTo(out->dispatcher->turn_context);
	WfHttpRequest *request = palloc(sizeof(WfHttpRequest));
	WfFault		   fault = {0};
	Oid			   owner = owner_of(out, visit->instance->process->process_id);
	WfJob		  *job;

	wf_in_flight_set_owner(visit->id, owner);
	if (wf_http_request(visit, server, owner, request, &fault))
		out->requests = lappend(out->requests, request);
	else
	{
		job = &out->failing[out->nfailing++];
		job->kind = WF_JOB_FAIL;
		job->instance = visit->instance->id;
		job->visit = visit->id;
		job->fault = fault;
	}
	MemoryContextSwitchTo(old);
}

/*
 * Put at most `limit` of the visits that were read in flight, skipping those that are already. If rows are left over,
 * the cursor goes back to them.
 */
static void
add_all(Outgoing *out, int limit)
{
	WfQueueCursor *cursor = out->cursor;
	int			   looked;

	for (looked = 0; looked < out->nkeys && out->ntaken < limit; looked++)
		if (wf_in_flight_add(out->keys[looked].instance, out->keys[looked].visit, cursor))
		{
			out->instances[out->ntaken] = out->keys[looked].instance;
			out->taken[out->ntaken++] = out->keys[looked].visit;
		}
	cursor->skipped = out->ntaken == 0 ? cursor->skipped + looked : 0;
	if (looked == out->nkeys)
		return;
	cursor->position = out->keys[looked - 1];
	cursor->next = DT_NOBEGIN;
	out->nkeys = looked;
}

static WfJob
fail_deadly_request(int64 instance, int64 visit)
{
	WfJob job = {.kind = WF_JOB_FAIL, .instance = instance, .visit = visit};

	wf_failure_died(&job.fault);
	return job;
}

/* Make the requests of these visits. Those deferred for the memory budget are made alone after the others. */
static void
prepare_requests(Outgoing *out, const WfServer *server, const int64 *instances, const int64 *visits, int n)
{
	WfBatch *batch = wf_batch_begin();
	int		*left = palloc(sizeof(int) * n);
	int		 nleft = 0;

	batch->memory_budget = n > 1 ? WF_BATCH_MEMORY_BUDGET : 0;
	wf_batch_lock(batch, instances, n, WF_LOCK_NONE);
	wf_batch_load_visits(batch, instances, visits, n);
	for (int i = 0; i < n; i++)
	{
		WfVisit *visit = wf_batch_visit(batch, instances[i], visits[i]);

		if (wf_batch_is_deferred(batch, instances[i], visits[i]))
			left[nleft++] = i;
		else if (visit != NULL && wf_state_wants_request(visit, batch->now))
			prepare_request(out, visit, server);
		else
			wf_in_flight_remove(visits[i]);
	}
	wf_batch_end(batch);
	for (int i = 0; i < nleft; i++)
		prepare_requests(out, server, &instances[left[i]], &visits[left[i]], 1);
}

/* Make the requests; after a crash of the server there is only one, which is recorded first (shmem/careful.h). */
static void
prepare_on_record(Outgoing *out, const WfServer *server, const int64 *instances)
{
	if (wf_careful_begin(WF_PIECE_REQUEST, out->taken[0]) < WF_MOST_DEATHS)
		prepare_requests(out, server, instances, out->taken, out->ntaken);
	else
		out->failing[out->nfailing++] = fail_deadly_request(instances[0], out->taken[0]);
}

/*
 * How many rows to read: as many as there are places. If all rows before were in flight, there are probably more of
 * those, as after a restart of the cursor, so the number grows.
 */
static int
rows_to_look_at(const WfQueueCursor *cursor, int limit)
{
	return cursor->cautious > 0 ? 1 : Min(Max(limit, cursor->skipped), DUE_PER_TRANSACTION);
}

/* Pick up the next rows without asking for their owners. */
static void
collect(Outgoing *out, int limit)
{
	int look = rows_to_look_at(out->cursor, limit);

	out->nkeys = wf_queue_cursor_take(out->cursor, GetCurrentTimestamp(), look, out->keys);
	if (out->nkeys > 0)
		add_all(out, limit);
}

/* ---- while places are few: the rows of owners that may send more ---- */

static bool
is_before(const WfDueKey *a, const WfDueKey *b)
{
	if (a->due_at != b->due_at)
		return a->due_at < b->due_at;
	return a->instance != b->instance ? a->instance < b->instance : a->visit < b->visit;
}

/* Put one visit in flight. It is listed before that, so that undo_look removes it if anything fails. */
static void
add_one(Outgoing *out, const WfDueKey *key, Oid owner, int64 *instances)
{
	instances[out->ntaken] = key->instance;
	out->taken[out->ntaken++] = key->visit;
	(void) wf_in_flight_add(key->instance, key->visit, out->cursor);
	wf_in_flight_set_owner(key->visit, owner);
}

/* Put the visit of a row in flight, if it is not. Returns its owner if that may send no more, or InvalidOid. */
static Oid
take_owned(Outgoing *out, const WfDueKey *key)
{
	Oid	 owner = InvalidOid;
	bool in_flight = wf_in_flight_find(key->visit) != NULL;

	if (!in_flight)
	{
		owner = owner_of(out, key->process_id);
		if (!wf_places_allow(out->dispatcher->http, out->cursor, owner, false, out->ntaken))
			return owner;
	}
	out->keys[out->nkeys++] = *key;
	if (!in_flight)
		add_one(out, key, owner, out->instances);
	return InvalidOid;
}

/*
 * Pick up rows in order, up to the first one whose owner may send no more (blocked_by). Returns true if there may be
 * rows behind the last one that was read.
 */
static bool
take_in_order(Outgoing *out, int limit, WfDueKey *keys)
{
	WfQueueCursor *cursor = out->cursor;
	int			   look = rows_to_look_at(cursor, limit);
	int			   n = wf_due_scan_processes(cursor->queue, &cursor->position, GetCurrentTimestamp(), look, keys);

	cursor->blocked_by = InvalidOid;
	for (int i = 0; i < n; i++)
	{
		if (out->ntaken == limit)
			return true;
		cursor->blocked_by = take_owned(out, &keys[i]);
		if (OidIsValid(cursor->blocked_by))
			return false;
		cursor->position = keys[i];
	}
	cursor->skipped = out->ntaken == 0 ? cursor->skipped + n : 0;
	return n == look;
}

static void
remember_passed(WfQueueCursor *cursor, Oid owner)
{
	for (int i = 0; i < cursor->npassed; i++)
		if (cursor->passed[i] == owner)
			return;
	if (owner != cursor->blocked_by && cursor->npassed < WF_MAX_PASSED)
		cursor->passed[cursor->npassed++] = owner;
}

/*
 * Set `beyond` back to `position`, if that has passed it, or if passed_at has come and an owner whose rows were passed
 * over may send more.
 */
static void
begin_passing(WfDispatcher *dispatcher, WfQueueCursor *cursor, TimestampTz now)
{
	if (!is_before(&cursor->beyond, &cursor->position) &&
		(now < cursor->passed_at || !passed_may_go(dispatcher, cursor)))
		return;
	cursor->beyond = cursor->position;
	cursor->npassed = 0;
	cursor->passed_at = TimestampTzPlusMilliseconds(now, cursor->passing_us * PASSED_CHECK_PART / 1000);
	cursor->passing_us = 0;
}

/*
 * Pick up rows behind that of blocked_by, passing over those of owners that may send no more. Returns true if there may be
 * rows behind the last one that was read.
 */
static bool
take_beyond(Outgoing *out, int limit, WfDueKey *keys)
{
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	int			   n;

	begin_passing(out->dispatcher, cursor, now);
	n = wf_due_scan_processes(cursor->queue, &cursor->beyond, now, DUE_PER_TRANSACTION, keys);
	for (int i = 0; i < n; i++)
	{
		Oid owner;

		if (out->ntaken == limit)
			return true;
		owner = take_owned(out, &keys[i]);
		if (OidIsValid(owner))
			remember_passed(cursor, owner);
		cursor->beyond = keys[i];
	}
	cursor->passing_us += GetCurrentTimestamp() - now;
	return n == DUE_PER_TRANSACTION;
}

/* Pick up the next rows of owners that may send more. */
static void
collect_owned(Outgoing *out, int limit)
{
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	WfDueKey	  *keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	bool		   more;

	more = take_in_order(out, limit, keys);
	if (OidIsValid(cursor->blocked_by))
		more = take_beyond(out, limit, keys);
	if (more)
		cursor->next = now;
	else
		wf_queue_cursor_sleep(cursor, now);
}

/*
 * The server is gone or paused: leave its queue alone until there is such a server that is not paused. Cancel requests
 * that have been due for long fail, so that nobody waits for ever for the end of what was cancelled.
 */
static void
park(Outgoing *out, const char *why)
{
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	WfDueKey	  *keys;
	int			   n;

	cursor->blocked_by = InvalidOid;
	wf_queue_cursor_pause(cursor, DT_NOBEGIN, LONGEST_PAUSE_MS);
	cursor->next = TimestampTzPlusMilliseconds(now, cursor->pause_ms);
	if (cursor->cancels_at > now)
		return;
	cursor->cancels_at = TimestampTzPlusMilliseconds(now, GONE_SERVER_CHECK_MS);
	keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	n = wf_due_cancels(cursor->queue, TimestampTzPlusMilliseconds(now, -CANCEL_PATIENCE_MS), DUE_PER_TRANSACTION, keys);
	out->failing = MemoryContextAllocZero(out->dispatcher->turn_context, sizeof(WfJob) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		WfJob job = {.kind = WF_JOB_FAIL,
					 .instance = keys[i].instance,
					 .visit = keys[i].visit,
					 .fault = {.code = WF_CODE_REQUEST, .message = why}};

		if (wf_in_flight_find(job.visit) == NULL)
			out->failing[out->nfailing++] = job;
	}
}

static bool
is_paused(const WfServer *server)
{
	return server->max_in_flight == 0;
}

/* May only one row be picked up in this look? */
static bool
takes_one(const WfQueueCursor *cursor)
{
	return cursor->cautious > 0 || wf_careful();
}

/* Look at the queue of a server, and make requests for as many rows as may be sent. */
static void
look_at_server(Outgoing *out)
{
	WfDispatcher   *dispatcher = out->dispatcher;
	WfQueueCursor  *cursor = out->cursor;
	const WfServer *server = wf_server_by_name(cursor->server);
	bool			by_owner;
	int				limit;

	if (server == NULL || is_paused(server))
	{
		park(out, server == NULL ? "there is no such server" : "the server is paused");
		return;
	}
	cursor->slots = server->max_in_flight - cursor->in_flight;
	if (cursor->slots <= 0)
		return;
	by_owner = OidIsValid(cursor->blocked_by) || wf_places_free_for_all(dispatcher->http) == 0;
	limit =
		Min(cursor->slots, by_owner ? wf_places_free(dispatcher->http, 0) : wf_places_free_for_all(dispatcher->http));
	limit = takes_one(cursor) ? 1 : Min(limit, DUE_PER_TRANSACTION);
	out->keys = MemoryContextAlloc(dispatcher->turn_context, sizeof(WfDueKey) * 2 * DUE_PER_TRANSACTION);
	out->instances = palloc(sizeof(int64) * limit);
	out->taken = MemoryContextAlloc(dispatcher->turn_context, sizeof(int64) * limit);
	out->failing = MemoryContextAllocZero(dispatcher->turn_context, sizeof(WfJob) * limit);
	if (by_owner)
		collect_owned(out, limit);
	else
		collect(out, limit);
	if (out->ntaken > 0)
	{
		wf_limit_begin(wf_setting_move_timeout);
		prepare_on_record(out, server, out->instances);
		wf_limit_end();
	}
	cursor->cautious -= Min(cursor->cautious, out->nkeys);
	cursor->pause_ms = 0;
	cursor->slots = server->max_in_flight - cursor->in_flight;
}

/* A job that makes a visit fail whose cancel request has waited for a place for too long. */
static WfJob
fail_crowded_out(const WfDueKey *key)
{
	return (WfJob){.kind = WF_JOB_FAIL,
				   .instance = key->instance,
				   .visit = key->visit,
				   .fault = {.code = WF_CODE_TIMEOUT,
							 .message = "the server was busy with other requests for " CppAsString2(
								 CANCEL_PATIENCE_MS) " ms"}};
}

/*
 * Put the visits of the oldest cancel requests in flight. Of the others, those fail that have waited for long enough,
 * if this dispatcher has seen cancel requests wait for so long: a dispatcher that was not there is not the server's
 * fault.
 */
static void
add_cancels(Outgoing *out, const WfDueKey *keys, int n, int places, int64 *instances)
{
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	TimestampTz	   long_ago = TimestampTzPlusMilliseconds(now, -CANCEL_PATIENCE_MS);
	bool		   waits = false;

	for (int i = 0; i < n; i++)
	{
		Oid owner;

		if (wf_in_flight_find(keys[i].visit) != NULL)
			continue;
		owner = owner_of(out, keys[i].process_id);
		if (out->ntaken < places && wf_places_allow(out->dispatcher->http, cursor, owner, true, out->ntaken))
		{
			out->keys[out->nkeys++] = keys[i];
			add_one(out, &keys[i], owner, instances);
			continue;
		}
		waits = true;
		if (keys[i].due_at <= long_ago && cursor->cancels_wait_since != 0 && cursor->cancels_wait_since <= long_ago)
			out->failing[out->nfailing++] = fail_crowded_out(&keys[i]);
	}
	if (!waits)
		cursor->cancels_wait_since = 0;
	else if (cursor->cancels_wait_since == 0)
		cursor->cancels_wait_since = now;
}

/*
 * More is due than there are places for: look for cancel requests alone. A service should not be asked to stop only
 * after all other requests, which may be never: cancel requests overtake what waits, and have some places of their
 * own.
 */
static void
look_at_cancels(Outgoing *out)
{
	WfQueueCursor  *cursor = out->cursor;
	const WfServer *server = wf_server_by_name(cursor->server);
	TimestampTz		now = GetCurrentTimestamp();
	int				limit = DUE_PER_TRANSACTION + cursor->in_flight; /* rows in flight are found, too */
	int				places;
	WfDueKey	   *keys = palloc(sizeof(WfDueKey) * limit);
	int64		   *instances = palloc(sizeof(int64) * limit);
	int				n;

	if (server == NULL || is_paused(server))
		return;
	places = server->max_in_flight + 1 + server->max_in_flight / PLACES_PER_CANCEL - cursor->in_flight;
	places = Min(places, takes_one(cursor) ? 1 : DUE_PER_TRANSACTION);
	n = wf_due_cancels(cursor->queue, now, limit, keys);
	cursor->cancels_at =
		TimestampTzPlusMilliseconds(now, CANCELS_CHECK_MS) + (GetCurrentTimestamp() - now) * CANCELS_CHECK_PART;
	out->keys = MemoryContextAlloc(out->dispatcher->turn_context, sizeof(WfDueKey) * limit);
	out->taken = MemoryContextAlloc(out->dispatcher->turn_context, sizeof(int64) * limit);
	out->failing = MemoryContextAllocZero(out->dispatcher->turn_context, sizeof(WfJob) * limit);
	add_cancels(out, keys, n, places, instances);
	if (out->ntaken == 0)
		return;
	wf_limit_begin(wf_setting_move_timeout);
	prepare_on_record(out, server, instances);
	wf_limit_end();
}

/* Undo a look at the queue: nothing of it stays in flight, and the cursor goes back. */
static void
undo_look(Outgoing *out)
{
	for (int i = 0; i < out->ntaken; i++)
		wf_in_flight_remove(out->taken[i]);
	wf_queue_cursor_rewind(out->cursor, out->keys[0].due_at, DT_NOBEGIN);
}

/*
 * Something was lacking, and no row is to blame. If the look was at a single row, that is looked at again after a
 * pause; otherwise the dispatcher leaves the database alone for a while.
 */
static void
look_again_later(Outgoing *out, WfLack lack, const ErrorData *error)
{
	int pause_ms;

	if (out->nkeys != 1 || out->ntaken == 0)
	{
		if (out->nkeys > 0)
			undo_look(out);
		wf_shortage_begin(out->dispatcher, lack, error);
		return;
	}
	pause_ms = wf_failure_wait(out->keys[0].instance, out->keys[0].visit, lack, error, LONGEST_WAIT_MS);
	wf_in_flight_postpone(out->taken[0], pause_ms);
}

/*
 * A look at the queue has failed. If it was at several rows, look at them one by one (`cautious`), until the one that
 * is to blame stands alone; that one fails.
 */
static void
look_failed(Outgoing *out, const ErrorData *error)
{
	WfLack lack = wf_failure_lack(error);
	WfJob *job;

	out->requests = NIL;
	out->nfailing = 0;
	/* If memory was lacking, one of several rows may be to blame, so these are looked at one by one. */
	if (lack != WF_LACK_NONE && (out->nkeys <= 1 || lack != WF_LACK_MEMORY))
	{
		look_again_later(out, lack, error);
		return;
	}
	if (out->nkeys == 0 && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		return; /* an operator has cancelled this process, and no row is concerned */
	if (out->nkeys == 0)
		ereport(ERROR, errcode(error->sqlerrcode), errmsg("%s", error->message));
	if (out->nkeys > 1)
	{
		undo_look(out);
		out->cursor->cautious = out->nkeys;
		return;
	}
	/*
	 * The visit stays in flight until its job is done. If it was in flight before, that is somebody else's request:
	 * leave it alone.
	 */
	if (out->ntaken == 0 && !wf_in_flight_add(out->keys[0].instance, out->keys[0].visit, out->cursor))
		return;
	job = &out->failing[out->nfailing++];
	memset(job, 0, sizeof(*job));
	job->kind = WF_JOB_FAIL;
	job->instance = out->keys[0].instance;
	job->visit = out->keys[0].visit;
	wf_catch_fault(error, &job->fault);
}

static void
send_all(const Outgoing *out)
{
	ListCell *lc;

	foreach (lc, out->requests)
	{
		const WfHttpRequest *request = lfirst(lc);

		if (!wf_http_send(out->dispatcher->http, request))
			wf_in_flight_postpone((int64) request->tag, LONGEST_LOCK_PAUSE_MS);
	}
	if (out->requests != NIL)
		wf_shortage_canary_sent(out->dispatcher);
	if (out->cursor->counts != NULL)
		out->cursor->counts->requests += list_length(out->requests);
}

static void
look_at_queue(WfDispatcher *dispatcher, WfQueueCursor *cursor, void (*look_at)(Outgoing *out))
{
	Outgoing	 *out;
	WfQueueCursor before = *cursor;
	WfAccess	  access;

	/* Not on the stack: after an error, changes of local variables that are not volatile may be lost. */
	out = MemoryContextAllocZero(dispatcher->turn_context, sizeof(Outgoing));
	out->dispatcher = dispatcher;
	out->cursor = cursor;
	wf_limit_begin(0);
	PG_TRY();
	{
		wf_begin_transaction();
		wf_store_enter(&access);
		look_at(out);
		wf_store_leave(&access);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		if (out->nkeys == 0)
			*cursor = before;
		look_failed(out, wf_catch(dispatcher->turn_context));
	}
	PG_END_TRY();
	wf_careful_end();
	MemoryContextSwitchTo(dispatcher->turn_context);
	send_all(out);
	wf_jobs_run(out->dispatcher, out->failing, out->nfailing);
}

/*
 * While replies cannot be stored, send one request now and then, to find out whether its reply can be. It is that of
 * the first cursor that has a request to send.
 */
static void
call_to_see(WfDispatcher *dispatcher, WfQueueCursor *cursor)
{
	cursor->cancels_wait_since = 0; /* cancel requests wait for the storing of replies, and not for their server */
	if (next_look_at(dispatcher, cursor) > GetCurrentTimestamp() || !has_free_place(dispatcher, cursor) ||
		!wf_shortage_canary(dispatcher))
		return;
	cursor->cautious = Max(cursor->cautious, 1);
	look_at_queue(dispatcher, cursor, look_at_server);
}

/* Send what is due: after a crash one by one, for as long as a turn may take. */
static void
look_at_due(WfDispatcher *dispatcher, WfQueueCursor *cursor)
{
	TimestampTz begin = GetCurrentTimestamp();
	TimestampTz now = begin;

	while (next_look_at(dispatcher, cursor) <= now && has_free_place(dispatcher, cursor))
	{
		look_at_queue(dispatcher, cursor, look_at_server);
		now = GetCurrentTimestamp();
		if (!wf_careful() || wf_shortage_lasts(dispatcher) || TimestampDifferenceExceeds(begin, now, LONGEST_LOOKS_MS))
			return;
	}
}

void
wf_requests_call(WfDispatcher *dispatcher, WfQueueCursor *cursor)
{
	if (wf_shortage_holds_back(dispatcher))
	{
		call_to_see(dispatcher, cursor);
		return;
	}
	look_at_due(dispatcher, cursor);
	if (cursor->next > GetCurrentTimestamp() && !OidIsValid(cursor->blocked_by))
		cursor->cancels_wait_since = 0;
	else if (cursor->cancels_at <= GetCurrentTimestamp())
		look_at_queue(dispatcher, cursor, look_at_cancels);
}

/* ---- requests that nobody wants any more ---- */

/* Are there rows of this server that wait for places? */
static bool
is_held_up(WfDispatcher *dispatcher, const WfQueueCursor *cursor, TimestampTz now)
{
	return cursor->server != NULL &&
		   (OidIsValid(cursor->blocked_by) || (cursor->next <= now && !may_call(dispatcher, cursor)));
}

/*
 * Does any row wait for a place? *crowded: for one of the client, and not only of its own server. To be called inside
 * wf_store_enter.
 */
static bool
anything_waits(WfDispatcher *dispatcher, TimestampTz now, bool *crowded)
{
	bool			waits = false;
	int				n;
	WfQueueCursor **cursors = wf_queue_cursors_all(&n);

	*crowded = false;
	for (int i = 0; i < n; i++)
	{
		if (!is_held_up(dispatcher, cursors[i], now) || !wf_queue_cursor_has_due(cursors[i], now))
			continue;
		waits = true;
		*crowded |= cursors[i]->slots > 0;
	}
	return waits;
}

/*
 * Find visits that have ended, or were moved on, while their requests are in flight, if those may take places that
 * others wait for. Writes them to `gone`, and returns how many.
 */
static int
find_abandoned(WfDispatcher *dispatcher, bool crowded, int64 *gone)
{
	int		max = wf_http_in_flight(dispatcher->http);
	uint64 *tags = palloc(sizeof(uint64) * Max(max, 1));
	int64  *instances = palloc(sizeof(int64) * Max(max, 1));
	int64  *visits = palloc(sizeof(int64) * Max(max, 1));
	int		older = wf_http_older(dispatcher->http, ABANDONED_CHECK_MS, tags);
	int		n = 0;

	for (int i = 0; i < older; i++)
	{
		WfInFlight *entry = wf_in_flight_find((int64) tags[i]);

		if (entry == NULL || entry->cursor == NULL || (!crowded && entry->cursor->slots > 0))
			continue;
		instances[n] = entry->instance;
		visits[n++] = entry->visit;
	}
	return n > 0 ? wf_visits_not_calling(instances, visits, n, gone) : 0;
}

typedef struct Abandoned
{
	TimestampTz now;
	int64	   *visits;
	int			n;
} Abandoned;

static void
look_for_abandoned(WfDispatcher *dispatcher, void *arg)
{
	Abandoned *abandoned = arg;
	bool	   crowded;

	if (anything_waits(dispatcher, abandoned->now, &crowded))
		abandoned->n = find_abandoned(dispatcher, crowded, abandoned->visits);
}

/*
 * A session that ends a visit cannot abort the visit's request, which may hang for hours. So the dispatcher aborts it,
 * but only if rows wait for places, since it has to look at all requests in flight for that.
 */
void
wf_requests_abort_abandoned(WfDispatcher *dispatcher)
{
	TimestampTz		now = GetCurrentTimestamp();
	Abandoned		abandoned = {.now = now};
	bool			held_up = false;
	WfQueueCursor **cursors;
	int				n;

	cursors = wf_queue_cursors_all(&n);
	for (int i = 0; i < n && dispatcher->abandoned_at <= now; i++)
		held_up |= is_held_up(dispatcher, cursors[i], now);
	if (!held_up)
		return;
	dispatcher->abandoned_at = TimestampTzPlusMilliseconds(now, ABANDONED_CHECK_MS);
	abandoned.visits = palloc(sizeof(int64) * Max(wf_http_in_flight(dispatcher->http), 1));
	if (!wf_small_transaction(dispatcher, look_for_abandoned, &abandoned))
		return;
	for (int i = 0; i < abandoned.n; i++)
	{
		(void) wf_http_abort(dispatcher->http, (uint64) abandoned.visits[i]);
		wf_in_flight_remove(abandoned.visits[i]);
	}
}
