/*
 * executor.c
 *		The executor, for work that may be slow, wait for a lock or fail at commit: SQL steps, NOTIFY, async entries,
 *		write-backs, upkeep.
 *
 * Each transaction carries out one piece of work, and short ones beside it (beside.c). Visits are claimed (shmem/claims.c), and deliveries locked by their
 * rows; those that another worker has are skipped. Moves are made with the instance locked, statements mostly without
 * that (sql_step.c).
 *
 * An executor serves one role for all of its life: what a session keeps, such as connections of extensions, random
 * seeds and session variables, is passed on to no other role. An executor that finds no work sleeps on its latch for
 * a while and then exits, since worker slots are few.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/engine.h"
#include "shmem/careful.h"
#include "shmem/claims.h"
#include "shmem/counters.h"
#include "shmem/executors.h"
#include "shmem/wakeups.h"
#include "shmem/settings.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/due.h"
#include "store/executor_work.h"
#include "store/locked.h"
#include "store/owed.h"
#include "store/privilege.h"
#include "store/row_place.h"
#include "store/subtransaction.h"
#include "worker/beside.h"
#include "worker/deliveries.h"
#include "worker/deliver.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/operation.h"
#include "worker/sql_step.h"
#include "worker/take_up.h"
#include "worker/together.h"
#include "worker/turns.h"
#include "worker/upkeep.h"
#include "worker/worker.h"

/* An executor exits after so long without work. */
#define IDLE_MS				  10000
#define LONGEST_LOCK_PAUSE_MS 1000
/* Pause before a piece of work whose failure could not be recorded, or a failed delivery, is due again. */
#define FAILED_PAUSE_MS 60000
/* Longest sleep while something is lacking even for recording a failure. */
#define LONGEST_WAIT_MS 10000
/* Longest time to record a failure. */
#define REPAIR_LIMIT_MS 10000

static MemoryContext work_context; /* lives for one transaction */

/* The visits whose statements were run beside the first in this transaction. */
static WfWorkItem others[WF_MOST_BESIDE];
static int		  nothers = 0;

static int64 delivering = 0; /* the delivery that may be running users' code; 0: none */

/* What looking for a piece of work has come to. */
typedef enum Found
{
	NOTHING,
	ONLY_LOCKED, /* there is work, and other transactions have locked all of it */
	DONE,
	DONE_IN_VAIN, /* it was done, and the transaction has to be rolled back */
	GAVE_WAY	  /* it has to be rolled back, since another transaction holds the instance */
} Found;

/* ---- visits ---- */

/* Lock the instance and load the visit, with those that are moved along. Returns NULL if it has ended. */
static WfVisit *
load_visit(WfBatch *batch, const WfWorkItem *item)
{
	wf_batch_lock(batch, &item->instance, 1, WF_LOCK_WAIT);
	wf_together_load(batch, item);
	return wf_batch_visit(batch, item->instance, item->visit);
}

/* Load the visit as of this moment, without a lock. Returns NULL if it has ended. */
static WfVisit *
look_for_work(WfBatch *batch, const WfWorkItem *item)
{
	wf_sql_step_look(batch, item->instance, item->visit);
	return wf_batch_visit(batch, item->instance, item->visit);
}

static void
move_visit(WfBatch *batch, WfVisit *visit)
{
	if (wf_state_is_over(visit, batch->now))
		wf_engine_alarm(batch, visit);
	else
		wf_engine_due(batch, visit);
}

/* Does this executor serve the visit's role? The process may have got another owner since the queue was listed. */
static bool
is_own_visit(const WfVisit *visit)
{
	return wf_process_owner(visit->instance->process->process_id) == wf_executor_role();
}

/* ---- a visit ---- */

/* Lock the instance of a visit that turns out to need no statement. */
static bool
lock_now(WfWorkItem *item)
{
	item->locked = item->locked || wf_due_lock(item->instance);
	if (!item->locked)
		wf_careful_keep();
	return item->locked;
}

