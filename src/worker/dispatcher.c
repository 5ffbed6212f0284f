/*
 * dispatcher.c
 *		The dispatcher's loop: requests that are due are sent, replies and timers move visits on.
 *
 * In each turn the dispatcher takes the wake-ups that commits have left. It reads replies off the sockets, handles them
 * and the timers that have come, a batch in each transaction (replies_and_timers.c). It makes the requests that are due
 * in a short transaction, and sends them after that has ended (requests.c). Then it sleeps until its latch is set, a
 * socket is ready, or something is due. It runs no users' code, and waits for no lock longer than a move may take.
 *
 * A visit is in flight (in_flight.c) from when its row is picked up until the result has been committed.
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
#include "shmem/copies.h"
#include "shmem/counters.h"
#include "shmem/database.h"
#include "shmem/executors.h"
#include "shmem/wakeups.h"
#include "shmem/settings.h"
#include "store/delivery.h"
#include "store/due.h"
#include "store/durable.h"
#include "store/executor_work.h"
#include "store/history.h"
#include "store/identity.h"
#include "store/row_place.h"
#include "store/warn_waiting.h"
#include "worker/announce.h"
#include "worker/dispatcher_internal.h"
#include "worker/failure.h"
#include "worker/in_flight.h"
#include "worker/places.h"
#include "worker/sent.h"
#include "worker/token.h"
#include "worker/worker.h"

#define REWARN_PER_TRANSACTION 1000
/* Shortest pause between two wake-ups that make upkeep due. */
#define UPKEEP_PAUSE_MS 1000
/* After so long in one turn, no further server is called. */
#define LONGEST_CALLS_MS 50
/* While another worker has the turn, look so often whether it is ours. */
#define TURN_CHECK_MS 1000

/* ---- starting ---- */

/* Visits whose replies wait as deliveries are in flight from the start, so that their requests are not sent again. */
static void
load_waiting_replies(void)
{
	WfReplyKey *keys;
	int			n = wf_delivery_replies(NULL, 0, &keys);

	for (int i = 0; i < n; i++)
	{
		(void) wf_in_flight_add(keys[i].instance, keys[i].visit, NULL);
		if (keys[i].with_executor)
			wf_in_flight_hand_over(keys[i].visit);
	}
}

/* Make cursors for all queues that have rows, and let all cursors look from the start. */
static void
load_queues(WfDispatcher *dispatcher)
{
	List		   *queues = wf_due_queues();
	ListCell	   *lc;
	WfQueueCursor **cursors;
	int				n;

	foreach (lc, queues)
		if (!wf_is_executor_queue(lfirst(lc)))
			(void) wf_queue_cursor(lfirst(lc));
	cursors = wf_queue_cursors_all(&n);
	for (int i = 0; i < n; i++)
		wf_queue_cursor_restart(cursors[i]);
	dispatcher->deliveries_at = DT_NOBEGIN;
	/* from the side of the messages: whoever waits is found for each of them */
	dispatcher->messages_from = 0;
	dispatcher->subscriptions_from = PG_INT64_MAX;
	dispatcher->has_broadcasts = true;
	wf_topics_forget();
}

