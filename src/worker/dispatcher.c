/*
 * dispatcher.c
 *		The loop of a database: what is due goes out, what comes back is moved on.
 *
 * A turn: take the notes that commits have left; read replies off the sockets and move their visits on, a batch to a
 * transaction; fire clocks; collect requests that are due in a short transaction, and send them after its end. Then
 * sleep until a latch, a socket or the next due time. It runs no user code and waits for no lock.
 *
 * A visit is in flight (flights.c) from the moment its row is picked up until what came of it has been committed.
 */
#include "compat.h"

#include <malloc.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "http/http.h"
#include "http/server.h"
#include "shmem/settings.h"
#include "shmem/shmem.h"
#include "store/access.h"
#include "store/due.h"
#include "store/history.h"
#include "store/identity.h"
#include "store/privilege.h"
#include "worker/exchange.h"
#include "worker/flights.h"
#include "worker/lanes.h"
#include "worker/moves.h"
#include "worker/worker.h"

#define REPLIES_PER_TRANSACTION 256
/* of bodies, which the last one may exceed: read, they take many times that */
#define REPLY_BYTES_PER_TRANSACTION (4 * 1024 * 1024)
#define DUE_PER_TRANSACTION 256
#define REWARN_PER_TRANSACTION 1000
/* a lane whose server is gone, or a row that cannot be handled */
#define LONGEST_PAUSE_MS 60000
/* an instance that somebody has locked */
#define LONGEST_LOCK_PAUSE_MS 1000
/* requests of one server for each that could still be added */
#define SHARE_OF_SERVER 4
/* while something waits behind other requests, see that often whether those are still wanted */
#define ABANDONED_CHECK_MS 1000
/* after that a cancel request for a server that is gone has failed */
#define GONE_SERVER_MS 30000
/* while executors have work, see after that whether it was done */
#define EXECUTOR_CHECK_MS 5000

static WfHttp *http;
static MemoryContext turn_context;
static WaitEventSet *wait_set;
static TimestampTz deliveries_at; /* when to look at deliveries; WF_NEVER: when told */
static TimestampTz stuck_until = WF_NEVER; /* when to send again what came back and could not be dealt with */
static TimestampTz abandoned_at = DT_NOBEGIN; /* not to look for abandoned requests before that */
static bool paused;
static bool unsettled; /* nothing was ever defined here, or a restore is under way: paused, and nobody's fault */
static bool skipped_locked; /* in this turn */
static bool delivered; /* an executor may have delivered a reply */
static int	warned_after;	/* what workflow.warn_waiting was when the rows were last gone through for it */
static bool rewarning;		/* they are being gone through, up to */
static WfDueKey rewarned_to;

/* ---- starting ---- */

static void
load_waiting_replies(void)
{
	WfDueKey   *keys;
	int			n = wf_delivery_replies(&keys);

	for (int i = 0; i < n; i++)
	{
		(void) wf_flight_take_off(keys[i].instance, keys[i].visit, NULL);
		wf_flight_hand_over(keys[i].visit);
	}
}

static void
load_queues(void)
{
	List	   *queues = wf_due_queues();
	ListCell   *lc;
	WfLane	  **lanes;
	int			n;

	foreach (lc, queues)
		(void) wf_lane(lfirst(lc));
	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		wf_lane_restart(lanes[i]);
	deliveries_at = DT_NOBEGIN;
}

static void
log_pause(WfPause pause)
{
	if (pause == WF_PAUSED_COPY)
		ereport(WARNING,
				errmsg("workflow sends nothing in this database: it is a copy of another one"),
				errhint("If the original is no more, run SELECT workflow.adopt()."));
	else
		ereport(LOG, errmsg("workflow sends nothing in this database: workflow.start_paused is on"),
				errhint("Run SELECT workflow.adopt() to let it begin."));
}

/* May we act for these rows at all? Then look at all of them. */
static void
look_at_everything(void)
{
	WfAccess	access;
	WfIdentity	identity;
	WfPause		before = wf_pause_get();
	WfPause		pause = WF_RUNNING;

	StartTransactionCommand();
	wf_store_enter(&access);
	identity = wf_identity_check();
	if (identity == WF_IDENTITY_COPY)
		pause = WF_PAUSED_COPY;
	else if (wf_setting_start_paused && before != WF_RUNNING && !wf_identity_adopted_since_start())
		pause = WF_PAUSED_SETTING;
	unsettled = identity == WF_IDENTITY_NONE;
	paused = pause != WF_RUNNING || unsettled;
	if (!paused)
	{
		wf_identity_note_timeline();
		wf_history_ahead(GetCurrentTimestamp());
		load_waiting_replies();
		load_queues();
	}
	wf_store_leave(&access);
	CommitTransactionCommand();
	wf_pause_set(pause);
	if (pause != WF_RUNNING && pause != before)
		log_pause(pause);
}