/* The server does not survive this visit, so it fails. After one more death, what it carries is dropped as well. */
static Found
fail_deadly_visit(WfWorkItem *item, int deaths)
{
	WfBatch *batch = wf_batch_begin();
	WfVisit *visit;
	WfFault	 fault;

	if (!lock_now(item))
		return ONLY_LOCKED;
	visit = load_visit(batch, item);
	wf_failure_died(&fault);
	if (visit != NULL)
		wf_engine_fail(batch, visit, &fault, deaths > WF_MOST_DEATHS ? WF_FAIL_BARE : WF_FAIL_VISIT);
	wf_batch_flush(batch);
	return DONE;
}

static Found
run_visit_statement(WfAccess *access, WfBatch *batch, WfVisit *visit, WfWorkItem *item)
{
	if (!is_own_visit(visit))
	{
		wf_wakeup_due(WF_QUEUE_EXECUTOR, visit->due_at);
		wf_careful_keep();
		return NOTHING;
	}
	if (item->moves)
		return DONE_IN_VAIN; /* a statement is not run under a lock that was taken for a move */
	item->statement = true;
	if (wf_statement_was_begun(item->visit))
		wf_beside_close(); /* whatever came in its way before is not to be those beside it */
	switch (wf_sql_step_run(access, batch, visit))
	{
		case WF_STEP_OVERTAKEN:
			return DONE_IN_VAIN;
		case WF_STEP_GAVE_WAY:
			return GAVE_WAY;
		case WF_STEP_DONE:
			break;
	}
	item->shares = !wf_sql_step_was_postponed();
	return DONE;
}

static Found
work_on_taken(WfAccess *access, WfWorkItem *item)
{
	int		 deaths = wf_careful_begin(WF_PIECE_EXECUTE, item->visit);
	WfBatch *batch = wf_batch_begin();
	WfVisit *visit;

	if (deaths >= WF_MOST_DEATHS)
		return fail_deadly_visit(item, deaths);
	visit = item->locked ? load_visit(batch, item) : look_for_work(batch, item);
	if (wf_sql_step_is_due(batch, visit))
		return run_visit_statement(access, batch, visit, item);
	if (!item->locked)
	{
		if (!lock_now(item))
			return ONLY_LOCKED;
		batch = wf_batch_begin();
		visit = load_visit(batch, item);
	}
	if (visit != NULL)
		move_visit(batch, visit);
	wf_together_move(batch, item, move_visit);
	wf_batch_flush(batch);
	return DONE;
}

static Found
work_on_visit(const char *queue, WfWorkItem *item)
{
	WfAccess access;
	WfTaken	 taken;
	Found	 found = NOTHING;

	wf_store_enter(&access);
	taken = wf_take_up(queue, item);
	if (taken == WF_TAKEN)
	{
		wf_together_find(queue, item);
		found = work_on_taken(&access, item);
	}
	wf_store_leave(&access);
	return taken == WF_TAKEN_LOCKED ? ONLY_LOCKED : found;
}

/* ---- visits beside the first ---- */

/*
 * Do a piece of work in a subtransaction. Returns false if it has failed; then nothing more is done beside the first, and it is told of when it fails
 * alone.
 */
static bool
do_beside(bool (*work)(void *arg), void *arg)
{
	ErrorData *error;

	MemoryContextSwitchTo(work_context);
	error = wf_subtransaction_run(work, arg);
	wf_limit_end();
	QueryCancelPending = false;
	if (error != NULL)
		wf_beside_close();
	return error == NULL;
}

typedef struct Beside
{
	WfWorkItem item;
	bool	   done;
} Beside;

/* Run the statement of a visit in a subtransaction, which is rolled back if that returns false. */
static bool
run_beside(void *arg)
{
	Beside	*beside = arg;
	int64	 instance = beside->item.instance;
	WfAccess access;

	wf_store_enter(&access);
	if (!wf_instance_is_locked_by_others(instance))
	{
		WfBatch *batch = wf_batch_begin();
		WfVisit *visit;

		wf_sql_step_begins_beside();
		visit = look_for_work(batch, &beside->item);
		if (wf_sql_step_is_due(batch, visit) && is_own_visit(visit) && wf_sql_step_suits(visit))
			beside->done = wf_sql_step_run_beside(&access, batch, visit);
	}
	wf_store_leave(&access);
	if (beside->done)
		wf_beside_done();
	return beside->done;
}