/* Log that this database is a copy: once, however many dispatchers find that out one after the other. */
static void
say_copy(bool copy)
{
	MemoryContext context = CurrentMemoryContext;

	if (!wf_copy_say(copy))
		return;
	wf_begin_transaction();
	ereport(WARNING,
			errmsg("workflow sends nothing in database \"%s\": it is a copy of another one",
				   get_database_name(MyDatabaseId)),
			errhint("If the original is no more, run SELECT workflow.adopt() there."));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

static void
find_copy(WfDispatcher *dispatcher, void *arg)
{
	*(bool *) arg = wf_identity_check() == WF_IDENTITY_COPY;
}

/* If something is lacking to find that out now, false is returned: the loop finds it out as soon as it can. */
bool
wf_dispatcher_in_copy(void)
{
	WfDispatcher dispatcher = {0}; /* none yet */
	bool		 copy;

	wf_shortage_limit_locks();
	if (!wf_small_transaction(&dispatcher, find_copy, &copy))
		return false;
	say_copy(copy);
	return copy && wf_copy_leave();
}

/*
 * Exit, if this database is a copy and no request is in flight any more: replies to those that were sent before it was
 * found to be a copy are still stored. Adopting the copy has the launcher start a dispatcher again.
 */
static void
leave_copy(WfDispatcher *dispatcher)
{
	if (wf_pause_get() == WF_PAUSED_COPY && !dispatcher->everything && wf_http_in_flight(dispatcher->http) == 0 &&
		wf_copy_leave())
		proc_exit(0);
}

/* Find out whether this database is paused, or a copy. If it is neither, look at all of its queues. */
static void
find_out(WfDispatcher *dispatcher, void *arg)
{
	WfPause	  *pause = arg;
	WfIdentity identity = wf_identity_check();

	*pause = WF_RUNNING;
	if (identity == WF_IDENTITY_COPY)
		*pause = WF_PAUSED_COPY;
	else if (wf_setting_start_paused && wf_pause_get() != WF_RUNNING && !wf_identity_adopted_since_start())
		*pause = WF_PAUSED_SETTING;
	dispatcher->unsettled = identity == WF_IDENTITY_NONE;
	if (*pause != WF_RUNNING || dispatcher->unsettled)
		return;
	wf_identity_record_timeline();
	dispatcher->upkeep_at = DT_NOBEGIN;
	dispatcher->upkeep_anyway = true;
	load_waiting_replies();
	load_queues(dispatcher);
}

/*
 * A former primary that is started again does not know that another one was promoted meanwhile. If it had a synchronous
 * standby, none follows it now: so nothing leaves before one has confirmed all that is here. Commits alone would not see
 * to that, since what was due before is sent without one.
 */
static void
await_standby(void)
{
	static bool confirmed = false;

	if (!confirmed)
		wf_durable_require();
	confirmed = true;
}

static void
look_at_everything(WfDispatcher *dispatcher)
{
	WfPause before = wf_pause_get();
	WfPause pause;

	if (!dispatcher->everything || wf_shortage_lasts(dispatcher) || !wf_small_transaction(dispatcher, find_out, &pause))
		return;
	if (pause == WF_RUNNING && !dispatcher->unsettled)
	{
		await_standby();
		if (!wf_lost_record(dispatcher))
			return;
	}
	dispatcher->everything = false;
	dispatcher->paused = pause != WF_RUNNING || dispatcher->unsettled;
	wf_pause_set(pause);
	say_copy(pause == WF_PAUSED_COPY);
	if (pause == WF_PAUSED_SETTING && pause != before)
		ereport(LOG, errmsg("workflow sends nothing in this database: workflow.start_paused is on"),
				errhint("Run SELECT workflow.adopt() to let it begin."));
}

/* ---- wake-ups ---- */

/* Note the numbers of new messages and subscriptions, and new signals. */
static void
apply_numbers(WfDispatcher *dispatcher, const WfWakeups *wakeups)
{
	if (wakeups->message != 0)
		dispatcher->messages_from = Min(dispatcher->messages_from, wakeups->message);
	if (wakeups->subscription != 0)
		dispatcher->subscriptions_from = Min(dispatcher->subscriptions_from, wakeups->subscription);
	dispatcher->has_broadcasts |= wakeups->broadcast;
}

/*
 * Take the wake-ups that commits have left, and move the cursors of their queues back. Rows become visible out of the
 * order of their due times: without that, a cursor would have passed those that were committed late.
 */
static void
apply_wakeups(WfDispatcher *dispatcher)
{
	WfWakeups		wakeups;
	WfQueueCursor **cursors;
	int				n;

	wf_executors_reap();
	wf_wakeups_take(&wakeups);
	if (wakeups.everything)
	{
		wf_server_forget();
		dispatcher->delivered = true;
	}
	/* While unsettled, any new row may be from a restore: first find out which database it belongs to. */
	dispatcher->everything |= wakeups.everything || (dispatcher->unsettled && wakeups.n > 0);
	look_at_everything(dispatcher);
	if (dispatcher->paused)
		return;
	apply_numbers(dispatcher, &wakeups);
	for (int i = 0; i < wakeups.n; i++)
	{
		if (strcmp(wakeups.wakeups[i].queue, WF_QUEUE_UPKEEP) == 0)
		{
			dispatcher->upkeep_at =
				Min(dispatcher->upkeep_at, TimestampTzPlusMilliseconds(dispatcher->upkeep_called_at, UPKEEP_PAUSE_MS));
			continue;
		}
		wf_queue_cursor_rewind(wf_queue_cursor(wakeups.wakeups[i].queue), wakeups.wakeups[i].due_at,
							   wakeups.wakeups[i].due_at);
		if (strcmp(wakeups.wakeups[i].queue, WF_QUEUE_MOVE) == 0)
		{
			dispatcher->deliveries_at = Min(dispatcher->deliveries_at, wakeups.wakeups[i].due_at);
			dispatcher->delivered = true;
		}
	}
	if (!wakeups.unlocked)
		return;
	/* Rows that were skipped since their instances were locked can be tried again now. */
	cursors = wf_queue_cursors_all(&n);
	for (int i = 0; i < n; i++)
		if (cursors[i]->pause_ms > 0 && cursors[i]->server == NULL)
			cursors[i]->next = DT_NOBEGIN;
	if (dispatcher->deliveries_at != WF_NEVER)
		dispatcher->deliveries_at = DT_NOBEGIN;
}

/* ---- upkeep, if partitions of the history are missing ---- */

/* Make upkeep due, unless the partitions that were missing have been made meanwhile. */
static void
hasten_upkeep(WfDispatcher *dispatcher, void *arg)
{
	if (dispatcher->upkeep_anyway || !wf_history_begun() || wf_strays_any())
		wf_delivery_hasten_upkeep(dispatcher->upkeep_anyway);
}

static void
call_for_upkeep(WfDispatcher *dispatcher)
{
	TimestampTz now = GetCurrentTimestamp();

	if (dispatcher->upkeep_at > now || !wf_small_transaction(dispatcher, hasten_upkeep, NULL))
		return;
	dispatcher->upkeep_at = WF_NEVER;
	dispatcher->upkeep_called_at = now;
	dispatcher->upkeep_anyway = false;
}

/* ---- a new workflow.warn_waiting, which counts for visits that wait already ---- */

static void
rewarn_some(WfDispatcher *dispatcher, void *arg)
{
	dispatcher->rewarning = wf_warn_anew(&dispatcher->rewarned_to, dispatcher->warned_after, REWARN_PER_TRANSACTION);
}

static void
rewarn(WfDispatcher *dispatcher)
{
	if (dispatcher->warned_after != wf_setting_warn_waiting)
	{
		dispatcher->warned_after = wf_setting_warn_waiting;
		dispatcher->rewarned_to = (WfDueKey){0};
		dispatcher->rewarning = true;
	}
	if (dispatcher->rewarning)
		(void) wf_small_transaction(dispatcher, rewarn_some, NULL);
}

/* ---- the loop ---- */

/* When has the dispatcher to look at the database next? WF_NEVER: when it is woken. */
static TimestampTz
next_look_of_all(WfDispatcher *dispatcher)
{
	TimestampTz		next = Min(dispatcher->deliveries_at, wf_in_flight_resume_next());
	WfQueueCursor **cursors;
	int				n;

	if (dispatcher->everything || (!dispatcher->paused && dispatcher->rewarning))
		return DT_NOBEGIN;
	if (dispatcher->paused)
		return WF_NEVER;
	if (dispatcher->has_broadcasts)
		return DT_NOBEGIN;
	next = Min(Min(Min(next, wf_messages_next(dispatcher)), wf_topics_next()), wf_tokens_next());
	cursors = wf_queue_cursors_all(&n);
	for (int i = 0; i < n; i++)
		next = Min(next, cursors[i]->server != NULL ? wf_requests_next(dispatcher, cursors[i]) : cursors[i]->next);
	return Min(Min(next, dispatcher->upkeep_at), wf_in_flight_kept_next());
}

/* Milliseconds to sleep; -1: until something wakes this process. */
static long
sleep_ms(WfDispatcher *dispatcher)
{
	TimestampTz next = Max(next_look_of_all(dispatcher), dispatcher->short_until);
	long		ms = -1;
	long		http_ms = wf_http_timeout(dispatcher->http);

	if (dispatcher->waits_for_turn)
		return http_ms >= 0 ? Min(http_ms, TURN_CHECK_MS) : TURN_CHECK_MS;
	next = Min(Min(next, wf_failures_expire()), dispatcher->news_at);
	if (next != WF_NEVER)
	{
		TimestampTz now = GetCurrentTimestamp();

		/* Rounded up, since waking a moment early would only mean to sleep again. */
		ms = next <= now ? 0 : (long) Min((next - now + 999) / 1000, INT64CONST(3600000));
	}
	if (http_ms >= 0 && (ms < 0 || http_ms < ms))
		ms = http_ms;
	return ms;
}

/* Ask to be woken by the end of locks only while rows or deliveries were skipped for one. */
static void
wait_for_unlocks(WfDispatcher *dispatcher)
{
	bool			wait = dispatcher->skipped_locked || dispatcher->deliveries_at != WF_NEVER;
	WfQueueCursor **cursors;
	int				n;

	cursors = wf_queue_cursors_all(&n);
	for (int i = 0; i < n; i++)
		wait |= cursors[i]->server == NULL && cursors[i]->pause_ms > 0;
	if (dispatcher->skipped_locked || wait != dispatcher->wants_unlocks)
		wf_wakeups_want_unlocks(wait);
	dispatcher->wants_unlocks = wait;
}

/*
 * Send requests, server by server. Each turn begins with another server, since there may be fewer free places than
 * servers. If making requests takes long, the turn ends, so that replies and timers come before the next server.
 */
static void
call_servers(WfDispatcher *dispatcher)
{
	TimestampTz		begin = GetCurrentTimestamp();
	int				n;
	WfQueueCursor **cursors = wf_queue_cursors_all(&n);

	dispatcher->first_server++;
	for (int i = 0; i < n; i++)
	{
		WfQueueCursor *cursor = cursors[(dispatcher->first_server + i) % n];

		if (cursor->server == NULL)
			continue;
		wf_requests_call(dispatcher, cursor);
		if (wf_shortage_lasts(dispatcher) || TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), LONGEST_CALLS_MS))
		{
			dispatcher->first_server += i;
			return;
		}
	}
}

