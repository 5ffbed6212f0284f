/*
 * executor.c
 *		Whatever may be slow, wait for a lock or fail at commit: SQL steps, NOTIFY, async entries, write-backs, upkeep.
 *
 * One piece of work to a transaction. Work is claimed by locking its instance, others' is skipped. An executor serves one role
 * and ends before another could be served: what a session keeps, connections of extensions, random seeds, session variables,
 * passes from nobody to anybody else. One that finds nothing sleeps on its latch for a while and then leaves: worker slots are few.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/user_sql.h"
#include "shmem/careful.h"
#include "shmem/counters.h"
#include "shmem/executors.h"
#include "shmem/notes.h"
#include "shmem/settings.h"
#include "shmem/shown.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/due.h"
#include "store/executor_work.h"
#include "store/owed.h"
#include "store/privilege.h"
#include "worker/chores.h"
#include "worker/deliver.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/turns.h"
#include "worker/upkeep.h"
#include "worker/worker.h"

#define IDLE_MS 10000
#define LONGEST_LOCK_PAUSE_MS 1000
/* what failed and could not be dealt with */
#define FAILED_PAUSE_MS 60000
/* what an executor itself needs and has not */
#define LONGEST_WAIT_MS 10000
/* longest time to record a failure */
#define REPAIR_LIMIT_MS 10000

static MemoryContext work_context;
static bool waiting = false;   /* this piece of work is tried again: nothing is over with its transaction */
static int64 running = 0;	   /* the visit whose SQL is being run */
static int64 delivering = 0;   /* the delivery that is being carried out */

typedef enum Found
{
	NOTHING,
	ONLY_LOCKED,
	DONE
} Found;

/* ---- visits ---- */

static WfVisit *
load(WfBatch *batch, const WfWorkItem *item)
{
	wf_batch_lock(batch, &item->instance, 1, WF_LOCK_WAIT);
	wf_batch_load_visits(batch, &item->instance, &item->visit, 1);
	return wf_batch_visit(batch, item->instance, item->visit);
}

static bool
wants_statement(WfBatch *batch, const WfVisit *visit)
{
	return visit != NULL && wf_state_wants_statement(visit, batch->now);
}

/* Longest time in milliseconds for the statement of a visit: until the visit has to end. 0: none */
static int
limit_of(const WfVisit *visit)
{
	int64		left;

	if (visit->clocks.deadline == 0)
		return wf_setting_sql_timeout;
	left = (visit->clocks.deadline - GetCurrentTimestamp()) / 1000 + 1;
	if (wf_setting_sql_timeout > 0)
		left = Min(left, wf_setting_sql_timeout);
	return (int) Min(Max(left, 1), PG_INT32_MAX);
}

/* For wf_user_sql_run, while what it asks about is still known. */
static void
judge(const ErrorData *error, WfAnswer *answer)
{
	answer->lack = wf_failure_lack(error);
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && wf_limit_was_hit())
		answer->fault.message = "the statement took longer than workflow.sql_timeout allows";
	else if (wf_catch_took_too_much(error))
		answer->fault.message = "the statement takes more memory than workflow.executor_memory allows";
}

/* No attempt was made. It is its row that waits, not an executor. */
static void
postpone(WfBatch *batch, WfVisit *visit, WfLack lack, const WfFault *fault)
{
	int			pause_ms = wf_failure_wait_sql(visit->instance->id, visit->id, lack, fault, FAILED_PAUSE_MS);

	waiting = true;
	wf_engine_postpone(batch, visit, TimestampTzPlusMilliseconds(batch->now, pause_ms));
}

/* What failed because the visit's time was over, or after that, is no failure of the statement. */
static void
take_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	if (answer->fault.code != NULL && wf_state_is_over(visit, batch->now))
		wf_engine_alarm(batch, visit);
	else if (answer->lack != WF_LACK_NONE && wants_statement(batch, visit) && !wf_engine_names(visit, &answer->fault))
		postpone(batch, visit, answer->lack, &answer->fault);
	else
		wf_engine_answer(batch, visit, answer);
}