/* Run the statements of other visits of the queue in this transaction, as long as that takes milliseconds. */
static void
run_statements_beside(void)
{
	Beside beside;

	if (!wf_beside_goes_on())
		return;
	wf_claim_keep();
	while (wf_beside_goes_on() && wf_take_up_beside(&beside.item))
	{
		beside.done = false;
		if (do_beside(run_beside, &beside) && beside.done)
		{
			others[nothers++] = beside.item;
			wf_claim_keep();
		}
		else
			wf_claim_drop();
	}
}

static Found
work_on_delivery(const char *queue, WfWorkItem *item)
{
	Found found;

	/* A write-back runs triggers of the table, so the limit has to be one for users' SQL. */
	wf_limit_end();
	wf_limit_begin_sql(wf_setting_sql_timeout);
	found = wf_deliveries_work(queue, item, &delivering) ? DONE : NOTHING;
	delivering = 0;
	return found;
}

/* ---- beside the first delivery ---- */

/* Carry out a write-back in a subtransaction, which is rolled back if that returns false. */
static bool
write_beside(void *arg)
{
	bool done;

	wf_limit_begin_beside(wf_setting_sql_timeout);
	done = wf_deliveries_work_beside(arg, &delivering);
	if (done)
		wf_beside_done();
	else
		wf_beside_close();
	return done;
}

/* Do more of the queue in the transaction of what was done, as long as that takes milliseconds. */
static void
work_beside(const WfTurn *turn)
{
	if (!turn->deliveries)
	{
		run_statements_beside();
		return;
	}
	wf_limit_end();
	while (wf_beside_goes_on())
		(void) do_beside(write_beside, unconstify(char *, turn->queue));
	delivering = 0;
}

/* ---- failures ---- */

typedef struct Failure
{
	ErrorData *error;
	WfLack	   lack;
	WfFault	   fault;	 /* made of the error */
	int		   pause_ms; /* pause before a delivery is due again */
} Failure;

/*
 * A repair records a failure, in a transaction of its own (try_repair). It may wait for another executor that has taken
 * up the same piece of work meanwhile, but not for long, since that one records what it meets itself.
 */
typedef void (*Repair)(const WfWorkItem *item, const Failure *failure, WfFailing failing);

/* Take the current error, in PG_CATCH, and abort the transaction. */
static Failure *
take_failure(void)
{
	Failure *failure = MemoryContextAllocZero(work_context, sizeof(Failure));

	failure->error = wf_catch(work_context);
	failure->lack = wf_failure_lack(failure->error);
	wf_catch_fault(failure->error, &failure->fault);
	return failure;
}

/* Run a repair. Returns the failure of its transaction, or NULL if it has committed. */
static Failure *
try_repair(Repair repair, const WfWorkItem *item, const Failure *failure, WfFailing failing)
{
	Failure *volatile second = NULL;

	PG_TRY();
	{
		WfAccess access;

		wf_sql_step_transaction_begins();
		wf_begin_transaction();
		wf_limit_begin(REPAIR_LIMIT_MS);
		wf_store_enter(&access);
		repair(item, failure, failing);
		wf_store_leave(&access);
		wf_limit_end();
		CommitTransactionCommand();
		wf_sql_step_transaction_committed();
	}
	PG_CATCH();
	{
		second = take_failure();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work_context);
	return second;
}

/*
 * Run a repair that makes an incident of a visit. If that fails, try again without the documents of the visit, since
 * these may be the reason. Returns the last failure, or NULL if one of both has committed.
 */
static Failure *
try_to_fail_visit(Repair repair, const WfWorkItem *item, const Failure *failure, WfFailing failing)
{
	Failure *second = try_repair(repair, item, failure, failing);

	if (second != NULL && second->lack == WF_LACK_NONE)
		second = try_repair(repair, item, failure, WF_FAIL_BARE);
	if (second != NULL && second->lack == WF_LACK_NONE)
		ereport(WARNING, errcode(second->error->sqlerrcode),
				errmsg("workflow executor could not make an incident of a failure: %s", second->error->message));
	return second;
}

