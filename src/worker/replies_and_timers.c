/*
 * replies_and_timers.c
 *		Replies, timers and deliveries, which the dispatcher handles.
 *
 * They become jobs, which moves.c carries out. By their verdicts this file then decides what becomes of the visits in
 * flight, of the replies in memory, and of the cursors.
 */
#include "compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/counters.h"
#include "shmem/wakeups.h"
#include "shmem/settings.h"
#include "store/delivery.h"
#include "store/due.h"
#include "store/executor_work.h"
#include "worker/dispatcher_internal.h"
#include "worker/failure.h"
#include "worker/in_flight.h"
#include "worker/token.h"
#include "worker/worker.h"

#define REPLIES_PER_TRANSACTION 256
/* Bytes of bodies, which the last one may exceed. As jsonb in memory they take many times that. */
#define REPLY_BYTES_PER_TRANSACTION (4 * 1024 * 1024)

/* ---- the outcome of a job, by its verdict and its origin ---- */

typedef void (*Outcome)(WfDispatcher *dispatcher, const WfJob *job);

static void
nothing(WfDispatcher *dispatcher, const WfJob *job)
{
}

static void
remove_visit(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_remove(job->visit);
}

/* The reply is stored as a delivery. Until that is applied, the row of the visit must not lead to a second request. */
static void
park_visit(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_park(job->visit);
}

static void
await_executor(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_hand_over(job->visit);
}

/*
 * A timer has ended the visit, or moved it on, so that nobody wants the reply any more. If the visit still awaits it (a
 * handler that does not interrupt, a cancel request that has to follow it), or it is there and waits, nothing is done.
 */
static void
abort_request(WfDispatcher *dispatcher, const WfJob *job)
{
	if (job->awaits || wf_in_flight_awaits_delivery(job->visit))
		return;
	(void) wf_http_abort(dispatcher->http, (uint64) job->visit);
	wf_in_flight_remove(job->visit);
}

static void
keep_reply(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_keep(job->visit, unconstify(WfHttpReply *, job->reply),
					  TimestampTzPlusMilliseconds(GetCurrentTimestamp(), job->pause_ms));
}

static void
make_after_unlock(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_see_again(job->visit, LONGEST_LOCK_PAUSE_MS);
}

static void
make_after_pause(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_postpone(job->visit, job->pause_ms);
}

/* Not even an incident could be made of the visit: send its request again after a long pause. */
static void
send_again(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_postpone(job->visit, LONGEST_PAUSE_MS);
}

/* What a job was about, even if it has become one that fails. */
typedef enum Origin
{
	REPLY,	  /* a reply in memory */
	DELIVERY, /* a reply in a row, which is found again; its visit is parked */
	CLOCK,	  /* a timer or due time, in a row or a delivery, which is found again; its visit may be in flight */
	REQUEST	  /* a request that could not be made; its visit is in flight */
} Origin;

static const Outcome outcomes[][4] = {
	/*						 REPLY			 DELIVERY		 CLOCK			REQUEST */
	[WF_JOB_DONE] = {remove_visit, remove_visit, abort_request, remove_visit},
	[WF_JOB_GONE] = {remove_visit, remove_visit, abort_request, remove_visit},
	[WF_JOB_LOCKED] = {park_visit, park_visit, nothing, make_after_unlock},
	[WF_JOB_SUSPENDED] = {park_visit, park_visit, nothing, remove_visit},
	[WF_JOB_UNMOVED] = {remove_visit, remove_visit, nothing, remove_visit},
	[WF_JOB_HANDED_OVER] = {await_executor, await_executor, abort_request, await_executor},
	[WF_JOB_SHORT] = {keep_reply, nothing, nothing, make_after_pause},
	[WF_JOB_STUCK] = {send_again, nothing, nothing, send_again},
};

StaticAssertDecl(lengthof(outcomes) == WF_JOB_STUCK + 1, "each verdict has its row");

static Origin
origin_of(const WfJob *job)
{
	if (job->reply != NULL)
		return REPLY;
	if (job->delivery != 0)
		return job->deliver->keeps_in_flight ? DELIVERY : CLOCK;
	return job->kind == WF_JOB_FAIL ? REQUEST : CLOCK;
}

static void
after_job(WfDispatcher *dispatcher, const WfJob *job)
{
	dispatcher->skipped_locked |= job->verdict == WF_JOB_LOCKED;
	outcomes[job->verdict][origin_of(job)](dispatcher, job);
}

/* ---- jobs ---- */