/* ---- notes ---- */

static void
apply_notes(void)
{
	WfNotes		notes;
	WfLane	  **lanes;
	int			n;

	wf_notes_take(&notes);
	if (notes.everything)
	{
		wf_server_forget();
		delivered = true;
	}
	/* what a restore has brought is not acted on before it is clear whose it is */
	if (notes.everything || (unsettled && notes.n > 0))
		look_at_everything();
	if (paused)
		return;
	for (int i = 0; i < notes.n; i++)
	{
		wf_lane_rewind(wf_lane(notes.notes[i].queue), notes.notes[i].due_at,
					   notes.notes[i].due_at);
		if (strcmp(notes.notes[i].queue, WF_QUEUE_MOVE) == 0)
		{
			deliveries_at = Min(deliveries_at, notes.notes[i].due_at);
			delivered = true;
		}
	}
	if (!notes.unlocked)
		return;
	/* what was skipped for a lock may go now */
	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		if (lanes[i]->pause_ms > 0 && lanes[i]->server == NULL)
			lanes[i]->next = DT_NOBEGIN;
	if (deliveries_at != WF_NEVER)
		deliveries_at = DT_NOBEGIN;
}

/* ---- moves ---- */

/* Not even an incident could be made of it: the disk may be full. Rows and deliveries are looked at again by themselves. */
static void
stuck(const WfJob *job)
{
	if (job->kind == WF_JOB_ALARM || job->kind == WF_JOB_DUE || job->delivery != 0)
		return;
	wf_flight_stick(job->visit);
	stuck_until = Min(stuck_until,
					  TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_PAUSE_MS));
}

/* Under the same idempotency keys, as after a crash. */
static void
send_stuck_again(void)
{
	WfLane	  **lanes;
	int			n;

	if (stuck_until > GetCurrentTimestamp())
		return;
	stuck_until = WF_NEVER;
	wf_flights_land_stuck();
	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		wf_lane_restart(lanes[i]);
}

/* An executor has delivered replies: what they have made of their visits can be looked at again. */
static void
land_delivered(void)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	access;
	WfDueKey   *waiting;
	WfLane	  **lanes;
	int			n;

	if (!wf_flights_handed_over())
		return;
	StartTransactionCommand();
	wf_store_enter(&access);
	n = wf_delivery_replies(&waiting);
	n = wf_flights_land_delivered(waiting, n);
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
			skipped_locked = true;
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
			/* FALLTHROUGH */
		case WF_JOB_DONE:
		case WF_JOB_GONE:
			if (job->kind == WF_JOB_ALARM || job->kind == WF_JOB_DUE)
			{
				/* a handler beside it, or a cancel request that waits for the reply: let it come */
				if (job->awaits)
					break;
				(void) wf_http_abort(http, (uint64) job->visit);
			}
			wf_flight_land(job->visit);
			break;
	}
}

static void
run_jobs(WfJob *jobs, int n)
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
 * Up to a batch of finished requests. Returns how many there were; fewer than fit where the bodies are large, and then the
 * rest comes in the next turn, with new memory.
 */
static int
handle_replies(void)
{
	WfJob	   *jobs = NULL;
	WfHttpReply *reply;
	size_t		bytes = 0;
	int			n = 0;

	while (n < REPLIES_PER_TRANSACTION && bytes < REPLY_BYTES_PER_TRANSACTION && (reply = wf_http_next(http)) != NULL)
	{
		WfFlight   *flight = wf_flight_find((int64) reply->tag);

		if (flight == NULL)
		{
			wf_http_release(http, reply);
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
		wf_http_release(http, unconstify(WfHttpReply *, jobs[i].reply));
	}
	return n;
}

/* Keys of a lane that are due, in a transaction of its own. */
static int
take_keys(WfLane *lane, int limit, WfDueKey *keys)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	access;
	int			n;

	StartTransactionCommand();
	wf_store_enter(&access);
	n = wf_lane_take(lane, GetCurrentTimestamp(), limit, keys);
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return n;
}

/* Clocks, deadlines, and tokens that were left for us. */
static void
fire_lane(WfLane *lane, WfJobKind kind)
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
	run_jobs(jobs, njobs);
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