/* At exit: what made this process end is not begun again by the next one. */
static void
leave_word(int code, Datum arg)
{
	if (!wf_limit_ends_us())
		return;
	if (running != 0)
		wf_stubborn_note(running);
	else if (delivering != 0)
		wf_stubborn_note(WF_STUBBORN_DELIVERY(delivering));
	else
		wf_upkeep_leave_word();
}

static void
refuse_stubborn(WfAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->fault.code = "57014";
	answer->fault.message = "the statement took longer than it may, and could not be cancelled";
	strlcpy(answer->fault.sqlstate, "57014", sizeof(answer->fault.sqlstate));
}

/*
 * The statement runs with the instance locked but outside the batch: it may itself complete or cancel this instance. So
 * what it left is loaded afresh, and its answer counts only if the visit still asks for one.
 */
static void
run_sql(WfAccess *access, WfBatch *batch, const WfWorkItem *item)
{
	WfVisit    *visit = wf_batch_visit(batch, item->instance, item->visit);
	Oid			owner = wf_executor_role();
	WfAnswer	answer;

	wf_store_leave(access);
	MemoryContextSwitchTo(batch->context);
	wf_limit_end();
	wf_limit_begin_sql(limit_of(visit));
	if (wf_stubborn_take(item->visit))
		refuse_stubborn(&answer);
	else
	{
		running = item->visit;
		wf_user_sql_run(visit, owner, judge, &answer);
		running = 0;
	}
	wf_limit_end();
	wf_limit_begin(wf_setting_sql_timeout);
	wf_store_enter(access);

	batch = wf_batch_begin();
	visit = load(batch, item);
	if (visit != NULL)
		take_answer(batch, visit, &answer);
	wf_batch_flush(batch);
}

static void
move_visit(WfBatch *batch, WfVisit *visit)
{
	if (visit == NULL)
		return;
	if (wf_state_is_over(visit, batch->now))
		wf_engine_alarm(batch, visit);
	else
		wf_engine_due(batch, visit);
	wf_batch_flush(batch);
}

/* It may have got another owner since the queue was looked up. */
static bool
is_ours(const WfVisit *visit)
{
	return wf_process_owner(visit->instance->process->process_id) == wf_executor_role();
}

/* The server does not survive it: what it carries, or even its handlers, may be the reason. */
static void
break_deadly(const WfWorkItem *item, int deaths)
{
	WfBatch    *batch = wf_batch_begin();
	WfVisit    *visit = load(batch, item);
	WfFault		fault;

	wf_failure_died(&fault);
	if (visit != NULL)
		wf_engine_break(batch, visit, &fault, deaths > WF_MOST_DEATHS ? WF_BREAK_BARE : WF_BREAK_VISIT);
	wf_batch_flush(batch);
}

static Found
work_on_visit(const char *queue, WfWorkItem *item)
{
	WfAccess	access;
	WfBatch    *batch;
	WfVisit    *visit;
	bool		skipped;
	Found		found = DONE;
	int			deaths;

	wf_store_enter(&access);
	if (!wf_due_claim(queue, GetCurrentTimestamp(), item, &skipped))
	{
		wf_store_leave(&access);
		return skipped ? ONLY_LOCKED : NOTHING;
	}
	wf_show_visit(item->visit);
	deaths = wf_careful_begin(WF_PIECE_EXECUTE, item->visit);
	if (deaths >= WF_MOST_DEATHS)
	{
		break_deadly(item, deaths);
		wf_store_leave(&access);
		return DONE;
	}
	batch = wf_batch_begin();
	visit = load(batch, item);
	if (!wants_statement(batch, visit))
		move_visit(batch, visit);
	else if (is_ours(visit))
		run_sql(&access, batch, item);
	else
	{
		wf_note_due(WF_QUEUE_EXECUTOR, visit->due_at);
		wf_careful_keep();
		found = NOTHING;
	}
	wf_store_leave(&access);
	return found;
}