void
wf_jobs_run(WfDispatcher *dispatcher, WfJob *jobs, int n)
{
	wf_moves_run(jobs, n, wf_setting_move_timeout, true);
	wf_count_handled(n);
	for (int i = 0; i < n; i++)
		after_job(dispatcher, &jobs[i]);
}

bool
wf_jobs_try_events(WfDispatcher *dispatcher, WfJob *jobs, int n, void (*rest)(const WfJob *jobs, int n, void *arg),
				   void *arg)
{
	if (!wf_moves_try(jobs, n, wf_setting_move_timeout, rest, arg))
		return false;
	for (int i = 0; i < n; i++)
		after_job(dispatcher, &jobs[i]);
	return true;
}

/* Where the server of a visit in flight is counted; NULL: nowhere. */
static WfServerCounts *
counts_of(const WfInFlight *entry)
{
	return entry != NULL && entry->cursor != NULL ? entry->cursor->counts : NULL;
}

static WfFailureKind
failure_of_status(int status)
{
	switch (status / 100)
	{
		case 3:
			return WF_FAILURE_3XX;
		case 4:
			return status == 429 ? WF_FAILURE_429 : WF_FAILURE_4XX;
		case 5:
			return WF_FAILURE_5XX;
		default:
			return WF_FAILURE_OTHER;
	}
}

static void
count_reply(WfServerCounts *counts, const WfHttpReply *reply)
{
	static const WfFailureKind kinds[] = {
		[WF_HTTP_CONNECT] = WF_FAILURE_CONNECT,	  [WF_HTTP_TIMEOUT] = WF_FAILURE_TIMEOUT,
		[WF_HTTP_TOO_LARGE] = WF_FAILURE_REPLY,	  [WF_HTTP_CROWDED_OUT] = WF_FAILURE_REPLY,
		[WF_HTTP_NO_MEMORY] = WF_FAILURE_CONNECT, /* never comes here */
		[WF_HTTP_REFUSED] = WF_FAILURE_REQUEST,
	};

	if (counts == NULL)
		return;
	wf_server_count_elapsed(counts, reply->elapsed_us);
	if (reply->verdict != WF_HTTP_ANSWERED)
		wf_server_count_failure(counts, kinds[reply->verdict]);
	else if (reply->status / 100 != 2)
		wf_server_count_failure(counts, failure_of_status(reply->status));
}

static void
count_answer(const WfJob *job)
{
	WfServerCounts *counts = counts_of(wf_in_flight_find(job->visit));

	count_reply(counts, job->reply);
	if (counts != NULL && job->retried)
		counts->retries++;
}

/*
 * Run jobs for replies. A reply is released then, unless it is kept. `again` says that they were kept before, and so
 * are counted already.
 */
static void
run_replies(WfDispatcher *dispatcher, WfJob *jobs, int n, bool again)
{
	bool stored = false;

	wf_moves_run(jobs, n, wf_setting_move_timeout, true);
	wf_count_handled(n);
	for (int i = 0; i < n; i++)
	{
		if (!again)
			count_answer(&jobs[i]);
		after_job(dispatcher, &jobs[i]);
		if (jobs[i].verdict == WF_JOB_SHORT)
			continue;
		wf_http_release(dispatcher->http, unconstify(WfHttpReply *, jobs[i].reply));
		stored |= jobs[i].verdict != WF_JOB_STUCK;
	}
	if (stored)
		wf_in_flight_stored();
}

/* Let the breaker of its server know of a reply. Returns true if the request was a probe that has failed. */
static bool
count_for_breaker(WfInFlight *entry, const WfHttpReply *reply)
{
	if (entry->cursor == NULL || entry->cancel)
		return false;
	entry->held =
		wf_breaker_count(entry->cursor->breaker, entry->visit, entry->sent, entry->probe, reply, GetCurrentTimestamp());
	return entry->held;
}

/* There was no memory for the answer: no attempt is counted, and the visit's row is looked at again after a pause. */
static void
send_later(const WfInFlight *entry, const WfHttpReply *reply)
{
	ErrorData error = {.sqlerrcode = ERRCODE_OUT_OF_MEMORY, .message = unconstify(char *, reply->message)};

	wf_in_flight_postpone(entry->visit,
						  wf_failure_wait(entry->instance, entry->visit, WF_LACK_MEMORY, &error, LONGEST_WAIT_MS));
}

/*
 * Handle a batch of finished requests. Returns true if it was a full one, so that there may be more. If the bodies are
 * large, the batch is not full, and the rest is handled in the next turn, after turn_context was reset.
 */