/* ---- a new workflow.warn_waiting counts for those that wait already ---- */

static void
rewarn(void)
{
	WfAccess	access;

	if (warned_after != wf_setting_warn_waiting)
	{
		warned_after = wf_setting_warn_waiting;
		rewarned_to = (WfDueKey){0};
		rewarning = true;
	}
	if (!rewarning)
		return;
	StartTransactionCommand();
	wf_store_enter(&access);
	rewarning = wf_due_rewarn(&rewarned_to, warned_after, REWARN_PER_TRANSACTION);
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(turn_context);
}

/* ---- replies that had to wait for a lock ---- */

static WfDelivery *
take_delivery(TimestampTz horizon)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	access;
	WfDelivery *taken;
	WfDelivery *delivery = NULL;

	StartTransactionCommand();
	wf_store_enter(&access);
	taken = wf_delivery_take(WF_QUEUE_MOVE, horizon);
	if (taken == NULL)
	{
		TimestampTz next = wf_delivery_next(WF_QUEUE_MOVE);

		deliveries_at = next != 0 ? next : WF_NEVER;
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

	StartTransactionCommand();
	wf_store_enter(&access);
	wf_delivery_postpone(delivery->id,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms));
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

static void
handle_deliveries(void)
{
	bool		unlocked = deliveries_at == DT_NOBEGIN;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz horizon = unlocked ? TimestampTzPlusMilliseconds(now, LONGEST_LOCK_PAUSE_MS) : now;
	WfDelivery *delivery;

	for (int i = 0; deliveries_at <= now && i < DUE_PER_TRANSACTION; i++)
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
			deliveries_at = TimestampTzPlusMilliseconds(now, 10);
	}
}

/* ---- requests ---- */

/* What one look at a queue gives, in the turn's memory. */
typedef struct Outgoing
{
	WfLane	   *lane;
	WfDueKey   *keys; /* seen */
	int			nkeys;
	int64	   *taken; /* visits that are now in flight */
	int			ntaken;
	List	   *requests; /* WfHttpRequest * */
	WfJob	   *broken;	  /* what cannot be sent */
	int			nbroken;
	int			process_id; /* the last one whose owner was looked up */
	Oid			owner;
} Outgoing;

/*
 * How many more requests a lane may send beside those of others. It may have four for each that could still be added, so
 * that there is room for others whatever its server does: one that hangs takes four fifths at most, two take four ninths
 * each. As long as there is room, no lane is kept from its first.
 */
static int
share_of_lane(const WfLane *lane)
{
	int			room = wf_http_room(http);

	if (lane->in_flight == 0 && room > 0)
		return Max(1, SHARE_OF_SERVER * room / (SHARE_OF_SERVER + 1));
	return (SHARE_OF_SERVER * room - lane->in_flight) / (SHARE_OF_SERVER + 1);
}

/* The first as of the last look, the second as of now: whatever ends makes room for all. */
static bool
may_call(const WfLane *lane)
{
	return lane->slots > 0 && share_of_lane(lane) > 0;
}

/* Is there a request to be made of this visit now? */
static bool
calls_out(WfVisit *visit, TimestampTz now)
{
	if (visit == NULL || visit->held || visit->def == NULL ||
		visit->def->action != WF_ACTION_HTTP || visit->due_at == 0 || visit->due_at > now)
		return false;
	if (visit->state == WF_STATE_CANCELLING)
		return visit->cancel_phase != NULL && strcmp(visit->cancel_phase, WF_CANCEL_SEND) == 0;
	if (visit->has_callback || (visit->deadline != 0 && visit->deadline <= now))
		return false;
	return visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING;
}

static void
prepare_request(Outgoing *out, WfVisit *visit, const WfServer *server)
{
	MemoryContext old = MemoryContextSwitchTo(turn_context);
	WfHttpRequest *request = palloc(sizeof(WfHttpRequest));
	WfFault		fault = {0};
	WfJob	   *job;

	if (out->process_id != visit->instance->process->process_id)
	{
		out->process_id = visit->instance->process->process_id;
		out->owner = wf_process_owner(out->process_id);
	}
	if (wf_exchange_request(visit, server, out->owner, request, &fault))
		out->requests = lappend(out->requests, request);
	else
	{
		job = &out->broken[out->nbroken++];
		job->kind = WF_JOB_BREAK;
		job->instance = visit->instance->id;
		job->visit = visit->id;
		job->fault = fault;
	}
	MemoryContextSwitchTo(old);
}

