/*
 * arrivals.c
 *		What the dispatcher moves on: replies that have come, those that had to wait for a lock, clocks that have struck.
 *
 * Moves are made by moves.c; here is what becomes of the flights and the lanes after them.
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/settings.h"
#include "shmem/shmem.h"
#include "store/access.h"
#include "store/due.h"
#include "worker/dispatcher_internal.h"
#include "worker/flights.h"
#include "worker/worker.h"

#define REPLIES_PER_TRANSACTION 256
/* of bodies, which the last one may exceed: read, they take many times that */
#define REPLY_BYTES_PER_TRANSACTION (4 * 1024 * 1024)

/* Not even an incident could be made of it: the disk may be full. Rows and deliveries are looked at again by themselves. */
static void
stuck(const WfJob *job)
{
	if (job->kind == WF_JOB_ALARM || job->kind == WF_JOB_DUE || job->delivery != 0)
		return;
	wf_flight_stick(job->visit);
	wf_dispatcher.stuck_until = Min(wf_dispatcher.stuck_until,
					  TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_PAUSE_MS));
}

/* Under the same idempotency keys, as after a crash. */
void
wf_arrivals_send_again(void)
{
	WfLane	  **lanes;
	int			n;

	if (wf_dispatcher.stuck_until > GetCurrentTimestamp())
		return;
	wf_dispatcher.stuck_until = WF_NEVER;
	wf_flights_land_stuck();
	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		wf_lane_restart(lanes[i]);
}

/* An executor has delivered replies: what they have made of their visits can be looked at again. */
void
wf_arrivals_land(void)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	access;
	int64	   *instances;
	WfReplyKey *waiting;
	WfLane	  **lanes;
	int			n = wf_flights_handed_over(&instances);

	if (n == 0)
		return;
	wf_begin_transaction();
	wf_store_enter(&access);
	n = wf_delivery_replies(instances, n, &waiting);
	n = wf_flights_settle(waiting, n);
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (n == 0)
		return;
	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		wf_lane_restart(lanes[i]);
}

static void
after_job(WfJob *job)
{
	switch (job->verdict)
	{
		case WF_JOB_LOCKED:
			wf_dispatcher.skipped_locked = true;
			if (wf_job_brings(job))
				wf_flight_hold(job->visit);
			else if (job->kind == WF_JOB_BREAK)
				wf_flight_see_again(job->visit, LONGEST_LOCK_PAUSE_MS);
			break;
		case WF_JOB_UNMOVED:
			if (job->kind != WF_JOB_DUE && job->kind != WF_JOB_ALARM)
				wf_flight_land(job->visit);
			break;
		case WF_JOB_HELD:
			if (wf_job_brings(job))
				wf_flight_hold(job->visit);
			else if (job->kind == WF_JOB_BREAK)
				wf_flight_land(job->visit);
			break;
		case WF_JOB_STUCK:
			stuck(job);
			break;
		case WF_JOB_HANDED_OVER:
			if (job->kind != WF_JOB_ALARM && job->kind != WF_JOB_DUE)
			{
				wf_flight_hand_over(job->visit);
				break;
			}
			pg_fallthrough;
		case WF_JOB_DONE:
		case WF_JOB_GONE:
			if (job->kind == WF_JOB_ALARM || job->kind == WF_JOB_DUE)
			{
				/* a handler beside it, or a cancel request that waits for the reply: let it come; or it has come */
				if (job->awaits || wf_flight_awaits_delivery(job->visit))
					break;
				(void) wf_http_abort(wf_dispatcher.http, (uint64) job->visit);
			}
			wf_flight_land(job->visit);
			break;
	}
}

void
wf_arrivals_run(WfJob *jobs, int n)
{
	wf_moves_run(jobs, n, wf_setting_move_timeout, true);
	wf_count_handled(n);
	for (int i = 0; i < n; i++)
		after_job(&jobs[i]);
}

static void
count_reply(const WfHttpReply *reply, const WfJob *job)
{
	WfFlight   *flight = wf_flight_find(job->visit);
	WfServerCounts *counts;

	if (flight == NULL || flight->lane == NULL || flight->lane->counts == NULL)
		return;
	counts = flight->lane->counts;
	wf_server_count_elapsed(counts, reply->elapsed_us);
	if (reply->verdict != WF_HTTP_ANSWERED || reply->status / 100 != 2)
		counts->failures++;
	if (job->retried)
		counts->retries++;
}

/*
 * Up to a batch of finished requests. True if it was a whole one. There are fewer in it where the bodies are large, and then
 * the rest comes in the next turn, with new memory.
 */
