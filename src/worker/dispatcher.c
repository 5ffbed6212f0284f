/*
 * dispatcher.c
 *		The loop of a database: what is due goes out, what comes back is moved on.
 *
 * A turn: take the notes that commits have left; read replies off the sockets and move their visits on, a batch to a
 * transaction, and fire clocks (arrivals.c); collect requests that are due in a short transaction, and send them after its
 * end (requests.c). Then sleep until a latch, a socket or the next due time. It runs no user code and waits for no lock.
 *
 * A visit is in flight (flights.c) from the moment its row is picked up until what came of it has been committed.
 */
#include "compat.h"

#include <malloc.h>

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "http/server.h"
#include "shmem/careful.h"
#include "shmem/settings.h"
#include "shmem/shmem.h"
#include "shmem/workers.h"
#include "store/due.h"
#include "store/executor_work.h"
#include "store/history.h"
#include "store/identity.h"
#include "store/warn_waiting.h"
#include "worker/announce.h"
#include "worker/dispatcher_internal.h"
#include "worker/failure.h"
#include "worker/flights.h"
#include "worker/places.h"
#include "worker/worker.h"

#define REWARN_PER_TRANSACTION 1000
/* between two rounds of upkeep that somebody has asked for */
#define UPKEEP_PAUSE_MS 1000
/* of all servers that are called in a turn */
#define LONGEST_CALLS_MS 50
/* while somebody else has the turn, see whether it is ours */
#define TURN_CHECK_MS 1000


static WaitEventSet *wait_set;
static bool everything; /* it is still to be found out whether we are paused, and to be looked at all queues */
static bool paused;
static bool unsettled; /* nothing was ever defined here, or a restore is under way: paused, and nobody's fault */
static TimestampTz upkeep_at; /* when to call for upkeep; WF_NEVER: nobody wants it */
static TimestampTz upkeep_called_at;
static TimestampTz news_at; /* when to tell of what has happened; WF_NEVER: nothing has */
static bool upkeep_anyway; /* though it has failed lately */
static bool waits_for_turn; /* after a crash: somebody else works */
static bool delivered; /* an executor may have delivered a reply */
static int	warned_after;	/* what workflow.warn_waiting was when the rows were last gone through for it */
static bool rewarning;		/* they are being gone through, up to */
static WfDueKey rewarned_to;

/* ---- starting ---- */

