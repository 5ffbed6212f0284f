/*
 * executor.c
 *		Whatever may be slow, wait for a lock or fail at commit: SQL steps, NOTIFY, async entries, write-backs, upkeep.
 *
 * One piece of work to a transaction. Work is claimed by locking its instance, others' is skipped. An executor that
 * finds nothing sleeps on its latch for a while and then leaves: worker slots are few.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/user_sql.h"
#include "shmem/settings.h"
#include "shmem/shmem.h"
#include "store/access.h"
#include "store/due.h"
#include "store/privilege.h"
#include "worker/chores.h"
#include "worker/moves.h"
#include "worker/worker.h"

#define IDLE_MS 10000
#define LONGEST_LOCK_PAUSE_MS 1000

static MemoryContext work_context;

typedef enum Found
{
	NOTHING,
	ONLY_LOCKED,
	DONE
} Found;

/* ---- visits ---- */

static WfVisit *
load(WfBatch *batch, const WfDueKey *key)
{
	wf_batch_lock(batch, &key->instance, 1, WF_LOCK_WAIT);
	wf_batch_load_visits(batch, &key->instance, &key->visit, 1);
	return wf_batch_visit(batch, key->instance, key->visit);
}

static bool
runs_sql(WfBatch *batch, WfVisit *visit)
{
	return visit != NULL && !visit->held && !visit->has_callback && visit->def != NULL && visit->queue != NULL &&
		   strcmp(visit->queue, WF_QUEUE_EXECUTOR) == 0 && visit->due_at != 0 &&
		   visit->due_at <= batch->now &&
		   (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING) &&
		   (visit->def->action == WF_ACTION_SQL || visit->def->action == WF_ACTION_NOTIFY) &&
		   (visit->deadline == 0 || visit->deadline > batch->now);
}

/* Longest time in milliseconds for the statement of a visit: until the visit has to end. 0: none */
static int
limit_of(const WfVisit *visit)
{
	int64		left;

	if (visit->deadline == 0)
		return wf_setting_sql_timeout;
	left = (visit->deadline - GetCurrentTimestamp()) / 1000 + 1;
	if (wf_setting_sql_timeout > 0)
		left = Min(left, wf_setting_sql_timeout);
	return (int) Min(Max(left, 1), PG_INT32_MAX);
}

/* What failed because the visit's time was over, or after that, is no failure of the statement. */
static void
take_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	bool		over = visit->deadline != 0 && visit->deadline <= batch->now;

	if (answer->fault.code != NULL && over && !visit->has_callback)
		wf_engine_alarm(batch, visit);
	else
		wf_engine_answer(batch, visit, answer);
}

/*
 * The statement runs with the instance locked but outside the batch: it may itself complete or cancel this instance. So
 * what it left is loaded afresh, and its answer counts only if the visit still asks for one.
 */
static void
run_sql(WfAccess *access, WfBatch *batch, const WfDueKey *key)
{
	WfVisit    *visit = wf_batch_visit(batch, key->instance, key->visit);
	Oid			owner = wf_process_owner(visit->instance->process->process_id);
	WfAnswer	answer;

	wf_store_leave(access);
	MemoryContextSwitchTo(batch->context);
	wf_limit_end();
	wf_limit_begin(limit_of(visit));
	wf_user_sql_run(visit, owner, wf_limit_was_hit, &answer);
	wf_limit_end();
	wf_limit_begin(wf_setting_sql_timeout);
	wf_store_enter(access);

	batch = wf_batch_begin();
	visit = load(batch, key);
	if (visit != NULL)
		take_answer(batch, visit, &answer);
	wf_batch_flush(batch);
}

static void
move_visit(WfBatch *batch, WfVisit *visit)
{
	if (visit == NULL)
		return;
	if (visit->deadline != 0 && visit->deadline <= batch->now && !visit->has_callback)
		wf_engine_alarm(batch, visit);
	else
		wf_engine_due(batch, visit);
	wf_batch_flush(batch);
}

static Found
work_on_visit(WfDueKey *key)
{
	WfAccess	access;
	WfBatch    *batch;
	WfVisit    *visit;
	bool		skipped;

	wf_store_enter(&access);
	if (!wf_due_claim(WF_QUEUE_EXECUTOR, GetCurrentTimestamp(), key, &skipped))
	{
		wf_store_leave(&access);
		return skipped ? ONLY_LOCKED : NOTHING;
	}
	batch = wf_batch_begin();
	visit = load(batch, key);
	if (runs_sql(batch, visit))
		run_sql(&access, batch, key);
	else
		move_visit(batch, visit);
	wf_store_leave(&access);
	return DONE;
}