static Found
work_on_delivery(const char *queue, WfWorkItem *item)
{
	Found		found;

	/* a write-back runs triggers of the table */
	wf_limit_end();
	wf_limit_begin_sql(wf_setting_sql_timeout);
	found = wf_chores_work(queue, item, &delivering) ? DONE : NOTHING;
	delivering = 0;
	return found;
}

/* ---- failures ---- */

typedef struct Failure
{
	ErrorData  *error;
	WfLack		lack;
	WfFault		fault; /* the error as one */
	int			pause_ms; /* of a delivery */
} Failure;

/*
 * A failure is dealt with in a transaction of its own, which can fail as well: NULL if it has not. Another executor may have
 * taken up the same piece of work meanwhile: that is waited for, but not for long, since it deals with it itself.
 */
typedef void (*Repair) (const WfWorkItem *item, const Failure *failure, WfBreak broken);

static Failure *
take_error(void)
{
	Failure    *failure = MemoryContextAllocZero(work_context, sizeof(Failure));

	failure->error = wf_catch(work_context);
	failure->lack = wf_failure_lack(failure->error);
	wf_catch_fault(failure->error, &failure->fault);
	return failure;
}

static Failure *
try_repair(Repair repair, const WfWorkItem *item, const Failure *failure, WfBreak broken)
{
	Failure    *volatile second = NULL;

	PG_TRY();
	{
		WfAccess	access;

		wf_begin_transaction();
		wf_limit_begin(REPAIR_LIMIT_MS);
		wf_store_enter(&access);
		repair(item, failure, broken);
		wf_store_leave(&access);
		wf_limit_end();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		second = take_error();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work_context);
	return second;
}

/* What a visit carries may be the reason why not even an incident can be made of it. NULL if it could. */
static Failure *
try_to_break(Repair repair, const WfWorkItem *item, const Failure *failure, WfBreak broken)
{
	Failure    *second = try_repair(repair, item, failure, broken);

	if (second != NULL && second->lack == WF_LACK_NONE)
		second = try_repair(repair, item, failure, WF_BREAK_BARE);
	if (second != NULL && second->lack == WF_LACK_NONE)
		ereport(WARNING, errcode(second->error->sqlerrcode),
				errmsg("workflow executor could not make an incident of a failure: %s", second->error->message));
	return second;
}

/*
 * Not even the row can be written: all other work would fail like it. Sleeps, instead of ending and being started again, with a
 * pause that grows; whoever finds this piece of work then does it.
 */
static void
sit_out(const WfWorkItem *item, const Failure *failure)
{
	int			pause_ms = wf_failure_wait(item->instance, item->visit, failure->lack, failure->error, LONGEST_WAIT_MS);
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
	TimestampTz now;

	/* it is not under work meanwhile */
	wf_careful_end();
	wf_careful_yield();
	while ((now = GetCurrentTimestamp()) < until)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(now, until), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		wf_worker_interrupts();
	}
}

/* It could not be dealt with. An error that is nobody's shortage ends this process, and another one is started after a pause. */
static void
give_up(const WfWorkItem *item, const Failure *failure)
{
	if (failure->lack == WF_LACK_NONE)
		ReThrowError(failure->error);
	sit_out(item, failure);
}

/*
 * The transaction of a visit failed as a whole, at commit perhaps: count that as its attempt, if it was its fault. A
 * callback may have been accepted once its lock was gone; the dispatcher has been told of that.
 */
static void
count_failure(const WfWorkItem *item, const Failure *failure, WfBreak broken)
{
	WfBatch    *batch = wf_batch_begin();
	WfVisit    *visit = load(batch, item);
	WfAnswer	answer = {.fault = failure->fault};
	bool		runs = wants_statement(batch, visit);

	if (failure->lack != WF_LACK_NONE && visit != NULL && wf_is_executor_queue(visit->queue) &&
		!(runs && wf_engine_names(visit, &answer.fault)))
		postpone(batch, visit, failure->lack, &failure->fault);
	else if (runs && broken != WF_BREAK_BARE)
		wf_engine_answer(batch, visit, &answer);
	else if (visit != NULL && wf_is_executor_queue(visit->queue))
		wf_engine_break(batch, visit, &failure->fault, broken);
	wf_batch_flush(batch);
}