/* The key under which it is remembered what the work lacks: its visit, or the operation. */
static void
key_of_lack(const WfWorkItem *item, int64 *instance, int64 *visit)
{
	bool is_operation = item->delivery != 0 && wf_operation_under_work() != 0;

	*instance = is_operation ? wf_operation_under_work() : item->instance;
	*visit = is_operation ? WF_LACK_OF_OPERATION : item->visit;
}

/*
 * Something is lacking, so that not even a row can be written: all other work would fail as well. Sleep for a pause
 * that grows, instead of exiting and being started again. The piece of work is free meanwhile, for any executor.
 */
static void
sit_out(const WfWorkItem *item, const Failure *failure)
{
	int64		instance;
	int64		visit;
	int			pause_ms;
	TimestampTz until;
	TimestampTz now;

	key_of_lack(item, &instance, &visit);
	pause_ms = wf_failure_wait(instance, visit, failure->lack, failure->error, LONGEST_WAIT_MS);
	until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
	wf_claim_release();
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

/*
 * The failure could not be recorded. If nothing was lacking, the error ends this process, and another one is started
 * after a pause.
 */
static void
give_up_work(const WfWorkItem *item, const Failure *failure)
{
	if (failure->lack == WF_LACK_NONE)
		ReThrowError(failure->error);
	sit_out(item, failure);
}

/*
 * The transaction of a visit failed as a whole, perhaps at commit: count that as an attempt of the visit, unless
 * something was lacking. Since the lock is gone, other transactions may have ended or suspended the visit meanwhile, or
 * a callback may have been accepted; an accepted callback does not keep a statement that was begun from being due.
 */
static void
count_failure(const WfWorkItem *item, const Failure *failure, WfFailing failing)
{
	WfBatch *batch = wf_batch_begin();
	WfVisit *visit = load_visit(batch, item);
	WfAnswer answer = {.fault = failure->fault};
	bool	 runs = wf_sql_step_is_due(batch, visit);

	if (item->statement && !runs)
		return; /* other transactions have changed the visit: if it is due, an executor finds it */
	if (failure->lack != WF_LACK_NONE && visit != NULL && wf_is_executor_queue(visit->queue) &&
		!(runs && wf_engine_names(visit, &answer.fault)))
		wf_sql_step_postpone(batch, visit, failure->lack, &failure->fault);
	else
	{
		if (runs && failing != WF_FAIL_BARE)
			wf_engine_answer(batch, visit, &answer);
		else if (visit != NULL && wf_is_executor_queue(visit->queue))
			wf_engine_fail(batch, visit, &failure->fault, failing);
		wf_sql_step_answered(item->visit);
	}
	wf_batch_flush(batch);
}

static void
postpone_visit(const WfWorkItem *item, const Failure *failure, WfFailing failing)
{
	TimestampTz again = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FAILED_PAUSE_MS);

	wf_due_postpone(item->instance, item->visit, again);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, again);
}

static void
visit_failed(const WfWorkItem *item, Failure *failure)
{
	Failure *second;

	failure->fault.code = pstrdup(failure->fault.sqlstate);
	second = try_to_fail_visit(count_failure, item, failure, WF_FAIL_VISIT);
	/* No incident could be made of it. Make it due later, so that the visits behind it do not wait for it. */
	if (second != NULL && second->lack == WF_LACK_NONE)
		second = try_repair(postpone_visit, item, failure, WF_FAIL_VISIT);
	if (second != NULL)
		give_up_work(item, second);
}

static void
postpone_failed_delivery(const WfWorkItem *item, const Failure *failure, WfFailing failing)
{
	TimestampTz again = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), failure->pause_ms);

	wf_owed_record_error(item->delivery, failure->fault.message);
	/* Deliveries behind it have to wait for it, unless it is about to be given up (fail_delivery). */
	if (item->visit != 0 && failure->lack != WF_LACK_NONE)
		wf_deliveries_postpone(&item->instance, &again, 1);
	else
		wf_delivery_postpone(item->delivery, again);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, again);
}