bool
wf_arrivals_replies(void)
{
	WfJob	   *jobs = NULL;
	WfHttpReply *reply;
	size_t		bytes = 0;
	int			n = 0;

	while (n < REPLIES_PER_TRANSACTION && bytes < REPLY_BYTES_PER_TRANSACTION && (reply = wf_http_next(wf_dispatcher.http)) != NULL)
	{
		WfFlight   *flight = wf_flight_find((int64) reply->tag);

		if (flight == NULL)
		{
			wf_http_release(wf_dispatcher.http, reply);
			continue;
		}
		if (jobs == NULL)
			jobs = palloc0(sizeof(WfJob) * REPLIES_PER_TRANSACTION);
		jobs[n].kind = WF_JOB_REPLY;
		jobs[n].instance = flight->instance;
		jobs[n].visit = flight->visit;
		jobs[n++].reply = reply;
		bytes += reply->body_len;
	}
	wf_moves_run(jobs, n, wf_setting_move_timeout, true);
	wf_count_handled(n);
	for (int i = 0; i < n; i++)
	{
		count_reply(jobs[i].reply, &jobs[i]);
		after_job(&jobs[i]);
		wf_http_release(wf_dispatcher.http, unconstify(WfHttpReply *, jobs[i].reply));
	}
	return n == REPLIES_PER_TRANSACTION;
}

/* Keys of a lane that are due, in a transaction of its own. */
static int
take_keys(WfLane *lane, int limit, WfDueKey *keys)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	access;
	int			n;

	wf_begin_transaction();
	wf_store_enter(&access);
	n = wf_lane_take(lane, GetCurrentTimestamp(), limit, keys);
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return n;
}

/* Clocks, deadlines, and tokens that were left for us. */
void
wf_arrivals_fire(WfLane *lane, WfJobKind kind)
{
	WfDueKey   *keys;
	WfJob	   *jobs;
	int			n;
	int			njobs = 0;

	if (lane->next > GetCurrentTimestamp())
		return;
	keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	n = take_keys(lane, DUE_PER_TRANSACTION, keys);
	jobs = palloc0(sizeof(WfJob) * DUE_PER_TRANSACTION);
	for (int i = 0; i < n; i++)
	{
		/* an accepted callback waits for the reply that is under way */
		if (kind == WF_JOB_DUE && wf_flight_find(keys[i].visit) != NULL)
			continue;
		jobs[njobs].kind = kind;
		jobs[njobs].instance = keys[i].instance;
		jobs[njobs++].visit = keys[i].visit;
	}
	wf_arrivals_run(jobs, njobs);
	for (int i = 0; i < njobs; i++)
		if (jobs[i].verdict == WF_JOB_LOCKED || jobs[i].verdict == WF_JOB_STUCK ||
			jobs[i].verdict == WF_JOB_UNMOVED)
			wf_lane_leave(lane, keys[0].due_at,
						  jobs[i].verdict == WF_JOB_LOCKED ? LONGEST_LOCK_PAUSE_MS
														   : LONGEST_PAUSE_MS);
	/* those behind what is locked have their turn first */
	if (n < DUE_PER_TRANSACTION)
		wf_lane_at_end(lane);
}

/* ---- replies that had to wait for a lock ---- */

static WfDelivery *
take_delivery(TimestampTz horizon)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	access;
	WfDelivery *taken;
	WfDelivery *delivery = NULL;

	wf_begin_transaction();
	wf_store_enter(&access);
	taken = wf_delivery_take(WF_QUEUE_MOVE, horizon);
	if (taken == NULL)
	{
		TimestampTz next = wf_delivery_next(WF_QUEUE_MOVE);

		wf_dispatcher.deliveries_at = next != 0 ? next : WF_NEVER;
	}
	else
	{
		MemoryContextSwitchTo(context);
		delivery = palloc(sizeof(WfDelivery));
		*delivery = *taken;
		delivery->payload = (Jsonb *) PG_DETOAST_DATUM_COPY(JsonbPGetDatum(taken->payload));
	}
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return delivery;
}

static void
postpone_delivery(const WfDelivery *delivery, int longest_ms)
{
	MemoryContext context = CurrentMemoryContext;
	int			pause_ms = Min(10 << Min(delivery->attempt, 13), longest_ms);
	WfAccess	access;

	wf_begin_transaction();
	wf_store_enter(&access);
	wf_delivery_postpone(delivery->id,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms));
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

void
wf_arrivals_deliveries(void)
{
	bool		unlocked = wf_dispatcher.deliveries_at == DT_NOBEGIN;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz horizon = unlocked ? TimestampTzPlusMilliseconds(now, LONGEST_LOCK_PAUSE_MS) : now;
	WfDelivery *delivery;

	for (int i = 0; wf_dispatcher.deliveries_at <= now && i < DUE_PER_TRANSACTION; i++)
	{
		WfJob		job = {.kind = WF_JOB_DELIVERY};

		delivery = take_delivery(horizon);
		if (delivery == NULL)
			return;
		job.instance = delivery->instance;
		job.visit = delivery->visit;
		job.packed = delivery->payload;
		job.delivery = delivery->id;
		wf_moves_run(&job, 1, wf_setting_move_timeout, true);
		after_job(&job);
		if (job.verdict != WF_JOB_LOCKED && job.verdict != WF_JOB_STUCK)
			continue;
		postpone_delivery(delivery, job.verdict == WF_JOB_LOCKED ? LONGEST_LOCK_PAUSE_MS
																 : LONGEST_PAUSE_MS);
		if (unlocked)
			wf_dispatcher.deliveries_at = TimestampTzPlusMilliseconds(now, 10);
	}
}
