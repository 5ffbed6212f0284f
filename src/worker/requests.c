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
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "http/server.h"
#include "shmem/careful.h"
#include "shmem/settings.h"
#include "store/access.h"
#include "store/due.h"
#include "store/durable.h"
#include "store/kept_headers.h"
#include "worker/dispatcher_internal.h"
#include "worker/http_codec.h"
#include "worker/failure.h"
#include "worker/in_flight.h"
#include "worker/limit.h"
#include "worker/pick_up.h"
#include "worker/places.h"
#include "worker/token.h"
#include "worker/worker.h"

/* A server has places beyond max_in_flight for cancel requests: one, and one more for each so many of its places. */
#define PLACES_PER_CANCEL 8
/*
 * While more is due than may be sent, cancel requests are looked for at most so often, and so seldom that it takes at
 * most 1/CANCELS_CHECK_PART of the time.
 */
#define CANCELS_CHECK_MS   1000
#define CANCELS_CHECK_PART 20
/* After a crash a look is at a single row, so there are several in a turn, for so long. */
#define LONGEST_LOOKS_MS 50
/* For a server that is gone or paused, cancel requests are looked for so often, since that reads all of its queue. */
#define GONE_SERVER_CHECK_MS 5000

/* Make the request of a visit; if that fails, a job that makes the visit fail. */
static void
prepare_request(WfOutgoing *out, WfVisit *visit, const WfServer *server)
{
	MemoryContext  old = MemoryContextSwitchTo(out->dispatcher->turn_context);
	WfHttpRequest *request = palloc(sizeof(WfHttpRequest));
	WfFault		   fault = {0};
	Oid			   owner = wf_pick_up_owner(out, visit->instance->process->process_id);
	bool		   is_cancel = visit->state == WF_STATE_CANCELLING;
	WfJob		  *job;

	wf_in_flight_set_owner(visit->id, owner);
	wf_in_flight_set_kind(visit->id, !is_cancel && out->cursor->breaker->state == WF_SERVER_PROBING, is_cancel);
	if (wf_http_request(visit, server, owner, request, &fault))
	{
		if (wf_token_add(out->cursor, server, owner, request))
		{
			out->requests = lappend(out->requests, request);
			wf_in_flight_note_sent(visit->id, visit->attempt + 1);
		}
	}
	else
	{
		job = &out->failing[out->nfailing++];
		job->kind = WF_JOB_FAIL;
		job->instance = visit->instance->id;
		job->visit = visit->id;
		job->fault = fault;
		/* a file with a secret cannot be read, which may be over soon */
		job->attempt = job->retryable = strcmp(fault.code, WF_CODE_AUTH) == 0;
		if (job->attempt && out->cursor->counts != NULL)
			wf_server_count_failure(out->cursor->counts, WF_FAILURE_AUTH);
	}
	MemoryContextSwitchTo(old);
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
prepare_requests(WfOutgoing *out, const WfServer *server, const int64 *instances, const int64 *visits, int n)
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
		else if (visit != NULL && wf_state_wants_request(visit, batch->now) && wf_kept_headers_read(batch, visit))
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
prepare_on_record(WfOutgoing *out, const WfServer *server, const int64 *instances)
{
	if (wf_careful_begin(WF_PIECE_REQUEST, out->taken[0]) < WF_MOST_DEATHS)
		prepare_requests(out, server, instances, out->taken, out->ntaken);
	else
		out->failing[out->nfailing++] = fail_deadly_request(instances[0], out->taken[0]);
}

/*
 * The server is gone or paused: leave its queue alone until there is such a server that is not paused. Cancel requests
 * that have been due for long fail, so that nobody waits for ever for the end of what was cancelled.
 */
static void
park(WfOutgoing *out, const char *why)
{
	WfQueueCursor *cursor = out->cursor;
	TimestampTz	   now = GetCurrentTimestamp();
	WfDueKey	  *keys;
	int			   n;

	wf_lines_clear(cursor->lines);
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

/*
 * How many requests may be sent to a server now. Those that it has no place for wait until a request has ended (slots);
 * those that its breaker or its rate holds back wait for their time (held_until).
 */
static int
places_now(WfQueueCursor *cursor, const WfServer *server)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOBEGIN;
	int			by_breaker = wf_breaker_places(cursor->breaker, server, cursor->probes, now);
	int			by_rate = wf_rate_places(&cursor->rate, server, now, &next);
	bool		tripped = cursor->breaker->state == WF_SERVER_TRIPPED;

	cursor->held_until = tripped ? Max(cursor->breaker->until, next) : next;
	cursor->slots = server->max_in_flight - cursor->in_flight;
	if (!tripped)
		cursor->slots = Min(cursor->slots, by_breaker);
	return tripped ? 0 : Min(cursor->slots, by_rate);
}

/* Look at the queue of a server, and make requests for as many rows as may be sent. */
static void
look_at_server(WfOutgoing *out)
{
	WfDispatcher   *dispatcher = out->dispatcher;
	WfQueueCursor  *cursor = out->cursor;
	const WfServer *server = wf_server_by_name(cursor->server);
	bool			by_owner;
	int				may_send;
	int				limit;

	if (server == NULL || is_paused(server))
	{
		park(out, server == NULL ? "there is no such server" : "the server is paused");
		return;
	}
	may_send = places_now(cursor, server);
	if (may_send <= 0)
		return;
	by_owner = wf_pick_up_asks_owners(dispatcher, cursor);
	limit = Min(may_send, by_owner ? wf_places_free(dispatcher->http, 0) : wf_places_free_for_all(dispatcher->http));
	limit = wf_pick_up_takes_one(cursor) ? 1 : Min(limit, DUE_PER_TRANSACTION);
	out->keys = MemoryContextAlloc(dispatcher->turn_context, sizeof(WfDueKey) * limit);
	out->instances = palloc(sizeof(int64) * limit);
	out->taken = MemoryContextAlloc(dispatcher->turn_context, sizeof(int64) * limit);
	out->failing = MemoryContextAllocZero(dispatcher->turn_context, sizeof(WfJob) * limit);
	wf_pick_up(out, by_owner, limit);
	if (out->ntaken > 0)
	{
		wf_limit_begin(wf_setting_move_timeout);
		prepare_on_record(out, server, out->instances);
		wf_limit_end();
	}
	cursor->cautious -= Min(cursor->cautious, out->nkeys);
	cursor->pause_ms = 0;
	wf_rate_take(&cursor->rate, list_length(out->requests));
	(void) places_now(cursor, server);
}

/*
 * More is due than there are places for: look for cancel requests alone. A service should not be asked to stop only
 * after all other requests, which may be never: cancel requests overtake what waits, and have some places of their
 * own.
 */
static void
look_at_cancels(WfOutgoing *out)
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
	{
		/* nobody tells of a server that is dropped: let the next look park its queue */
		cursor->held_until = DT_NOBEGIN;
		return;
	}
	places = server->max_in_flight + 1 + server->max_in_flight / PLACES_PER_CANCEL - cursor->in_flight;
	places = Min(places, wf_pick_up_takes_one(cursor) ? 1 : DUE_PER_TRANSACTION);
	n = wf_due_cancels(cursor->queue, now, limit, keys);
	cursor->cancels_at =
		TimestampTzPlusMilliseconds(now, CANCELS_CHECK_MS) + (GetCurrentTimestamp() - now) * CANCELS_CHECK_PART;
	out->keys = MemoryContextAlloc(out->dispatcher->turn_context, sizeof(WfDueKey) * limit);
	out->taken = MemoryContextAlloc(out->dispatcher->turn_context, sizeof(int64) * limit);
	out->failing = MemoryContextAllocZero(out->dispatcher->turn_context, sizeof(WfJob) * limit);
	wf_pick_up_cancels(out, keys, n, places, instances);
	if (out->ntaken == 0)
		return;
	wf_limit_begin(wf_setting_move_timeout);
	prepare_on_record(out, server, instances);
	wf_limit_end();
	wf_rate_take(&cursor->rate, list_length(out->requests));
}