/* A delivery cannot be applied to its visit: make an incident of the visit, instead of trying for ever. */
static void
fail_delivery(const WfWorkItem *item, const Failure *failure, WfFailing failing)
{
	WfBatch *batch = wf_batch_begin();
	WfVisit *visit = load_visit(batch, item);

	if (visit != NULL)
		wf_engine_fail(batch, visit, &failure->fault, failing);
	wf_batch_flush(batch);
	wf_delivery_delete(item->delivery);
	wf_deliveries_hasten(item->instance, batch->now); /* those that were postponed until this one */
	wf_wakeup_due(WF_QUEUE_MOVE, batch->now);		  /* the dispatcher has the visit in flight until this */
}

/* A delivery has failed. One that moves no visit is tried again, whatever the error was. */
static void
delivery_failed(const WfWorkItem *item, Failure *failure)
{
	bool	 own = item->visit != 0 && failure->lack == WF_LACK_NONE;
	Failure *second;
	int64	 instance;
	int64	 visit;

	key_of_lack(item, &instance, &visit);
	if (wf_limit_was_hit())
		failure->fault.message = wf_limit_is_beside() ? "it took longer than what is done beside others may"
													  : "the move took longer than workflow.sql_timeout allows";
	failure->pause_ms = FAILED_PAUSE_MS;
	if (failure->lack != WF_LACK_NONE && visit != 0)
		failure->pause_ms =
			wf_failure_wait_sql(instance, visit, failure->lack, &failure->fault,
								failure->lack == WF_LACK_LOCK ? LONGEST_LOCK_PAUSE_MS : FAILED_PAUSE_MS);
	second = try_repair(postpone_failed_delivery, item, failure, WF_FAIL_ACTION);
	if (second != NULL)
		give_up_work(item, second);
	else if (own)
		(void) try_to_fail_visit(fail_delivery, item, failure, WF_FAIL_ACTION);
}

static void
has_failed(const WfWorkItem *item, Failure *failure)
{
	ErrorData *error = failure->error;

	if (item->delivery != 0 && item->visit != 0 && wf_deliver_one_by_one(item->instance))
		return;
	if (wf_together_failed() || wf_operations_failed() || wf_beside_failed())
		return; /* each is tried alone */
	/* What is lacking is logged once (failure.c), and not for each piece of work. */
	if (failure->lack == WF_LACK_NONE)
		ereport(LOG, errcode(error->sqlerrcode), errmsg("workflow executor: %s", error->message),
				error->detail != NULL ? errdetail_internal("%s", error->detail) : 0);
	if (item->delivery != 0)
		delivery_failed(item, failure);
	else if (item->visit != 0)
		visit_failed(item, failure);
	else
		give_up_work(item, failure);
}

/* Is the error the cancel that was sent because the visit was ended or suspended? */
static bool
was_stopped(const Failure *failure)
{
	return failure->error->sqlerrcode == ERRCODE_QUERY_CANCELED && wf_claim_is_stopped();
}

static void
end_transaction(Found found)
{
	wf_limit_end();
	if (found == DONE_IN_VAIN || found == GAVE_WAY)
		AbortCurrentTransaction();
	else
	{
		CommitTransactionCommand();
		wf_sql_step_transaction_committed();
	}
}

static Found
try_work(const WfTurn *turn, WfWorkItem *item)
{
	volatile Found found = NOTHING;
	Failure *volatile failure = NULL;

	wf_together_none();
	wf_operations_none();
	nothers = 0;
	PG_TRY();
	{
		wf_sql_step_transaction_begins();
		wf_beside_begin();
		wf_begin_transaction();
		wf_limit_begin(wf_setting_sql_timeout);
		found = turn->deliveries ? work_on_delivery(turn->queue, item) : work_on_visit(turn->queue, item);
		if (found == DONE && item->shares)
			work_beside(turn);
		end_transaction(found);
		if (item->delivery != 0)
			wf_uncancellable_forget(WF_UNCANCELLABLE_DELIVERY(item->delivery));
	}
	PG_CATCH();
	{
		failure = take_failure();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work_context);
	if (failure != NULL)
	{
		if (!was_stopped(failure))
			has_failed(item, failure);
		return DONE;
	}
	wf_failure_over(0, 0);
	wf_operations_over();
	if (!wf_sql_step_was_postponed())
		wf_failure_over(item->instance, item->visit);
	wf_together_done(item);
	for (int i = 0; i < nothers; i++)
		wf_failure_over(others[i].instance, others[i].visit);
	return found == DONE_IN_VAIN ? DONE : found == GAVE_WAY ? ONLY_LOCKED : found;
}