static void
remove_delivered(WfDispatcher *dispatcher)
{
	if (dispatcher->delivered)
		dispatcher->delivered = !wf_replies_remove_delivered(dispatcher);
}

static void
fire(WfDispatcher *dispatcher)
{
	wf_timers_fire(dispatcher, wf_queue_cursor(WF_QUEUE_ALARM), WF_JOB_ALARM);
	if (!wf_shortage_lasts(dispatcher))
		wf_timers_fire(dispatcher, wf_queue_cursor(WF_QUEUE_TIMER), WF_JOB_DUE);
	if (!wf_shortage_lasts(dispatcher))
		wf_timers_fire(dispatcher, wf_queue_cursor(WF_QUEUE_MOVE), WF_JOB_DUE);
}

/* What has waited for a token goes on, or makes an attempt that has failed. */
static void
look_at_tokens(WfDispatcher *dispatcher)
{
	WfJob *jobs;
	int	   n;

	wf_tokens_run();
	if (wf_tokens_next() != DT_NOBEGIN)
		return;
	jobs = palloc0(sizeof(WfJob) * DUE_PER_TRANSACTION);
	while ((n = wf_tokens_failed(jobs, DUE_PER_TRANSACTION)) > 0)
		wf_jobs_run(dispatcher, jobs, n);
}