bool
wf_replies_take(WfDispatcher *dispatcher)
{
	WfJob		*jobs = NULL;
	WfHttpReply *reply;
	size_t		 bytes = 0;
	int			 n = 0;

	while (n < REPLIES_PER_TRANSACTION && bytes < REPLY_BYTES_PER_TRANSACTION &&
		   (reply = wf_http_next(dispatcher->http)) != NULL)
	{
		WfInFlight *entry;

		if (wf_is_token_tag(reply->tag))
		{
			wf_token_take(reply);
			wf_http_release(dispatcher->http, reply);
			continue;
		}
		entry = wf_in_flight_find((int64) reply->tag);
		if (entry != NULL && entry->token != 0 && wf_token_rejected(entry->visit, entry->token, reply))
		{
			count_reply(counts_of(entry), reply);
			wf_in_flight_postpone(entry->visit, 0);
			entry = NULL;
		}
		if (entry != NULL && reply->verdict == WF_HTTP_NO_MEMORY)
			send_later(entry, reply);
		if (entry == NULL || reply->verdict == WF_HTTP_NO_MEMORY)
		{
			wf_http_release(dispatcher->http, reply);
			continue;
		}
		if (jobs == NULL)
			jobs = palloc0(sizeof(WfJob) * REPLIES_PER_TRANSACTION);
		jobs[n].kind = WF_JOB_REPLY;
		jobs[n].instance = entry->instance;
		jobs[n].visit = entry->visit;
		jobs[n].held = count_for_breaker(entry, reply);
		jobs[n++].reply = reply;
		bytes += reply->body_len;
	}
	run_replies(dispatcher, jobs, n, false);
	return n == REPLIES_PER_TRANSACTION;
}

/* Handle replies again that could not be stored, and whose pause is over. */
void
wf_replies_retry_kept(WfDispatcher *dispatcher)
{
	WfInFlight *due;
	WfJob	   *jobs;
	int			n;

	if (wf_in_flight_kept_next() > GetCurrentTimestamp())
		return;
	due = palloc(sizeof(WfInFlight) * REPLIES_PER_TRANSACTION);
	n = wf_in_flight_kept(GetCurrentTimestamp(), REPLIES_PER_TRANSACTION, REPLY_BYTES_PER_TRANSACTION, due);
	jobs = palloc0(sizeof(WfJob) * Max(n, 1));
	for (int i = 0; i < n; i++)
		jobs[i] = (WfJob){.kind = WF_JOB_REPLY,
						  .instance = due[i].instance,
						  .visit = due[i].visit,
						  .reply = due[i].kept,
						  .held = due[i].held};
	run_replies(dispatcher, jobs, n, true);
}

typedef struct Taking
{
	WfQueueCursor *cursor;
	WfDueKey	  *keys;
	int			   limit;
	int			   n;
} Taking;

static void
take_keys(WfDispatcher *dispatcher, void *arg)
{
	Taking *taking = arg;

	taking->n = wf_queue_cursor_take(taking->cursor, GetCurrentTimestamp(), taking->limit, taking->keys);
}

/*
 * Does a visit that is due, or whose timer has come, have to wait for its request? A visit in queue `move` whose
 * callback was accepted early waits for the reply that is in flight: that comes first, and then the callback ends the
 * visit; if no request is in flight, there is nothing to wait for. A timer waits only for a reply that is there already, as a delivery or in memory.
 */
static bool
has_to_wait(WfQueueCursor *cursor, WfJobKind kind, const WfDueKey *key)
{
	WfInFlight *entry = wf_in_flight_find(key->visit);

	if (entry == NULL)
		return false;
	if (kind == WF_JOB_DUE && entry->later)
	{
		wf_in_flight_remove(key->visit);
		return false;
	}
	if (kind == WF_JOB_DUE)
		return true;
	if (!wf_in_flight_awaits_delivery(key->visit))
		return false;
	wf_queue_cursor_leave(cursor, key->due_at, LONGEST_LOCK_PAUSE_MS);
	return true;
}

static int
longest_pause(const WfJob *job)
{
	return job->verdict == WF_JOB_LOCKED || job->lack == WF_LACK_CONFLICT ? LONGEST_LOCK_PAUSE_MS : LONGEST_PAUSE_MS;
}