/* Rows that are due become requests in memory. */
static void
collect(Outgoing *out, const WfServer *server)
{
	WfBatch    *batch = wf_batch_begin();
	int64	   *instances = palloc(sizeof(int64) * out->nkeys);

	for (int i = 0; i < out->nkeys; i++)
		if (wf_flight_take_off(out->keys[i].instance, out->keys[i].visit, out->lane))
		{
			instances[out->ntaken] = out->keys[i].instance;
			out->taken[out->ntaken++] = out->keys[i].visit;
		}
	if (out->ntaken > 0)
	{
		wf_batch_lock(batch, instances, out->ntaken, WF_LOCK_NONE);
		wf_batch_load_visits(batch, instances, out->taken, out->ntaken);
	}
	for (int i = 0; i < out->ntaken; i++)
	{
		WfVisit    *visit = wf_batch_visit(batch, instances[i], out->taken[i]);

		if (calls_out(visit, batch->now))
			prepare_request(out, visit, server);
		else
			wf_flight_land(out->taken[i]);
	}
	wf_batch_end(batch);
}

/*
 * What calls a server that is gone is parked until there is one of that name. But nobody is to wait for ever for the end
 * of what was cancelled.
 */
static void
park(Outgoing *out)
{
	WfLane	   *lane = out->lane;
	TimestampTz now = GetCurrentTimestamp();
	WfDueKey   *keys = palloc(sizeof(WfDueKey) * DUE_PER_TRANSACTION);
	int			n = wf_due_cancels(lane->queue, TimestampTzPlusMilliseconds(now, -GONE_SERVER_MS),
								   DUE_PER_TRANSACTION, keys);

	out->broken = MemoryContextAllocZero(turn_context, sizeof(WfJob) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		WfJob		job = {.kind = WF_JOB_BREAK, .instance = keys[i].instance, .visit = keys[i].visit,
			.fault = {.code = WF_CODE_REQUEST, .message = "there is no such server"}};

		if (wf_flight_find(job.visit) == NULL)
			out->broken[out->nbroken++] = job;
	}
	wf_lane_pause(lane, DT_NOBEGIN, LONGEST_PAUSE_MS);
	lane->next = TimestampTzPlusMilliseconds(now, lane->pause_ms);
}

static void
look_at_server(Outgoing *out)
{
	WfLane	   *lane = out->lane;
	const WfServer *server = wf_server_by_name(lane->server);
	int			limit;

	if (server == NULL)
	{
		park(out);
		return;
	}
	lane->slots = server->max_in_flight - lane->in_flight;
	if (lane->slots <= 0)
		return;
	limit = Min(lane->slots, share_of_lane(lane));
	limit = lane->cautious > 0 ? 1 : Min(limit, DUE_PER_TRANSACTION);
	out->keys = MemoryContextAlloc(turn_context, sizeof(WfDueKey) * limit);
	out->taken = MemoryContextAlloc(turn_context, sizeof(int64) * limit);
	out->broken = MemoryContextAllocZero(turn_context, sizeof(WfJob) * limit);
	out->nkeys = wf_lane_take(lane, GetCurrentTimestamp(), limit, out->keys);
	if (out->nkeys > 0)
	{
		wf_limit_begin(wf_setting_move_timeout);
		collect(out, server);
		wf_limit_end();
	}
	lane->cautious -= Min(lane->cautious, out->nkeys);
	lane->pause_ms = 0;
	lane->slots = server->max_in_flight - lane->in_flight;
}

/* One row made the whole look fail: look at single ones for a while, until it stands alone. */
static void
look_failed(Outgoing *out, const ErrorData *error)
{
	WfJob	   *job;

	out->requests = NIL;
	out->nbroken = 0;
	if (out->nkeys == 0)
		ereport(ERROR, errcode(error->sqlerrcode), errmsg("%s", error->message));
	if (out->nkeys > 1)
	{
		for (int i = 0; i < out->ntaken; i++)
			wf_flight_land(out->taken[i]);
		out->lane->cautious = out->nkeys;
		wf_lane_rewind(out->lane, out->keys[0].due_at, DT_NOBEGIN);
		return;
	}
	/* it stays in flight until something has become of it; what was so before is none of our business */
	if (out->ntaken == 0 &&
		!wf_flight_take_off(out->keys[0].instance, out->keys[0].visit, out->lane))
		return;
	job = &out->broken[out->nbroken++];
	memset(job, 0, sizeof(*job));
	job->kind = WF_JOB_BREAK;
	job->instance = out->keys[0].instance;
	job->visit = out->keys[0].visit;
	wf_moves_fault(error, &job->fault);
}