/* Do a piece of work. After a crash of the server, wait for the turn, so that it is the only one at that time. */
static Found
work_in_turn(const WfTurn *turn)
{
	/* Not on the stack: after an error, changes of local variables that are not volatile may be lost. */
	WfWorkItem *item = MemoryContextAllocZero(work_context, sizeof(WfWorkItem));
	Found		found;

	wf_careful_wait();
	found = try_work(turn, item);
	wf_claim_release();
	wf_careful_end();
	wf_careful_yield();
	return found;
}

/* ---- the loop ---- */

/* List the queues that have work. If that fails, the list is empty: a lack is sat out, any other error ends this process. */
static void
list_turns(void)
{
	Failure *volatile failure = NULL;
	const WfWorkItem nothing = {0};

	PG_TRY();
	{
		wf_limit_begin(REPAIR_LIMIT_MS);
		wf_turns_list();
		wf_limit_end();
	}
	PG_CATCH();
	{
		failure = take_failure();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work_context);
	if (failure != NULL)
		give_up_work(&nothing, failure);
}

/* Do the next piece of work, of whichever queue's turn it is. */
static Found
work_next(void)
{
	bool   fresh = wf_turns_are_old();
	bool   locked = false;
	WfTurn turn;
	Found  found;

	if (fresh)
		list_turns();
	for (;;)
	{
		if (!wf_turn_next(&turn))
		{
			/* Only a list that was made after this executor was called can say that there is no work. */
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
			wf_turn_done(1 + (turn.deliveries ? wf_beside_count() : nothers));
			return DONE;
		}
		locked |= found == ONLY_LOCKED;
		wf_turn_drop();
	}
}

/*
 * How many milliseconds this executor still waits for work; 0: it exits. Measured by the clock, since a latch that is
 * set does not mean that there is work.
 */
static long
patience_ms(TimestampTz *idle_since)
{
	TimestampTz now = GetCurrentTimestamp();

	if (*idle_since == 0)
		*idle_since = now;
	return TimestampDifferenceMilliseconds(now, TimestampTzPlusMilliseconds(*idle_since, IDLE_MS));
}

/* At exit: remember the uncancellable work that made this process end, so that the next one does not begin it again. */
static void
record_uncancellable(int code, Datum arg)
{
	if (!wf_limit_ends_us())
		return;
	if (wf_sql_step_running() != 0)
		wf_uncancellable_add(wf_sql_step_running());
	else if (delivering != 0)
		wf_uncancellable_add(WF_UNCANCELLABLE_DELIVERY(delivering));
	else
		wf_upkeep_record_uncancellable();
}

void
wf_executor_run(void)
{
	int			pause_ms = 0;
	TimestampTz idle_since = 0;

	work_context = AllocSetContextCreate(TopMemoryContext, "workflow work", ALLOCSET_DEFAULT_SIZES);
	before_shmem_exit(record_uncancellable, (Datum) 0);
	wf_claims_attach();
	wf_row_places_begin();
	for (;;)
	{
		Found found;
		long  wait_ms;
		int	  rc;

		MemoryContextSwitchTo(work_context);
		MemoryContextReset(work_context);
		wf_worker_interrupts();
		ResetLatch(MyLatch);
		if (wf_executor_must_leave())
			return;
		wf_executor_idle(false);
		found = work_next();
		if (found == DONE)
		{
			wf_count_handled(1 + wf_beside_count());
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