void
wf_timers_fire(WfDispatcher *dispatcher, WfQueueCursor *cursor, WfJobKind kind)
{
	Taking		  taking = {.cursor = cursor, .limit = DUE_PER_TRANSACTION};
	WfQueueCursor before = *cursor;
	WfJob		 *jobs;
	int			  njobs = 0;

	if (cursor->next > GetCurrentTimestamp())
		return;
	taking.keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	if (!wf_small_transaction(dispatcher, take_keys, &taking))
	{
		*cursor = before;
		return;
	}
	jobs = palloc0(sizeof(WfJob) * DUE_PER_TRANSACTION);
	for (int i = 0; i < taking.n; i++)
	{
		if (has_to_wait(cursor, kind, &taking.keys[i]))
			continue;
		jobs[njobs].kind = kind;
		jobs[njobs].instance = taking.keys[i].instance;
		jobs[njobs++].visit = taking.keys[i].visit;
	}
	wf_jobs_run(dispatcher, jobs, njobs);
	for (int i = 0; i < njobs; i++)
		if (wf_job_is_undone(&jobs[i]) || jobs[i].verdict == WF_JOB_UNMOVED)
			wf_queue_cursor_leave(cursor, taking.keys[0].due_at, longest_pause(&jobs[i]));
	/* The cursor goes back to rows that were left only after it has come to the end, so that others are not held up. */
	if (taking.n < DUE_PER_TRANSACTION)
		wf_queue_cursor_at_end(cursor);
}

/* ---- deliveries, which had to wait for a lock or for other deliveries ---- */

/* Deliveries that are applied together. Jobs of one instance stand together, in the order of their deliveries. */
typedef struct Taken
{
	MemoryContext context; /* the arrays are allocated there */
	TimestampTz	  horizon; /* deliveries that are due by then are taken */
	WfJob		 *jobs;
	int			 *attempts; /* for each job: how often its delivery was tried */
	int			  n;
	int64		 *followed; /* visits whose replies went to executors, behind earlier deliveries there */
	int			  nfollowed;
} Taken;

static bool
can_be_taken(const WfDelivery *delivery, TimestampTz horizon)
{
	/* A delivery in the queue for suspended instances is taken, too: moves.c looks whether its instance still is. */
	return strcmp(delivery->queue, WF_QUEUE_SUSPENDED) == 0 ||
		   (strcmp(delivery->queue, WF_QUEUE_MOVE) == 0 && delivery->due_at <= horizon);
}

/* An executor applies the first delivery of an instance, so let those behind it go to its queue. */
static void
follow_job(Taken *taken, const WfDelivery *first)
{
	int64 *visits;
	int	   n = wf_deliveries_follow(first->instance, first->queue, first->due_at, &visits);

	if (taken->followed == NULL)
		taken->followed = palloc(sizeof(int64) * Max(n, 1));
	else
		taken->followed = repalloc_huge(taken->followed, sizeof(int64) * (taken->nfollowed + n));
	memcpy(taken->followed + taken->nfollowed, visits, sizeof(int64) * n);
	taken->nfollowed += n;
}

static void
add_delivery(Taken *taken, const WfDelivery *delivery)
{
	WfJob *job = &taken->jobs[taken->n];

	*job = (WfJob){.kind = WF_JOB_DELIVERY,
				   .instance = delivery->instance,
				   .visit = delivery->visit,
				   .delivery = delivery->id,
				   .deliver = wf_delivery_kind(delivery->kind),
				   .payload = delivery->payload};
	if (job->deliver == NULL)
		elog(ERROR, "delivery " INT64_FORMAT " is for no instance", delivery->id);
	taken->attempts[taken->n++] = delivery->attempt;
}

/* Take the deliveries of an instance that can be applied, from the first on. If that one cannot, the others wait. */
static void
take_instance(Taken *taken, const WfDelivery *waiting, int n)
{
	int before = taken->n;

	for (int i = 0; i < n && can_be_taken(&waiting[i], taken->horizon); i++)
		add_delivery(taken, &waiting[i]);
	if (taken->n > before)
		return;
	if (wf_is_executor_queue(waiting[0].queue))
		follow_job(taken, &waiting[0]);
	else
		wf_deliveries_postpone(&waiting[0].instance, &waiting[0].due_at, 1);
}

/* Take a batch of deliveries. If none is due, find out when the next one will be. */
static void
take_deliveries(WfDispatcher *dispatcher, void *arg)
{
	Taken		 *taken = arg;
	MemoryContext old = MemoryContextSwitchTo(taken->context);
	int64		 *instances = palloc(sizeof(int64) * DUE_PER_TRANSACTION);
	WfDelivery	 *waiting = NULL;
	int			  n = wf_deliveries_due(WF_QUEUE_MOVE, taken->horizon, DUE_PER_TRANSACTION, instances);
	int			  end;

	if (n == 0)
	{
		TimestampTz next = wf_delivery_next(WF_QUEUE_MOVE);

		dispatcher->deliveries_at = next != 0 ? next : WF_NEVER;
	}
	else
		n = wf_deliveries_waiting(instances, n, DUE_PER_TRANSACTION, REPLY_BYTES_PER_TRANSACTION, &waiting);
	taken->jobs = palloc(sizeof(WfJob) * Max(n, 1));
	taken->attempts = palloc(sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i = end)
	{
		for (end = i + 1; end < n && waiting[end].instance == waiting[i].instance; end++)
			;
		take_instance(taken, &waiting[i], end - i);
	}
	MemoryContextSwitchTo(old);
}

