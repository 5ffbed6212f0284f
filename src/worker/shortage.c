/*
 * shortage.c
 *		The dispatcher while something is lacking: it keeps what it has in memory, and tries again after a pause.
 *
 * If something is lacking for the work on a visit, that visit waits alone (moves.c, replies_and_timers.c). Here is the
 * rest: what the dispatcher needs to look at its queues is done in small transactions, and if one of them lacks
 * something, none is begun until a pause is over. Requests in flight are served meanwhile.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "shmem/settings.h"
#include "store/access.h"
#include "worker/dispatcher_internal.h"
#include "worker/failure.h"
#include "worker/in_flight.h"
#include "worker/limit.h"
#include "worker/worker.h"

/*
 * While replies cannot be stored, one request is sent in so long a time: it may be that only the reply that is kept
 * cannot be stored, and others could.
 */
#define CANARY_MS 60000
/* Longest wait for a lock if there is no limit for moves. */
#define LONGEST_LOCK_MS 1000

/* ---- what the dispatcher needs for itself ---- */

void
wf_shortage_begin(WfDispatcher *dispatcher, WfLack lack, const ErrorData *error)
{
	int pause_ms = wf_failure_wait(0, 0, lack, error, LONGEST_WAIT_MS);

	dispatcher->short_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
}

bool
wf_shortage_lasts(const WfDispatcher *dispatcher)
{
	return dispatcher->short_until > GetCurrentTimestamp();
}

/* What was lacking for a small transaction? A cancel is not meant for that, so it is tried again as after a lock. */
static WfLack
lack_of_small(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED ? WF_LACK_LOCK : wf_failure_lack(error);
}

bool
wf_small_transaction(WfDispatcher *dispatcher, void (*work)(WfDispatcher *dispatcher, void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;
	WfLack lack;

	wf_limit_begin(0);
	PG_TRY();
	{
		WfAccess access;

		wf_begin_transaction();
		wf_store_enter(&access);
		work(dispatcher, arg);
		wf_store_leave(&access);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		error = wf_catch(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (error == NULL)
	{
		wf_failure_over(0, 0);
		return true;
	}
	lack = lack_of_small(error);
	if (lack == WF_LACK_NONE)
		ReThrowError(error);
	wf_shortage_begin(dispatcher, lack, error);
	return false;
}

/* While the dispatcher waits for a lock, it serves no requests. */
void
wf_shortage_limit_locks(void)
{
	char ms[16];

	snprintf(ms, sizeof(ms), "%d", wf_setting_move_timeout > 0 ? wf_setting_move_timeout : LONGEST_LOCK_MS);
	SetConfigOption("lock_timeout", ms, PGC_SUSET, PGC_S_OVERRIDE);
}

/* ---- hardly any new requests while replies cannot be stored ---- */

static void
set_canary(WfDispatcher *dispatcher)
{
	dispatcher->canary_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), CANARY_MS);
}

bool
wf_shortage_holds_back(WfDispatcher *dispatcher)
{
	if (!wf_in_flight_blocked())
		dispatcher->canary_at = 0;
	else if (dispatcher->canary_at == 0)
		set_canary(dispatcher);
	return dispatcher->canary_at != 0;
}

bool
wf_shortage_canary(const WfDispatcher *dispatcher)
{
	return dispatcher->canary_at <= GetCurrentTimestamp();
}

void
wf_shortage_canary_sent(WfDispatcher *dispatcher)
{
	if (dispatcher->canary_at != 0)
		set_canary(dispatcher);
}