static void
postpone_visit(const WfWorkItem *item, const Failure *failure, WfBreak broken)
{
	TimestampTz again = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FAILED_PAUSE_MS);

	wf_due_postpone(item->instance, item->visit, again);
	wf_note_due(WF_QUEUE_EXECUTOR, again);
}

static void
visit_failed(const WfWorkItem *item, Failure *failure)
{
	Failure    *second;

	failure->fault.code = pstrdup(failure->fault.sqlstate);
	second = try_to_break(count_failure, item, failure, WF_BREAK_VISIT);
	/* others behind it must not wait for it */
	if (second != NULL && second->lack == WF_LACK_NONE)
		second = try_repair(postpone_visit, item, failure, WF_BREAK_VISIT);
	if (second != NULL)
		give_up(item, second);
}

static void
postpone_delivery(const WfWorkItem *item, const Failure *failure, WfBreak broken)
{
	TimestampTz again = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), failure->pause_ms);

	wf_owed_note(item->delivery, failure->fault.message);
	/* what is behind it waits for it; but not for one that is about to be given up */
	if (item->visit != 0 && failure->lack != WF_LACK_NONE)
		wf_deliveries_postpone(&item->instance, &again, 1);
	else
		wf_delivery_postpone(item->delivery, again);
	wf_note_due(WF_QUEUE_EXECUTOR, again);
}

/* What a delivery brings to a visit cannot be dealt with: an incident, instead of trying for ever. */
static void
break_delivery(const WfWorkItem *item, const Failure *failure, WfBreak broken)
{
	WfBatch    *batch = wf_batch_begin();
	WfVisit    *visit = load(batch, item);

	if (visit != NULL)
		wf_engine_break(batch, visit, &failure->fault, broken);
	wf_batch_flush(batch);
	wf_delivery_delete(item->delivery);
	wf_note_due(WF_QUEUE_MOVE, batch->now); /* the dispatcher has it in flight until then */
}

/* Those that move no visit are tried again whatever it was. */
static void
delivery_failed(const WfWorkItem *item, Failure *failure)
{
	bool		own = item->visit != 0 && failure->lack == WF_LACK_NONE;
	Failure    *second;

	if (wf_limit_was_hit())
		failure->fault.message = "the move took longer than workflow.sql_timeout allows";
	failure->pause_ms = FAILED_PAUSE_MS;
	if (failure->lack != WF_LACK_NONE && item->visit != 0)
		failure->pause_ms = wf_failure_wait_sql(item->instance, item->visit, failure->lack, &failure->fault,
												failure->lack == WF_LACK_LOCK ? LONGEST_LOCK_PAUSE_MS : FAILED_PAUSE_MS);
	second = try_repair(postpone_delivery, item, failure, WF_BREAK_ACTION);
	if (second != NULL)
		give_up(item, second);
	else if (own)
		(void) try_to_break(break_delivery, item, failure, WF_BREAK_ACTION);
}

static void
has_failed(const WfWorkItem *item, Failure *failure)
{
	ErrorData  *error = failure->error;

	if (item->delivery != 0 && item->visit != 0 && wf_deliver_one_by_one(item->instance))
		return;
	/* shortages are told of once, and not for each piece of work */
	if (failure->lack == WF_LACK_NONE)
		ereport(LOG, errcode(error->sqlerrcode),
				errmsg("workflow executor: %s", error->message),
				error->detail != NULL ? errdetail_internal("%s", error->detail) : 0);
	if (item->delivery != 0)
		delivery_failed(item, failure);
	else if (item->visit != 0)
		visit_failed(item, failure);
	else
		give_up(item, failure);
}