/*
 * Do all that needs the database. As soon as something is lacking for that, the rest is left for a later turn. Deliveries
 * are taken before messages are matched: what one that is over gives back goes before what came after it.
 */
static void
look_at_database(WfDispatcher *dispatcher)
{
	static void (*const steps[])(
		WfDispatcher *
		dispatcher) = {wf_replies_retry_kept,		remove_delivered,  rewarn,			call_for_upkeep, fire,
					   wf_deliveries_take,			wf_messages_match, wf_signals_take, wf_topics_tell,	 call_servers,
					   wf_requests_abort_abandoned, wf_demand_meet};

	look_at_tokens(dispatcher);
	wf_in_flight_resume(GetCurrentTimestamp());
	for (int i = 0; i < lengthof(steps) && !wf_shortage_lasts(dispatcher); i++)
		steps[i](dispatcher);
}

static void
work_once(WfDispatcher *dispatcher)
{
	while (wf_replies_take(dispatcher))
		wf_worker_check();
	if (dispatcher->paused)
	{
		leave_copy(dispatcher);
		return;
	}
	apply_wakeups(dispatcher); /* those that the moves of these replies have left */
	look_at_database(dispatcher);
}

static void
turn(WfDispatcher *dispatcher)
{
	apply_wakeups(dispatcher);
	wf_http_run(dispatcher->http);
	dispatcher->waits_for_turn = !dispatcher->paused && !wf_careful_try();
	if (!dispatcher->waits_for_turn)
	{
		work_once(dispatcher);
		wf_careful_yield();
	}
	dispatcher->news_at = wf_announce_news(GetCurrentTimestamp());
	wf_sent_write();
	wf_http_run(dispatcher->http);
	wf_show_in_flight(wf_http_in_flight(dispatcher->http));
}