static void
call_server(WfLane *lane)
{
	Outgoing   *out;
	WfAccess	access;
	ListCell   *lc;

	if (!may_call(lane) || lane->next > GetCurrentTimestamp())
		return;
	/* not on the stack: after an error a compiler may have what was in it before */
	out = MemoryContextAllocZero(turn_context, sizeof(Outgoing));
	out->lane = lane;
	PG_TRY();
	{
		StartTransactionCommand();
		wf_store_enter(&access);
		look_at_server(out);
		wf_store_leave(&access);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		look_failed(out, wf_moves_catch(turn_context));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(turn_context);
	foreach (lc, out->requests)
		wf_http_send(http, lfirst(lc));
	if (lane->counts != NULL)
		lane->counts->requests += list_length(out->requests);
	run_jobs(out->broken, out->nbroken);
}

/* ---- requests that nobody wants any more ---- */

static bool
is_held_up(const WfLane *lane, TimestampTz now)
{
	return lane->server != NULL && lane->next <= now && !may_call(lane);
}

/* Does anything wait for its turn? *crowded: not only for that of its own server. Inside wf_store_enter. */
static bool
anything_waits(TimestampTz now, bool *crowded)
{
	bool		waits = false;
	int			n;
	WfLane	  **lanes = wf_lanes_all(&n);

	*crowded = false;
	for (int i = 0; i < n; i++)
	{
		if (!is_held_up(lanes[i], now) || !wf_lane_has_due(lanes[i], now))
			continue;
		waits = true;
		*crowded |= lanes[i]->slots > 0;
	}
	return waits;
}

/* Visits that have ended while their request is under way, among those that may be in the way of others. */
static int
find_abandoned(bool crowded, int64 *gone)
{
	int			max = wf_http_in_flight(http);
	uint64	   *tags = palloc(sizeof(uint64) * Max(max, 1));
	int64	   *instances = palloc(sizeof(int64) * Max(max, 1));
	int64	   *visits = palloc(sizeof(int64) * Max(max, 1));
	int			older = wf_http_older(http, ABANDONED_CHECK_MS, tags);
	int			n = 0;

	for (int i = 0; i < older; i++)
	{
		WfFlight   *flight = wf_flight_find((int64) tags[i]);

		if (flight == NULL || flight->lane == NULL || (!crowded && flight->lane->slots > 0))
			continue;
		instances[n] = flight->instance;
		visits[n++] = flight->visit;
	}
	return n > 0 ? wf_visits_not_calling(instances, visits, n, gone) : 0;
}

/*
 * Who ends a visit in a session of his own cannot reach its request, which may hang for hours. That matters only if
 * something else waits for its place.
 */
static void
abort_abandoned(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64	   *gone;
	bool		crowded;
	bool		held_up = false;
	WfAccess	access;
	WfLane	  **lanes;
	int			n;

	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n && abandoned_at <= now; i++)
		held_up |= is_held_up(lanes[i], now);
	if (!held_up)
		return;
	abandoned_at = TimestampTzPlusMilliseconds(now, ABANDONED_CHECK_MS);
	gone = palloc(sizeof(int64) * Max(wf_http_in_flight(http), 1));

	StartTransactionCommand();
	wf_store_enter(&access);
	n = anything_waits(now, &crowded) ? find_abandoned(crowded, gone) : 0;
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(turn_context);
	for (int i = 0; i < n; i++)
	{
		(void) wf_http_abort(http, (uint64) gone[i]);
		wf_flight_land(gone[i]);
	}
}

/* ---- executors ---- */

static void
wake_executors(void)
{
	WfLane	   *lane = wf_lane(WF_QUEUE_EXECUTOR);
	WfDueKey	keys[WF_MAX_EXECUTORS];
	MemoryContext context = CurrentMemoryContext;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz delivery;
	WfAccess	access;
	int			n;
	int			again_ms;

	if (lane->next > now)
		return;
	StartTransactionCommand();
	wf_store_enter(&access);
	wf_lane_restart(lane); /* what is still there was not done */
	n = wf_lane_take(lane, now, wf_setting_executors, keys);
	delivery = wf_delivery_next(WF_QUEUE_EXECUTOR);
	if (delivery != 0 && delivery <= now)
		n += wf_delivery_count(WF_QUEUE_EXECUTOR, now, wf_setting_executors);
	else if (delivery != 0)
		lane->next = Min(lane->next, delivery);
	wf_store_leave(&access);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);

	if (n == 0)
		return;
	again_ms = wf_executors_wake(Min(n, wf_setting_executors));
	if (lane->next <= now)
		lane->next = WF_NEVER;
	lane->next = Min(lane->next, TimestampTzPlusMilliseconds(
									 now, again_ms >= 0 ? again_ms : EXECUTOR_CHECK_MS));
}