static Found
try_work(const WfTurn *turn)
{
	volatile Found found = NOTHING;
	/* not on the stack: after an error a compiler may have what was in it before */
	WfWorkItem *item = MemoryContextAllocZero(work_context, sizeof(WfWorkItem));
	Failure    *volatile failure = NULL;

	waiting = false;
	PG_TRY();
	{
		wf_begin_transaction();
		wf_limit_begin(wf_setting_sql_timeout);
		found = turn->deliveries ? work_on_delivery(turn->queue, item) : work_on_visit(turn->queue, item);
		wf_limit_end();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		failure = take_error();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work_context);
	wf_show_visit(0);
	if (failure != NULL)
	{
		has_failed(item, failure);
		return DONE;
	}
	wf_failure_over(0, 0);
	if (!waiting)
		wf_failure_over(item->instance, item->visit);
	return found;
}

/* After a crash others wait until it is over. */
static Found
work_in_turn(const WfTurn *turn)
{
	Found		found;

	wf_careful_wait();
	found = try_work(turn);
	wf_careful_end();
	wf_careful_yield();
	return found;
}

/* ---- the loop ---- */

/* Without a list there is nothing to be done; the dispatcher calls again. */
static void
list_turns(void)
{
	Failure    *volatile failure = NULL;
	const WfWorkItem nothing = {0};

	PG_TRY();
	{
		wf_limit_begin(REPAIR_LIMIT_MS);
		wf_turns_list();
		wf_limit_end();
	}
	PG_CATCH();
	{
		failure = take_error();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work_context);
	if (failure != NULL)
		give_up(&nothing, failure);
}

/* The next piece of work, whichever queue's turn it is. */
static Found
work(void)
{
	bool		fresh = wf_turns_are_old();
	bool		locked = false;
	WfTurn		turn;
	Found		found;

	if (fresh)
		list_turns();
	for (;;)
	{
		if (!wf_turn_next(&turn))
		{
			/* only a look that began after we were called can say that there is nothing */
			if (fresh)
				return locked ? ONLY_LOCKED : NOTHING;
			list_turns();
			fresh = true;
			locked = false;
			continue;
		}
		found = work_in_turn(&turn);
		if (found == DONE)
		{
			wf_turn_done();
			return DONE;
		}
		locked |= found == ONLY_LOCKED;
		wf_turn_drop();
	}
}

/*
 * How much longer it waits for work, in milliseconds; 0: it leaves. By the clock, since whatever sets the latch, an alarm that
 * concerns nobody any more for instance, is no work.
 */
static long
patience_ms(TimestampTz *idle_since)
{
	TimestampTz now = GetCurrentTimestamp();

	if (*idle_since == 0)
		*idle_since = now;
	return TimestampDifferenceMilliseconds(now, TimestampTzPlusMilliseconds(*idle_since, IDLE_MS));
}

void
wf_executor_run(void)
{
	int			pause_ms = 0;
	TimestampTz idle_since = 0;

	work_context = AllocSetContextCreate(TopMemoryContext, "workflow work", ALLOCSET_DEFAULT_SIZES);
	before_shmem_exit(leave_word, (Datum) 0);
	for (;;)
	{
		Found		found;
		long		wait_ms;
		int			rc;

		MemoryContextSwitchTo(work_context);
		MemoryContextReset(work_context);
		wf_worker_interrupts();
		ResetLatch(MyLatch);
		if (wf_executor_must_leave())
			return;
		wf_executor_idle(false);
		found = work();
		if (found == DONE)
		{
			wf_count_handled(1);
			pause_ms = 0;
			idle_since = 0;
			continue;
		}
		pgstat_report_stat(true);
		if (found == ONLY_LOCKED)
		{
			wait_ms = pause_ms = pause_ms == 0 ? 2 : Min(pause_ms * 2, LONGEST_LOCK_PAUSE_MS);
			idle_since = 0;
		}
		else
		{
			wf_executor_idle(true);
			wait_ms = patience_ms(&idle_since);
		}
		if (wait_ms <= 0)
			return;
		rc = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_ms, PG_WAIT_EXTENSION);
		if ((rc & WL_TIMEOUT) != 0 && found != ONLY_LOCKED)
			return;
	}
}