static void
close_connections(int code, Datum arg)
{
	WfDispatcher *dispatcher = (WfDispatcher *) DatumGetPointer(arg);

	wf_http_destroy(dispatcher->http);
}

/* Tell the HTTP client how much memory this process may take. */
static void
share_memory(WfDispatcher *dispatcher)
{
	wf_http_memory(dispatcher->http, wf_setting_dispatcher_memory * INT64CONST(1024) * 1024);
}

static void
start_dispatching(WfDispatcher *dispatcher)
{
#ifdef M_TRIM_THRESHOLD
	/* Batches come and go many times a second, so malloc should not give their memory back each time. */
	(void) mallopt(M_MMAP_THRESHOLD, 16 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
#endif
	dispatcher->http = wf_http_create(TopMemoryContext, wf_setting_max_connections_http);
	share_memory(dispatcher);
	before_shmem_exit(close_connections, PointerGetDatum(dispatcher));
	wf_row_places_begin();
	wf_in_flight_init();
	wf_tokens_init();
	wf_places_init();
	dispatcher->turn_context = AllocSetContextCreate(TopMemoryContext, "workflow turn", ALLOCSET_DEFAULT_SIZES);
	wf_queue_cursors_init();
	dispatcher->deliveries_at = WF_NEVER;
	dispatcher->messages_from = dispatcher->subscriptions_from = dispatcher->locked_message = PG_INT64_MAX;
	dispatcher->locked_messages_at = WF_NEVER;
	dispatcher->upkeep_at = WF_NEVER;
	dispatcher->short_until = DT_NOBEGIN;
	dispatcher->abandoned_at = DT_NOBEGIN;
	dispatcher->demand_not_before = DT_NOBEGIN;
	dispatcher->wait_set = wf_create_wait_set(3);
	AddWaitEventToSet(dispatcher->wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(dispatcher->wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(dispatcher->wait_set, WL_SOCKET_READABLE, wf_http_fd(dispatcher->http), NULL, NULL);
	wf_lacks_forget();
	wf_shortage_limit_locks();
	dispatcher->everything = dispatcher->paused = true;
	look_at_everything(dispatcher);
}

static void
settings_were_read(WfDispatcher *dispatcher)
{
	share_memory(dispatcher);
	wf_shortage_limit_locks();
	dispatcher->everything |= dispatcher->paused; /* workflow.start_paused may be off */
	look_at_everything(dispatcher);
}

void
wf_dispatcher_run(void)
{
	WfDispatcher *dispatcher = MemoryContextAllocZero(TopMemoryContext, sizeof(WfDispatcher));

	start_dispatching(dispatcher);
	for (;;)
	{
		WaitEvent event;
		long	  ms;

		MemoryContextSwitchTo(dispatcher->turn_context);
		MemoryContextReset(dispatcher->turn_context);
		if (wf_worker_interrupts())
			settings_were_read(dispatcher);
		dispatcher->skipped_locked = false;
		turn(dispatcher);
		wait_for_unlocks(dispatcher);
		/* A wait for a lock within the turn may have reset the latch that came with a wake-up. */
		ms = wf_wakeups_pending() ? 0 : sleep_ms(dispatcher);
		if (ms != 0)
			pgstat_report_stat(ms < 0 || ms > 1000);
		if (WaitEventSetWait(dispatcher->wait_set, ms, &event, 1, PG_WAIT_EXTENSION) == 1 &&
			event.events == WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
}
