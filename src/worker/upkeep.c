/*
 * upkeep.c
 *		Upkeep of the history: partitions are made ahead, and dropped when they are past retention; strays are moved
 *		to their partitions. And attached tables that were dropped are forgotten.
 *
 * Upkeep is a delivery that is due once an hour, or as soon as a partition is found missing. Each part of it runs in
 * small transactions of its own, and fails alone: what an administrator has attached to DDL, such as an event trigger
 * that raises an error, must stop neither the rest of upkeep nor other work. Failures are announced (log, NOTIFY, view
 * workers), and upkeep is tried again after a pause that grows up to an hour.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/database.h"
#include "shmem/wakeups.h"
#include "shmem/settings.h"
#include "store/access.h"
#include "store/attachment.h"
#include "store/audit.h"
#include "store/history.h"
#include "store/identity.h"
#include "store/kept.h"
#include "store/operation.h"
#include "store/work.h"
#include "worker/announce.h"
#include "worker/limit.h"
#include "worker/upkeep.h"
#include "worker/worker.h"

#define EVERY_MS	   (60 * 60 * 1000)
#define FIRST_PAUSE_MS (60 * 1000)
/* Longest time for getting and holding locks behind which all others wait. */
#define HURRY_MS 1000
/* A lock that was not free is announced only after so many rounds in a row: partitions are made weeks ahead. */
#define LOCKED_TOO_OFTEN 5

typedef struct Round
{
	MemoryContext context;	 /* lives as long as the round */
	const char	 *retention; /* NULL: the history is kept for ever */
	int			  attempt;	 /* rounds in a row, with this one, that have not succeeded */
	bool		  again;	 /* something failed in this round */
	const char	 *failure;	 /* the first failure that is worth telling; NULL: there is none */
	const char	 *error;	 /* the error message of that failure */
	bool		  purged;	 /* a part of the history was deleted */
} Round;

/* A piece of work in one transaction, inside wf_store_enter. Returns true if there may be more. */
typedef bool (*Piece)(Round *round, void *at);

static bool under_way = false; /* is upkeep being carried out? */

/* ---- failures ---- */

static bool
worth_telling(const Round *round, const ErrorData *error)
{
	return error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE || round->attempt >= LOCKED_TOO_OFTEN;
}

/* Log a failure, unless the log has the same error from this round, and remember the first that is worth telling. */
static void
failed(Round *round, const char *failure, const ErrorData *error)
{
	const char *message = wf_limit_was_hit() ? "it took longer than it may" : error->message;

	if (round->error == NULL || strcmp(round->error, message) != 0)
		ereport(worth_telling(round, error) ? WARNING : LOG, errcode(error->sqlerrcode),
				errmsg("workflow: %s: %s", failure, message),
				error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
				error->hint != NULL
					? errhint("%s", error->hint)
					: errhint(
						  "Nothing is lost by that, and it is tried again. Look for event triggers: they are run by "
						  "workers, too, with search_path = pg_catalog."),
				error->context != NULL ? errcontext("%s", error->context) : 0);
	round->again = true;
	if (round->error != NULL || !worth_telling(round, error))
		return;
	round->failure = failure;
	round->error = MemoryContextStrdup(round->context, message);
}

/* ---- one piece ---- */

/* Begin the next transaction, after committing the one before. */
static void
begin_chunk(WfAccess *access, int limit_ms)
{
	wf_limit_end();
	if (IsTransactionState())
		CommitTransactionCommand();
	wf_begin_transaction();
	wf_limit_begin_sql(limit_ms);
	wf_store_enter(access);
}