/*
 * What was read may be in no standby, and never be: what a commit has made due whose wait was cut short. If that is
 * since the postmaster has died, this process should not be here either.
 */
static void
require_confirmed(void)
{
	wf_durable_require_due();
	if (!PostmasterIsAliveInternal()) /* PostmasterIsAlive() may learn of it a moment later than who was let go */
		proc_exit(1);
}

/* Undo a look at the queue: nothing of it stays in flight, and the cursor goes back. */
static void
undo_look(WfOutgoing *out)
{
	TimestampTz first = WF_NEVER;

	for (int i = 0; i < out->ntaken; i++)
		wf_in_flight_remove(out->taken[i]);
	for (int i = 0; i < out->nkeys; i++)
		first = Min(first, out->keys[i].due_at);
	wf_queue_cursor_rewind(out->cursor, first, DT_NOBEGIN);
}

/*
 * Something was lacking, and no row is to blame. If the look was at a single row, that is looked at again after a
 * pause; otherwise the dispatcher leaves the database alone for a while.
 */
static void
look_again_later(WfOutgoing *out, WfLack lack, const ErrorData *error)
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
look_failed(WfOutgoing *out, const ErrorData *error)
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
send_all(const WfOutgoing *out)
{
	ListCell *lc;

	foreach (lc, out->requests)
	{
		const WfHttpRequest *request = lfirst(lc);

		if (!wf_http_send(out->dispatcher->http, request))
			wf_in_flight_postpone((int64) request->tag, LONGEST_LOCK_PAUSE_MS);
	}
	wf_tokens_send(out->dispatcher->http);
	if (out->requests != NIL)
		wf_shortage_canary_sent(out->dispatcher);
	if (out->cursor->counts != NULL)
		out->cursor->counts->requests += list_length(out->requests);
}

static void
look_at_queue(WfDispatcher *dispatcher, WfQueueCursor *cursor, void (*look_at)(WfOutgoing *out))
{
	WfOutgoing	 *out;
	WfQueueCursor before = *cursor;
	WfAccess	  access;

	/* Not on the stack: after an error, changes of local variables that are not volatile may be lost. */
	out = MemoryContextAllocZero(dispatcher->turn_context, sizeof(WfOutgoing));
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
	if (out->requests != NIL)
		require_confirmed();
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
	if (wf_pick_up_next(dispatcher, cursor) > GetCurrentTimestamp() || !wf_pick_up_has_place(dispatcher, cursor) ||
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

	while (wf_pick_up_next(dispatcher, cursor) <= now && wf_pick_up_has_place(dispatcher, cursor))
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
	wf_breaker_tell(cursor->breaker);
	if (wf_shortage_holds_back(dispatcher))
	{
		call_to_see(dispatcher, cursor);
		return;
	}
	look_at_due(dispatcher, cursor);
	if (wf_pick_up_reads_ahead(cursor) <= GetCurrentTimestamp())
		look_at_queue(dispatcher, cursor, wf_pick_up_read_ahead);
	if (cursor->next > GetCurrentTimestamp() && !wf_lines_wait(cursor->lines))
		cursor->cancels_wait_since = 0;
	else if (cursor->cancels_at <= GetCurrentTimestamp())
		look_at_queue(dispatcher, cursor, look_at_cancels);
}