static void
load_waiting_replies(void)
{
	WfReplyKey *keys;
	int			n = wf_delivery_replies(NULL, 0, &keys);

	for (int i = 0; i < n; i++)
	{
		(void) wf_flight_take_off(keys[i].instance, keys[i].visit, NULL);
		if (keys[i].with_executor)
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
		if (!wf_is_executor_queue(lfirst(lc)))
			(void) wf_lane(lfirst(lc));
	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		wf_lane_restart(lanes[i]);
	wf_dispatcher.deliveries_at = DT_NOBEGIN;
}

/* That it is a copy is said once, however many dispatchers find out. */
static void
say_copy(bool copy)
{
	MemoryContext context = CurrentMemoryContext;

	if (!wf_copy_say(copy))
		return;
	wf_begin_transaction();
	ereport(WARNING,
			errmsg("workflow sends nothing in database \"%s\": it is a copy of another one", get_database_name(MyDatabaseId)),
			errhint("If the original is no more, run SELECT workflow.adopt() there."));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

static void
find_copy(void *arg)
{
	*(bool *) arg = wf_identity_check() == WF_IDENTITY_COPY;
}

/* If that cannot be found out just now, the loop does, as soon as it can. */
bool
wf_dispatcher_in_copy(void)
{
	bool		copy;

	wf_shortage_limit_locks();
	if (!wf_small_transaction(find_copy, &copy))
		return false;
	say_copy(copy);
	return copy && wf_copy_leave();
}

/* What is under way is brought to its end, and stored. Whoever adopts the database has the launcher look again. */
static void
leave_copy(void)
{
	if (wf_pause_get() == WF_PAUSED_COPY && !everything && wf_http_in_flight(wf_dispatcher.http) == 0 && wf_copy_leave())
		proc_exit(0);
}

/* May we act for these rows at all? Then look at all of them. */
static void
find_out(void *arg)
{
	WfPause    *pause = arg;
	WfIdentity	identity = wf_identity_check();

	*pause = WF_RUNNING;
	if (identity == WF_IDENTITY_COPY)
		*pause = WF_PAUSED_COPY;
	else if (wf_setting_start_paused && wf_pause_get() != WF_RUNNING && !wf_identity_adopted_since_start())
		*pause = WF_PAUSED_SETTING;
	unsettled = identity == WF_IDENTITY_NONE;
	if (*pause != WF_RUNNING || unsettled)
		return;
	wf_identity_note_timeline();
	upkeep_at = DT_NOBEGIN;
	upkeep_anyway = true;
	load_waiting_replies();
	load_queues();
}

static void
look_at_everything(void)
{
	WfPause		before = wf_pause_get();
	WfPause		pause;

	if (!everything || wf_shortage_lasts() || !wf_small_transaction(find_out, &pause))
		return;
	everything = false;
	paused = pause != WF_RUNNING || unsettled;
	wf_pause_set(pause);
	say_copy(pause == WF_PAUSED_COPY);
	if (pause == WF_PAUSED_SETTING && pause != before)
		ereport(LOG, errmsg("workflow sends nothing in this database: workflow.start_paused is on"),
				errhint("Run SELECT workflow.adopt() to let it begin."));
}

/* ---- notes ---- */

static void
apply_notes(void)
{
	WfNotes		notes;
	WfLane	  **lanes;
	int			n;

	wf_executors_reap();
	wf_notes_take(&notes);
	if (notes.everything)
	{
		wf_server_forget();
		delivered = true;
	}
	/* what a restore has brought is not acted on before it is clear whose it is */
	everything |= notes.everything || (unsettled && notes.n > 0);
	look_at_everything();
	if (paused)
		return;
	for (int i = 0; i < notes.n; i++)
	{
		if (strcmp(notes.notes[i].queue, WF_QUEUE_UPKEEP) == 0)
		{
			upkeep_at = Min(upkeep_at, TimestampTzPlusMilliseconds(upkeep_called_at, UPKEEP_PAUSE_MS));
			continue;
		}
		wf_lane_rewind(wf_lane(notes.notes[i].queue), notes.notes[i].due_at,
					   notes.notes[i].due_at);
		if (strcmp(notes.notes[i].queue, WF_QUEUE_MOVE) == 0)
		{
			wf_dispatcher.deliveries_at = Min(wf_dispatcher.deliveries_at, notes.notes[i].due_at);
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
	if (wf_dispatcher.deliveries_at != WF_NEVER)
		wf_dispatcher.deliveries_at = DT_NOBEGIN;
}

/* ---- partitions of the history are missing ---- */

/* What was missing may have been made meanwhile. */
static void
hasten_upkeep(void *arg)
{
	if (upkeep_anyway || !wf_history_begun() || wf_strays_any())
		wf_delivery_hasten_upkeep(upkeep_anyway);
}

static void
call_for_upkeep(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (upkeep_at > now || !wf_small_transaction(hasten_upkeep, NULL))
		return;
	upkeep_at = WF_NEVER;
	upkeep_called_at = now;
	upkeep_anyway = false;
}

/* ---- a new workflow.warn_waiting counts for those that wait already ---- */

static void
rewarn_some(void *arg)
{
	rewarning = wf_warn_anew(&rewarned_to, warned_after, REWARN_PER_TRANSACTION);
}

static void
rewarn(void)
{
	if (warned_after != wf_setting_warn_waiting)
	{
		warned_after = wf_setting_warn_waiting;
		rewarned_to = (WfDueKey){0};
		rewarning = true;
	}
	if (rewarning)
		(void) wf_small_transaction(rewarn_some, NULL);
}

/* ---- the loop ---- */

/* When something of the database has to be looked at next. */
static TimestampTz
next_look(void)
{
	TimestampTz next = Min(wf_dispatcher.deliveries_at, wf_flights_resume_next());
	WfLane	  **lanes;
	int			n;

	if (everything || (!paused && rewarning))
		return DT_NOBEGIN;
	if (paused)
		return WF_NEVER;
	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		next = Min(next, lanes[i]->server != NULL ? wf_requests_next(lanes[i]) : lanes[i]->next);
	return Min(Min(next, upkeep_at), wf_flights_kept_next());
}

static long
sleep_ms(void)
{
	TimestampTz next = Max(next_look(), wf_dispatcher.short_until);
	long		ms = -1;
	long		http_ms = wf_http_timeout(wf_dispatcher.http);

	if (waits_for_turn)
		return http_ms >= 0 ? Min(http_ms, TURN_CHECK_MS) : TURN_CHECK_MS;
	next = Min(Min(next, wf_failures_expire()), news_at);
	if (next != WF_NEVER)
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
	bool		wait = wf_dispatcher.skipped_locked || wf_dispatcher.deliveries_at != WF_NEVER;
	WfLane	  **lanes;
	int			n;

	lanes = wf_lanes_all(&n);
	for (int i = 0; i < n; i++)
		wait |= lanes[i]->server == NULL && lanes[i]->pause_ms > 0;
	if (wf_dispatcher.skipped_locked || wait != waiting)
		wf_notes_want_unlocks(wait);
	waiting = wait;
}

/*
 * Each turn begins with another one, since there may be less room than servers. Where requests take long to be made, clocks have
 * their turn before the next server has.
 */
static void
call_servers(void)
{
	static unsigned int first = 0;
	TimestampTz begin = GetCurrentTimestamp();
	int			n;
	WfLane	  **lanes = wf_lanes_all(&n);

	first++;
	for (int i = 0; i < n; i++)
	{
		WfLane	   *lane = lanes[(first + i) % n];

		if (lane->server == NULL)
			continue;
		wf_requests_call(lane);
		if (wf_shortage_lasts() || TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), LONGEST_CALLS_MS))
		{
			first += i;
			return;
		}
	}
}

static void
land(void)
{
	if (delivered)
		delivered = !wf_arrivals_land();
}

static void
fire(void)
{
	wf_arrivals_fire(wf_lane(WF_QUEUE_ALARM), WF_JOB_ALARM);
	if (!wf_shortage_lasts())
		wf_arrivals_fire(wf_lane(WF_QUEUE_TIMER), WF_JOB_DUE);
	if (!wf_shortage_lasts())
		wf_arrivals_fire(wf_lane(WF_QUEUE_MOVE), WF_JOB_DUE);
}

/* Nothing of it is begun while the dispatcher is short of what it needs to look at its queues. */
static void
look_at_database(void)
{
	static void (*const steps[]) (void) = {wf_arrivals_kept, land, rewarn, call_for_upkeep, fire, wf_arrivals_deliveries,
		call_servers, wf_requests_abort_abandoned, wf_demand_meet};

	wf_flights_resume(GetCurrentTimestamp());
	for (int i = 0; i < lengthof(steps) && !wf_shortage_lasts(); i++)
		steps[i] ();
}

static void
work(void)
{
	while (wf_arrivals_replies())
		wf_worker_check();
	if (paused)
	{
		leave_copy();
		return;
	}
	apply_notes(); /* our own */
	look_at_database();
}

static void
turn(void)
{
	apply_notes();
	wf_http_run(wf_dispatcher.http);
	waits_for_turn = !paused && !wf_careful_try();
	if (!waits_for_turn)
	{
		work();
		wf_careful_yield();
	}
	news_at = wf_announce_news(GetCurrentTimestamp());
	wf_http_run(wf_dispatcher.http);
	wf_show_in_flight(wf_http_in_flight(wf_dispatcher.http));
}

static void
close_connections(int code, Datum arg)
{
	wf_http_destroy(wf_dispatcher.http);
}

static void
share_memory(void)
{
	wf_http_memory(wf_dispatcher.http, wf_setting_dispatcher_memory * INT64CONST(1024) * 1024);
}

static void
start(void)
{
#ifdef M_TRIM_THRESHOLD
	/* batches come and go many times a second: do not hand their memory back each time */
	(void) mallopt(M_MMAP_THRESHOLD, 16 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
#endif
	wf_dispatcher.http = wf_http_create(TopMemoryContext, wf_setting_max_connections_http);
	share_memory();
	before_shmem_exit(close_connections, (Datum) 0);
	wf_flights_init();
	wf_places_init();
	wf_dispatcher.turn_context = AllocSetContextCreate(TopMemoryContext, "workflow turn", ALLOCSET_DEFAULT_SIZES);
	wf_lanes_init();
	wf_dispatcher.deliveries_at = WF_NEVER;
	upkeep_at = WF_NEVER;
	wf_dispatcher.short_until = DT_NOBEGIN;
	wf_dispatcher.abandoned_at = DT_NOBEGIN;
	warned_after = 0; /* it may have changed since the rows were written */
	wait_set = wf_create_wait_set(3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, wf_http_fd(wf_dispatcher.http), NULL, NULL);
	wf_lacks_forget();
	wf_shortage_limit_locks();
	everything = paused = true;
	look_at_everything();
}

static void
settings_were_read(void)
{
	share_memory();
	wf_shortage_limit_locks();
	everything |= paused; /* workflow.start_paused may be off */
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

		MemoryContextSwitchTo(wf_dispatcher.turn_context);
		MemoryContextReset(wf_dispatcher.turn_context);
		if (wf_worker_interrupts())
			settings_were_read();
		wf_dispatcher.skipped_locked = false;
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