/* Try a piece of work. Returns false if it has failed, or there is no more of it. */
static bool
try_piece(Round *round, const char *failure, Piece piece, void *at, int limit_ms)
{
	volatile bool more = false;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		WfAccess access;

		begin_chunk(&access, limit_ms);
		more = piece(round, at);
		wf_store_leave(&access);
		wf_limit_end();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		error = wf_catch(round->context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(round->context);
	if (error == NULL)
		return more;
	failed(round, failure, error);
	return false;
}

static void
try_all_rounds(Round *round, const char *failure, Piece piece, void *at, int limit_ms)
{
	while (try_piece(round, failure, piece, at, limit_ms))
		CHECK_FOR_INTERRUPTS();
}

/* ---- making ---- */

/* Find the partitions that are missing. Their list has to outlive this transaction. */
static bool
look_for_missing(Round *round, void *at)
{
	MemoryContext old = MemoryContextSwitchTo(round->context);

	*(List **) at = wf_history_missing(GetCurrentTimestamp());
	MemoryContextSwitchTo(old);
	return false;
}

static bool
make_one(Round *round, void *at)
{
	wf_history_make(at);
	return false;
}

/* Make the partitions that are missing, each in a transaction of its own: what stops one need not stop the others. */
static void
make_missing(Round *round)
{
	List	 *missing = NIL;
	ListCell *lc;

	(void) try_piece(round, "missing partitions of the history cannot be found", look_for_missing, &missing,
					 wf_setting_sql_timeout);
	foreach (lc, missing)
	{
		(void) try_piece(round, "partitions of the history cannot be made", make_one, lfirst(lc),
						 wf_setting_sql_timeout);
		if (wf_limit_was_hit())
			break; /* each of the others would take as long */
	}
}

/* ---- strays ---- */

typedef struct Strays
{
	WfHistory history;
	uint32	  block;
} Strays;

static bool
settle_strays(Round *round, void *at)
{
	Strays *strays = at;

	return wf_strays_settle(strays->history, &strays->block);
}

static bool
purge_strays(Round *round, void *at)
{
	Strays *strays = at;

	return wf_strays_purge(strays->history, round->retention, &strays->block, &round->purged);
}

static void
with_strays(Round *round, const char *failure, Piece piece)
{
	for (WfHistory history = 0; history < WF_HISTORY_TABLES; history++)
	{
		Strays strays = {.history = history};

		try_all_rounds(round, failure, piece, &strays, wf_setting_sql_timeout);
	}
}

/* ---- purging ---- */

static bool
forward(Round *round, void *at)
{
	return wf_history_forward(at, round->retention);
}

static bool
trim(Round *round, void *at)
{
	return wf_history_trim();
}

/* Begin a shorter limit, before the locks for dropping are asked for: all others wait behind them. */
static void
hurry(void)
{
	wf_limit_end();
	wf_limit_begin_sql(HURRY_MS);
}

static bool
drop_one(Round *round, void *at)
{
	if (!wf_history_drop(*(WfHistory *) at, round->retention, hurry))
		return false;
	round->purged = true;
	return true;
}

/* Drop expired partitions. Looking through one has no time limit, since nobody waits for it. */
static void
drop_all(Round *round)
{
	for (WfHistory history = 0; history < WF_HISTORY_TABLES; history++)
		try_all_rounds(round, "partitions of the history that are past retention cannot be dropped", drop_one, &history,
					   0);
}

static bool
purge_late(Round *round, void *at)
{
	wf_history_purge_late();
	return false;
}

static bool
forget_lost(Round *round, void *at)
{
	wf_identity_forget_lost();
	return false;
}

static bool
purge_audit(Round *round, void *at)
{
	return wf_audit_purge(round->retention, at);
}

static bool
purge_operations(Round *round, void *at)
{
	return wf_operations_purge(round->retention, at);
}

static bool
purge_messages(Round *round, void *at)
{
	return wf_kept_purge();
}

static void
purge(Round *round)
{
	const char *failure = "history that is past retention cannot be deleted";
	WfForward	at = {0};
	TimestampTz looked_at = 0;
	int64		operation = 0;

	if (round->retention != NULL)
		try_all_rounds(round, "history that is kept cannot be moved on", forward, &at, wf_setting_sql_timeout);
	try_all_rounds(round, failure, trim, NULL, wf_setting_sql_timeout);
	if (round->retention != NULL)
		drop_all(round);
	if (round->purged)
		(void) try_piece(round, failure, purge_late, NULL, wf_setting_sql_timeout);
	(void) try_piece(round, "what was given to roles that are gone cannot be deleted", forget_lost, NULL,
					 wf_setting_sql_timeout);
	try_all_rounds(round, "messages that have expired cannot be deleted", purge_messages, NULL, wf_setting_sql_timeout);
	if (round->retention == NULL)
		return;
	try_all_rounds(round, "the record of calls that is past retention cannot be deleted", purge_audit, &looked_at,
				   wf_setting_sql_timeout);
	try_all_rounds(round, "operations that are past retention cannot be deleted", purge_operations, &operation,
				   wf_setting_sql_timeout);
}

/* ---- attached tables ---- */

static bool
prune_attachments(Round *round, void *at)
{
	wf_attachment_prune();
	return false;
}

/* ---- work ---- */

/* Work that a worker's transaction held when its visit ended. */
static bool
sweep_work(Round *round, void *at)
{
	return wf_work_sweep();
}

/* ---- a round ---- */

/* Until the round is over, upkeep stands as failed and due in an hour, for the case that this process dies. */
static void
begin_round(Round *round, const WfDelivery *delivery)
{
	WfAccess access;

	wf_store_enter(&access);
	wf_delivery_set(delivery->id, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), EVERY_MS), round->attempt);
	wf_store_leave(&access);
}

