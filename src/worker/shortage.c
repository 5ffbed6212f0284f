/*
 * shortage.c
 *		The dispatcher while it is short of something: it lives on, keeps what it has, and tries again after a pause.
 *
 * What belongs to a visit waits with that visit (moves.c, replies_and_timers.c). What the dispatcher needs to look at its queues at all is tried
 * in small transactions here; if one fails, none is begun until the pause is over. Requests under way are served meanwhile.
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

/* While replies cannot be stored, one request goes out in so long a time: the only one may be unlike all others. */
#define CANARY_MS 60000
/* of a lock, if moves may take as long as they like */
#define LONGEST_LOCK_MS 1000

/* ---- what it needs itself ---- */

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

/* A cancel is meant for some work, and this is none. */
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

/* It would stand before a lock while requests are not served. */
void
wf_shortage_limit_locks(void)
{
	char ms[16];

	snprintf(ms, sizeof(ms), "%d", wf_setting_move_timeout > 0 ? wf_setting_move_timeout : LONGEST_LOCK_MS);
	SetConfigOption("lock_timeout", ms, PGC_SUSET, PGC_S_OVERRIDE);
}

/* ---- nothing new while replies cannot be stored ---- */

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