/* ---- the loop ---- */

static long
sleep_ms(void)
{
	TimestampTz next = Min(deliveries_at, stuck_until);
	long		ms = -1;
	long		http_ms = wf_http_timeout(http);
	WfLane	  **lanes;
	int			n;

	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		if (lanes[i]->server == NULL || may_call(lanes[i]))
			next = Min(next, lanes[i]->next);
		else
			next = Min(next, Max(lanes[i]->next, abandoned_at));
	if (!paused && rewarning)
		return 0;
	if (!paused && next != WF_NEVER)
	{
		TimestampTz now = GetCurrentTimestamp();

		/* rounded up: waking a moment early would only mean to sleep again */
		ms = next <= now ? 0 : (long) Min((next - now + 999) / 1000, INT64CONST(3600000));
	}
	if (http_ms >= 0 && (ms < 0 || http_ms < ms))
		ms = http_ms;
	return ms;
}

/* Ends of locks wake us only while something was skipped for one. */
static void
wait_for_unlocks(void)
{
	static bool waiting = false;
	bool		wait = skipped_locked || deliveries_at != WF_NEVER;
	WfLane	  **lanes;
	int			n;

	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		wait |= lanes[i]->server == NULL && lanes[i]->pause_ms > 0;
	if (skipped_locked || wait != waiting)
		wf_notes_want_unlocks(wait);
	waiting = wait;
}

static void
turn(void)
{
	WfLane	  **lanes;
	int			n;

	apply_notes();
	wf_http_run(http);
	while (handle_replies() == REPLIES_PER_TRANSACTION)
		CHECK_FOR_INTERRUPTS();
	if (paused)
		return;
	apply_notes(); /* our own */
	send_stuck_again();
	if (delivered)
		land_delivered();
	delivered = false;
	rewarn();
	fire_lane(wf_lane(WF_QUEUE_ALARM), WF_JOB_ALARM);
	fire_lane(wf_lane(WF_QUEUE_TIMER), WF_JOB_DUE);
	fire_lane(wf_lane(WF_QUEUE_MOVE), WF_JOB_DUE);
	handle_deliveries();
	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		if (lanes[i]->server != NULL)
			call_server(lanes[i]);
	abort_abandoned();
	wake_executors();
	wf_http_run(http);
	wf_show_in_flight(wf_http_in_flight(http));
}

static void
close_connections(int code, Datum arg)
{
	wf_http_destroy(http);
}

static void
start(void)
{
#ifdef M_TRIM_THRESHOLD
	/* batches come and go many times a second: do not hand their memory back each time */
	(void) mallopt(M_MMAP_THRESHOLD, 16 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
#endif
	http = wf_http_create(TopMemoryContext, wf_setting_max_connections_http);
	before_shmem_exit(close_connections, (Datum) 0);
	wf_flights_init();
	turn_context = AllocSetContextCreate(TopMemoryContext, "workflow turn", ALLOCSET_DEFAULT_SIZES);
	wf_lanes_init();
	deliveries_at = WF_NEVER;
	warned_after = wf_setting_warn_waiting;
	wait_set = wf_create_wait_set(3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, wf_http_fd(http), NULL, NULL);
	look_at_everything();
}

void
wf_dispatcher_run(void)
{
	start();
	for (;;)
	{
		WaitEvent	event;
		long		ms;

		MemoryContextSwitchTo(turn_context);
		MemoryContextReset(turn_context);
		if (wf_worker_interrupts() && paused)
			look_at_everything(); /* workflow.start_paused may be off */
		skipped_locked = false;
		turn();
		wait_for_unlocks();
		ms = wf_notes_pending() ? 0 : sleep_ms(); /* a wait within the turn may have eaten the latch */
		if (ms != 0)
			pgstat_report_stat(ms < 0 || ms > 1000);
		if (WaitEventSetWait(wait_set, ms, &event, 1, PG_WAIT_EXTENSION) == 1 &&
			event.events == WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
}
