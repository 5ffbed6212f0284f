/*
 * limit.c
 *		How long a piece of work may take, and how its errors are caught.
 *
 * It owns one timeout of PostgreSQL (utils/timeout.h). The variables here are read and written by its signal handler.
 */
#include "compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "worker/budget.h"
#include "worker/limit.h"
#include "worker/memory.h"

/* Users' SQL that has exceeded its limit is cancelled MOST_HITS times, every HIT_AGAIN_MS. */
#define MOST_HITS	 5
#define HIT_AGAIN_MS 1000
/* During moves, the time that they have taken is looked at so often. */
#define LOOK_AT_TIME_MS 10
/* Likewise for users' SQL that runs beside others: after so long it may wait for no lock, */
#define BESIDE_LOOK_MS 5
/* and is cancelled after so many looks, even if it was only kept from running by others. */
#define BESIDE_LOOKS 3

static volatile sig_atomic_t limit_hit = false;
static volatile sig_atomic_t hit_in_lock = false;
static volatile sig_atomic_t hits = 0;

/* For moves: when the limit is exceeded, though a move may be stopped sooner, for its owner's budget. 0: no moves. */
static volatile TimestampTz limit_at = 0;

/* For users' SQL beside others: how often was it looked at, and from which look on does it count as uncancellable? 0: never. */
static volatile bool		 beside = false;
static volatile sig_atomic_t looks = 0;
static volatile sig_atomic_t last_look = 0;

/* A process that ends has no MyProc any more at last. */
static bool
is_in_lock(void)
{
	return MyProc != NULL && MyProc->waitStatus == PROC_WAIT_STATUS_WAITING;
}

/*
 * The work is done and its commit waits for a synchronous standby. A cancel would make it a commit that no standby has, and on which
 * the next ones build.
 */
static bool
is_waiting_for_standby(void)
{
	return MyProc != NULL && MyProc->syncRepState == SYNC_REP_WAITING;
}

/*
 * Others wait for what runs beside them, so it is cancelled soon; if it catches that, it is cancelled again like other
 * SQL, and counts as uncancellable when that would.
 */
static bool
is_to_be_cancelled_beside(void)
{
	looks++;
	if (limit_hit)
		return looks % (HIT_AGAIN_MS / BESIDE_LOOK_MS) == 0;
	return looks >= BESIDE_LOOKS || is_in_lock();
}

/*
 * Cancel what is running. Users' SQL can catch the cancel and continue, so it is cancelled again, and in the end the
 * process is terminated.
 */
static void
limit_handler(void)
{
	if (is_waiting_for_standby() || (beside && !is_to_be_cancelled_beside()))
		return;
	if (limit_at != 0 && (limit_hit || (GetCurrentTimestamp() < limit_at && !wf_budget_is_exceeded())))
		return;
	if (!limit_hit)
		hit_in_lock = is_in_lock();
	limit_hit = true;
	if ((!beside || (last_look > 0 && looks >= last_look)) && ++hits > MOST_HITS)
		ProcDiePending = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

static TimeoutId
limit_id(void)
{
	static bool		 registered = false;
	static TimeoutId id;

	if (!registered)
		id = RegisterTimeout(USER_TIMEOUT, limit_handler);
	registered = true;
	return id;
}

void
wf_limit_begin(int limit_ms)
{
	limit_hit = hit_in_lock = false;
	hits = 0;
	limit_at = 0;
	beside = false;
	if (limit_ms > 0)
		enable_timeout_after(limit_id(), limit_ms);
}

void
wf_limit_begin_moves(int limit_ms)
{
	TimestampTz now = GetCurrentTimestamp();

	limit_hit = hit_in_lock = false;
	hits = 0;
	beside = false;
	limit_at = TimestampTzPlusMilliseconds(now, limit_ms);
	enable_timeout_every(limit_id(), TimestampTzPlusMilliseconds(now, LOOK_AT_TIME_MS), LOOK_AT_TIME_MS);
}

void
wf_limit_begin_sql(int limit_ms)
{
	limit_hit = hit_in_lock = false;
	hits = 0;
	limit_at = 0;
	beside = false;
	if (limit_ms > 0)
		enable_timeout_every(limit_id(), TimestampTzPlusMilliseconds(GetCurrentTimestamp(), limit_ms), HIT_AGAIN_MS);
}

void
wf_limit_begin_beside(int longest_ms)
{
	limit_hit = hit_in_lock = false;
	hits = looks = 0;
	limit_at = 0;
	last_look = longest_ms / BESIDE_LOOK_MS;
	beside = true;
	enable_timeout_every(limit_id(), TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BESIDE_LOOK_MS),
						 BESIDE_LOOK_MS);
}

bool
wf_limit_is_beside(void)
{
	return beside;
}

bool
wf_limit_leaves_room(int limit_ms)
{
	return limit_ms == 0 || limit_ms > BESIDE_LOOK_MS * BESIDE_LOOKS;
}

void
wf_limit_end(void)
{
	disable_timeout(limit_id(), false);
	if (limit_hit)
		QueryCancelPending = false; /* the limit was exceeded just after the work was done */
}

bool
wf_limit_was_hit(void)
{
	return limit_hit;
}

bool
wf_limit_ends_us(void)
{
	return hits > MOST_HITS;
}

bool
wf_limit_hit_in_lock(void)
{
	return limit_hit && hit_in_lock;
}

ErrorData *
wf_catch(MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	disable_timeout(limit_id(), false);
	FlushErrorState();
	AbortCurrentTransaction();
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	return error;
}

bool
wf_catch_took_too_much(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_OUT_OF_MEMORY && wf_memory_limit_was_hit();
}

void
wf_catch_fault(const ErrorData *error, WfFault *fault)
{
	memset(fault, 0, sizeof(*fault));
	fault->code = WF_CODE_MOVE;
	fault->message = error->detail != NULL ? psprintf("%s: %s", error->message, error->detail) : error->message;
	if (wf_catch_took_too_much(error))
		fault->message = psprintf("the move takes more memory than %s allows", wf_memory_setting());
	strlcpy(fault->sqlstate, unpack_sql_state(error->sqlerrcode), sizeof(fault->sqlstate));
}
