/*
 * replies_and_timers.c
 *		What the dispatcher moves on: replies that have come, deliveries that had to wait, clocks that have struck.
 *
 * Moves are made by moves.c; here is what becomes of requests in flight and of the cursors after them.
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
#include "worker/worker.h"

#define REPLIES_PER_TRANSACTION 256
/* of bodies, which the last one may exceed: read, they take many times that */
#define REPLY_BYTES_PER_TRANSACTION (4 * 1024 * 1024)

/* ---- what becomes of a job: by its verdict, and by what it was ---- */

typedef void (*Outcome)(WfDispatcher *dispatcher, const WfJob *job);

static void
nothing(WfDispatcher *dispatcher, const WfJob *job)
{
}

static void
remove_visit(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_land(job->visit);
}

/* Its reply is a row now: whatever moves it first, no second request may go out. */
static void
park_visit(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_hold(job->visit);
}

static void
await_executor(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_hand_over(job->visit);
}

/* The clock has ended the visit, or moved it on. A handler beside it, or a cancel request that waits for the reply: let that come. */
static void
abort_request(WfDispatcher *dispatcher, const WfJob *job)
{
	if (job->awaits || wf_in_flight_awaits_delivery(job->visit))
		return;
	(void) wf_http_abort(dispatcher->http, (uint64) job->visit);
	wf_in_flight_land(job->visit);
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

/* Not even an incident could be made of it. */
static void
send_again(WfDispatcher *dispatcher, const WfJob *job)
{
	wf_in_flight_postpone(job->visit, LONGEST_PAUSE_MS);
}

/* What it was before it failed. */
typedef enum Origin
{
	REPLY,
	DELIVERY, /* a row, which is looked at again by itself; its visit is in flight for it */
	CLOCK,	  /* likewise, also as a delivery; its visit may be in flight or not */
	REQUEST	  /* that could not be made */
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
		return job->deliver->lands ? DELIVERY : CLOCK;
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

static void
count_reply(const WfHttpReply *reply, const WfJob *job)
{
	WfInFlight	   *entry = wf_in_flight_find(job->visit);
	WfServerCounts *counts;

	if (entry == NULL || entry->cursor == NULL || entry->cursor->counts == NULL)
		return;
	counts = entry->cursor->counts;
	wf_server_count_elapsed(counts, reply->elapsed_us);
	if (reply->verdict != WF_HTTP_ANSWERED || reply->status / 100 != 2)
		counts->failures++;
	if (job->retried)
		counts->retries++;
}

/* A reply is released unless it is kept. Those that were kept before are counted already. */
static void
run_replies(WfDispatcher *dispatcher, WfJob *jobs, int n, bool again)
{
	bool stored = false;

	wf_moves_run(jobs, n, wf_setting_move_timeout, true);
	wf_count_handled(n);
	for (int i = 0; i < n; i++)
	{
		if (!again)
			count_reply(jobs[i].reply, &jobs[i]);
		after_job(dispatcher, &jobs[i]);
		if (jobs[i].verdict == WF_JOB_SHORT)
			continue;
		wf_http_release(dispatcher->http, unconstify(WfHttpReply *, jobs[i].reply));
		stored |= jobs[i].verdict != WF_JOB_STUCK;
	}
	if (stored)
		wf_in_flight_stored();
}

/* No answer could be had for want of memory: no attempt was made, and the row is looked at again. */
static void
send_later(const WfInFlight *entry, const WfHttpReply *reply)
{
	ErrorData error = {.sqlerrcode = ERRCODE_OUT_OF_MEMORY, .message = unconstify(char *, reply->message)};

	wf_in_flight_postpone(entry->visit,
						  wf_failure_wait(entry->instance, entry->visit, WF_LACK_MEMORY, &error, LONGEST_WAIT_MS));
}

/*
 * Up to a batch of finished requests. True if it was a whole one. There are fewer in it where the bodies are large, and then
 * the rest comes in the next turn, with new memory.
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
		WfInFlight *entry = wf_in_flight_find((int64) reply->tag);

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
		jobs[n++].reply = reply;
		bytes += reply->body_len;
	}
	run_replies(dispatcher, jobs, n, false);
	return n == REPLIES_PER_TRANSACTION;
}

/* Those that could not be stored, and whose pause is over. */
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
		jobs[i] =
			(WfJob){.kind = WF_JOB_REPLY, .instance = due[i].instance, .visit = due[i].visit, .reply = due[i].kept};
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

/* What is under way, or has come back already, goes before its clock. */
static bool
has_to_wait(WfQueueCursor *cursor, WfJobKind kind, const WfDueKey *key)
{
	WfInFlight *entry = wf_in_flight_find(key->visit);

	if (entry == NULL)
		return false;
	/* an accepted callback waits for the reply that is under way */
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

/* Clocks, deadlines, and tokens that were left for us. */
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
	/* those behind what is locked have their turn first */
	if (taking.n < DUE_PER_TRANSACTION)
		wf_queue_cursor_at_end(cursor);
}

/* ---- deliveries: what had to wait for a lock, or for others before it ---- */

/* What is taken at once: jobs of an instance stand together, in the order of their deliveries. */
typedef struct Taken
{
	MemoryContext context; /* of the jobs */
	TimestampTz	  horizon;
	WfJob		 *jobs;
	int			 *attempts; /* how often each was tried */
	int			  n;
	int64		 *followed; /* visits whose deliveries go to executors, behind others */
	int			  nfollowed;
} Taken;

static bool
can_be_taken(const WfDelivery *delivery, TimestampTz horizon)
{
	/* what was held is so no longer, or is found to be */
	return strcmp(delivery->queue, WF_QUEUE_SUSPENDED) == 0 ||
		   (strcmp(delivery->queue, WF_QUEUE_MOVE) == 0 && delivery->due_at <= horizon);
}

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

/* Those of an instance that can be delivered, from the first one on. If that one cannot, the others wait for it. */
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

/* Instances for which something still waits, each until its first one is tried again. */
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

/* A batch of what is due; once a lock has gone, also of what would be tried within the longest pause. */
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
	int64	   *instances; /* of requests in flight whose replies executors were to deliver */
	int			n;
	WfReplyKey *replies; /* those that still wait */
	int			nreplies;
} Waiting;

static void
find_waiting(WfDispatcher *dispatcher, void *arg)
{
	Waiting *waiting = arg;

	waiting->nreplies = wf_delivery_replies(waiting->instances, waiting->n, &waiting->replies);
	waiting->n = wf_in_flight_settle(waiting->replies, waiting->nreplies);
}

/* An executor has delivered replies: what they have made of their visits can be looked at again. */
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