typedef struct Postponement
{
	int64		*instances;
	TimestampTz *due_at;
	int			 n;
} Postponement;

static void
postpone_instances(WfDispatcher *dispatcher, void *arg)
{
	const Postponement *postponement = arg;

	wf_deliveries_postpone(postponement->instances, postponement->due_at, postponement->n);
}

/*
 * Find the instances whose deliveries still wait, and until when they are postponed: until the first of them that has
 * failed is to be tried again.
 */
static void
find_postponed(const Taken *taken, Postponement *postponed)
{
	TimestampTz now = GetCurrentTimestamp();

	postponed->instances = palloc(sizeof(int64) * taken->n);
	postponed->due_at = palloc(sizeof(TimestampTz) * taken->n);
	postponed->n = 0;
	for (int i = 0; i < taken->n; i++)
	{
		const WfJob *job = &taken->jobs[i];

		if (!wf_job_is_undone(job) || (postponed->n > 0 && postponed->instances[postponed->n - 1] == job->instance))
			continue;
		postponed->instances[postponed->n] = job->instance;
		postponed->due_at[postponed->n++] =
			TimestampTzPlusMilliseconds(now, Min(10 << Min(taken->attempts[i], 13), longest_pause(job)));
	}
}

/*
 * Apply a batch of deliveries that are due. If the end of a lock has woken the dispatcher, those that would be tried
 * within the longest pause are taken as well, since that lock may have been theirs.
 */
void
wf_deliveries_take(WfDispatcher *dispatcher)
{
	TimestampTz	 now = GetCurrentTimestamp();
	bool		 unlocked = dispatcher->deliveries_at == DT_NOBEGIN;
	Taken		 taken = {.context = CurrentMemoryContext, .horizon = now};
	Postponement postponed;

	if (dispatcher->deliveries_at > now)
		return;
	if (unlocked)
		taken.horizon = TimestampTzPlusMilliseconds(now, LONGEST_LOCK_PAUSE_MS);
	if (!wf_small_transaction(dispatcher, take_deliveries, &taken))
		return;
	for (int i = 0; i < taken.nfollowed; i++)
		wf_in_flight_hand_over(taken.followed[i]);
	wf_moves_run(taken.jobs, taken.n, wf_setting_move_timeout, true);
	for (int i = 0; i < taken.n; i++)
		after_job(dispatcher, &taken.jobs[i]);
	find_postponed(&taken, &postponed);
	if (unlocked && (taken.n < DUE_PER_TRANSACTION || postponed.n > 0))
		dispatcher->deliveries_at = Max(dispatcher->deliveries_at, now);
	if (postponed.n > 0)
		(void) wf_small_transaction(dispatcher, postpone_instances, &postponed);
}

/* ---- replies that executors have delivered ---- */

typedef struct Waiting
{
	int64	   *instances; /* instances of visits whose replies were handed over */
	int			n;		   /* in the end: visits that are in flight no longer */
	WfReplyKey *replies;   /* those of their replies that still wait */
	int			nreplies;
} Waiting;

static void
find_waiting(WfDispatcher *dispatcher, void *arg)
{
	Waiting *waiting = arg;

	waiting->nreplies = wf_delivery_replies(waiting->instances, waiting->n, &waiting->replies);
	waiting->n = wf_in_flight_settle(waiting->replies, waiting->nreplies);
}

/*
 * An executor may have applied replies. Their visits are in flight no longer, and may have become due meanwhile, when
 * cursors skipped their rows: so all cursors start again.
 */
bool
wf_replies_remove_delivered(WfDispatcher *dispatcher)
{
	Waiting			waiting = {0};
	WfQueueCursor **cursors;
	int				n;

	waiting.n = wf_in_flight_handed_over(&waiting.instances);
	if (waiting.n == 0)
		return true;
	if (!wf_small_transaction(dispatcher, find_waiting, &waiting))
		return false;
	if (waiting.n == 0)
		return true;
	cursors = wf_queue_cursors_all(&n);
	for (int i = 0; i < n; i++)
		wf_queue_cursor_restart(cursors[i]);
	return true;
}