static Found
work_on_delivery(WfDueKey *key)
{
	return wf_chores_work(key) ? DONE : NOTHING;
}

/* ---- failures ---- */

/* The transaction of a visit failed as a whole, at commit perhaps: count that as its attempt, in another one. */
static void
count_failure(const WfDueKey *key, const ErrorData *error)
{
	WfAccess	access;
	WfBatch    *batch;
	WfVisit    *visit;
	WfAnswer	answer = {.reply = NULL};

	wf_moves_fault(error, &answer.fault);
	answer.fault.code = pstrdup(answer.fault.sqlstate);
	answer.retryable = error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
					   error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
	StartTransactionCommand();
	wf_store_enter(&access);
	batch = wf_batch_begin();
	visit = load(batch, key);
	if (runs_sql(batch, visit))
		wf_engine_answer(batch, visit, &answer);
	else if (visit != NULL)
		wf_engine_break(batch, visit, &answer.fault);
	wf_batch_flush(batch);
	wf_store_leave(&access);
	CommitTransactionCommand();
}

static void
postpone_failed_delivery(int64 id)
{
	WfAccess	access;

	StartTransactionCommand();
	wf_store_enter(&access);
	wf_delivery_postpone(id, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 60000));
	wf_store_leave(&access);
	CommitTransactionCommand();
}

/* Would it fail the same way again? */
static bool
is_permanent(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'): /* transaction rollback */
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'): /* insufficient resources */
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'): /* operator intervention */
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'): /* system error */
			return wf_limit_was_hit();
		default:
			return true;
	}
}

/* What a delivery brings to a visit cannot be dealt with: an incident, instead of trying for ever. */
static void
break_delivery(const WfDueKey *key, const ErrorData *error)
{
	WfAccess	access;
	WfBatch    *batch;
	WfVisit    *visit;
	WfFault		fault;

	wf_moves_fault(error, &fault);
	if (wf_limit_was_hit())
		fault.message = "the move took longer than workflow.sql_timeout allows";
	StartTransactionCommand();
	wf_store_enter(&access);
	batch = wf_batch_begin();
	visit = load(batch, key);
	if (visit != NULL)
		wf_engine_break(batch, visit, &fault);
	wf_batch_flush(batch);
	wf_delivery_delete(key->due_at);
	wf_store_leave(&access);
	CommitTransactionCommand();
}

typedef Found (*Work) (WfDueKey *key);

static Found
try_work(Work work)
{
	volatile Found found = NOTHING;
	/* not on the stack: after an error a compiler may have what was in it before */
	WfDueKey   *key = MemoryContextAllocZero(work_context, sizeof(WfDueKey));
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		StartTransactionCommand();
		wf_limit_begin(wf_setting_sql_timeout);
		found = work(key);
		wf_limit_end();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		error = wf_moves_catch(work_context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work_context);
	if (error == NULL)
		return found;

	ereport(LOG, errcode(error->sqlerrcode),
			errmsg("workflow executor: %s", error->message),
			error->detail != NULL ? errdetail_internal("%s", error->detail) : 0);
	if (work == work_on_visit && key->visit != 0)
		count_failure(key, error);
	else if (work == work_on_delivery && key->due_at != 0)
	{
		postpone_failed_delivery(key->due_at);
		if (key->visit != 0 && is_permanent(error))
			break_delivery(key, error);
	}
	else
		ReThrowError(error);
	return DONE;
}

/* ---- the loop ---- */

void
wf_executor_run(void)
{
	int			pause_ms = 0;

	work_context = AllocSetContextCreate(TopMemoryContext, "workflow work", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		Found		visits;
		Found		deliveries;
		int			rc;

		MemoryContextSwitchTo(work_context);
		MemoryContextReset(work_context);
		wf_worker_interrupts();
		ResetLatch(MyLatch);
		wf_executor_idle(false);
		visits = try_work(work_on_visit);
		deliveries = try_work(work_on_delivery);
		if (visits == DONE || deliveries == DONE)
		{
			wf_count_handled((visits == DONE) + (deliveries == DONE));
			pause_ms = 0;
			continue;
		}
		pgstat_report_stat(true);
		if (visits == ONLY_LOCKED)
			pause_ms = pause_ms == 0 ? 2 : Min(pause_ms * 2, LONGEST_LOCK_PAUSE_MS);
		else
			wf_executor_idle(true);
		rc = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					   visits == ONLY_LOCKED ? pause_ms : IDLE_MS, PG_WAIT_EXTENSION);
		if ((rc & WL_TIMEOUT) != 0 && visits != ONLY_LOCKED)
			return;
	}
}