static void
announce(const Round *round)
{
	TimestampTz since = wf_upkeep_say(round->failure, round->error);

	if (round->failure != NULL)
		wf_announce(&(WfAnnouncement){.event = "partition", .count = round->attempt, .since = since});
	else if (round->attempt > 1)
		ereport(LOG, errmsg("workflow: upkeep of the history works again"));
}

/*
 * During a round nobody can make upkeep due: whoever misses a partition then, too late for this round, asks in vain. Once
 * the round stands as over, this asks for him.
 */
static void
call_again(void)
{
	TimestampTz now = GetCurrentTimestamp();
	WfAccess	access;

	begin_chunk(&access, wf_setting_sql_timeout);
	if (wf_strays_any() || wf_history_missing(now) != NIL)
		wf_wakeup_due(WF_QUEUE_UPKEEP, now);
	wf_store_leave(&access);
}

static void
end_round(const Round *round, const WfDelivery *delivery)
{
	int			pause_ms = round->again ? Min(FIRST_PAUSE_MS << Min(round->attempt - 1, 10), EVERY_MS) : EVERY_MS;
	TimestampTz due_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
	WfAccess	access;

	begin_chunk(&access, wf_setting_sql_timeout);
	announce(round);
	wf_delivery_set(delivery->id, due_at, round->again ? round->attempt : 0);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, due_at);
	wf_store_leave(&access);
	if (!round->again)
		call_again();
}

void
wf_upkeep(const WfDelivery *delivery)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "workflow upkeep", ALLOCSET_DEFAULT_SIZES);
	Round		  round = {.context = context, .attempt = delivery->attempt + 1};

	if (wf_setting_retention != NULL && *wf_setting_retention != '\0')
		round.retention = MemoryContextStrdup(context, wf_setting_retention);
	begin_round(&round, delivery);
	under_way = true;
	if (round.retention != NULL)
		with_strays(&round, "history that is past retention cannot be deleted", purge_strays);
	make_missing(&round);
	with_strays(&round, "strays of the history cannot be moved to its partitions", settle_strays);
	purge(&round);
	(void) try_piece(&round, "attached tables that were dropped cannot be forgotten", prune_attachments, NULL,
					 wf_setting_sql_timeout);
	try_all_rounds(&round, "work whose visit has ended cannot be deleted", sweep_work, NULL, wf_setting_sql_timeout);
	under_way = false; /* what fails from here on is reported by the executor */
	end_round(&round, delivery);
	MemoryContextDelete(context);
}

void
wf_upkeep_record_uncancellable(void)
{
	if (under_way)
		(void) wf_upkeep_say("upkeep of the history cannot be carried out",
							 "it took longer than workflow.sql_timeout allows, and could not be cancelled");
}
