/*
 * sql_step.c
 *		The statement of a visit, and the move that follows from it.
 *
 * The instance is not locked while the statement runs: the visit is only claimed. After the
 * statement the instance is locked and the visit loaded again. If another transaction has changed
 * the visit, the whole transaction is rolled back, and with it the statement's effect. What the
 * statement itself has done to its own instance is no reason for that, since it would do so again.
 * Stopping the statement of a visit that has ended only saves time.
 *
 * A statement that was begun and rolled back is begun again, as long as its visit lives, even if a
 * callback was accepted meanwhile: that ends the visit when the statement is through. It is through
 * once a transaction has committed that took its result, or its failure, as the answer.
 *
 * A transaction may run several statements, one after the other (beside.c). All but the first have little time, and what they
 * come to counts only if nothing of it may come from that: else they are rolled back, and run again alone.
 * When the instance is locked after a statement, those that follow from it in the same instance are run at once
 * (go_on): their visits come and go without rows. Whoever looks at the rows meanwhile would not find them there.
 *
 * Lock order: a client locks an instance first and then rows of its own; the executor locks rows
 * first and then the instance. The executor is to be the victim of a deadlock, not the client, so
 * it looks for one much sooner than anybody else, and repeatedly, and then gives way.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "engine/user_sql.h"
#include "shmem/claims.h"
#include "shmem/executors.h"
#include "shmem/settings.h"
#include "store/due.h"
#include "store/rows_seen.h"
#include "store/subtransaction.h"
#include "worker/beside.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/sql_step.h"

/* Longest pause before a statement that was short of something is tried again. */
#define FAILED_PAUSE_MS 60000
/* The instance is waited for as long as the statement took, but at least so long. */
#define SHORTEST_WAIT_MS 1000
/* The wait is made of pieces of that length. In each, a deadlock is looked for after so long. */
#define WAIT_PIECE_MS	  100
#define DEADLOCK_AFTER_MS 10

static int64	 running = 0;		/* the visit whose statement is running; 0: none */
static bool		 postponed = false; /* this transaction has postponed a visit */
static int64	 answered = 0; /* the first visit whose statement is through when this transaction commits; 0: none */
static CommandId begun_at = FirstCommandId; /* what this transaction did before is done for the statement */
static bool		 at_odds = false;			/* a statement beside others has failed for a reason that may lie in them */

/* One run of a statement. */
typedef struct Attempt
{
	TimestampTz begun;
	/* Deadline of the visit for which the statement was cancelled; 0: it was not. */
	TimestampTz deadline;
	WfAnswer	answer;
} Attempt;

int64
wf_sql_step_running(void)
{
	return running;
}

bool
wf_sql_step_is_due(const WfBatch *batch, const WfVisit *visit)
{
	return visit != NULL && wf_state_wants_statement(visit, batch->now, wf_statement_was_begun(visit->id));
}

/* ---- the statement ---- */

/* Longest time for the statement in milliseconds, at most until the visit's deadline. 0: no limit. */
static int
limit_of(const WfVisit *visit)
{
	int64 left;

	if (visit->clocks.deadline == 0)
		return wf_setting_sql_timeout;
	left = (visit->clocks.deadline - GetCurrentTimestamp()) / 1000 + 1;
	if (wf_setting_sql_timeout > 0)
		left = Min(left, wf_setting_sql_timeout);
	return (int) Min(Max(left, 1), PG_INT32_MAX);
}

/* Judge an error for wf_user_sql_run, while it is still known what hit a limit. */
static void
judge_sql_error(const ErrorData *error, WfAnswer *answer)
{
	answer->lack = wf_failure_lack(error);
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && wf_limit_was_hit())
		answer->fault.message = "the statement took longer than workflow.sql_timeout allows";
	else if (wf_catch_took_too_much(error))
		answer->fault.message = "the statement takes more memory than workflow.executor_memory allows";
}

/* Answer for an uncancellable statement, which is not run again: its last run made an executor end. */
static void
refuse_uncancellable(WfAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->fault.code = "57014";
	answer->fault.message = "the statement took longer than it may, and could not be cancelled";
	strlcpy(answer->fault.sqlstate, "57014", sizeof(answer->fault.sqlstate));
}

/* Of two NOTIFYs in a transaction that are the same, one is sent. */
static void
close_after_notify(const WfVisit *visit)
{
	if (visit->def->action == WF_ACTION_NOTIFY)
		wf_beside_close();
}

/* Run the statement, for as long as it may take. Returns false if it was stopped, since its visit has ended. */
static bool
run_timed(WfVisit *visit, Attempt *attempt)
{
	static const WfStatementJudge judge = {.failed = judge_sql_error};
	int							  limit_ms = limit_of(visit);

	*attempt = (Attempt){.begun = GetCurrentTimestamp()};
	wf_limit_end();
	wf_limit_begin_sql(limit_ms);
	if (wf_uncancellable_is(visit->id))
		refuse_uncancellable(&attempt->answer);
	else if (wf_claim_heed())
	{
		wf_statement_begins();
		running = visit->id;
		wf_user_sql_run(visit, wf_executor_role(), &judge, &attempt->answer);
		running = 0;
		wf_beside_note_time(visit, GetCurrentTimestamp() - attempt->begun);
		close_after_notify(visit);
	}
	wf_claim_heed_end();
	wf_limit_end();
	if (wf_limit_was_hit() && limit_ms != wf_setting_sql_timeout)
		attempt->deadline = visit->clocks.deadline;
	return !wf_claim_is_stopped();
}

/* ---- beside others ---- */

static void
judge_error_beside(const ErrorData *error, WfAnswer *answer)
{
	at_odds |= wf_failure_lack(error) != WF_LACK_NONE || wf_catch_took_too_much(error);
}

static bool
stands_beside(void)
{
	return !wf_limit_was_hit() && !wf_rows_seen();
}

/*
 * Run the statement beside others. Returns whether it is through: its answer counts then, else nothing is left
 * of it.
 */
static bool
run_beside(WfVisit *visit, Attempt *attempt)
{
	static const WfStatementJudge judge = {.failed = judge_error_beside, .stands = stands_beside};

	*attempt = (Attempt){.begun = GetCurrentTimestamp()};
	at_odds = false;
	SetCurrentStatementStartTimestamp();
	wf_limit_end();
	wf_limit_begin_beside(wf_setting_sql_timeout);
	running = visit->id;
	wf_user_sql_run(visit, wf_executor_role(), &judge, &attempt->answer);
	running = 0;
	wf_limit_end();
	close_after_notify(visit);
	if (wf_limit_was_hit() && !wf_limit_hit_in_lock())
		wf_beside_note_slow(visit);
	return !at_odds && stands_beside();
}

/* The same for a visit that is claimed. Returns false, too, if it was stopped. */
static bool
run_claimed_beside(WfVisit *visit, Attempt *attempt)
{
	bool through = false;

	wf_rows_seen_end();
	if (wf_claim_heed())
	{
		wf_statement_begins();
		through = run_beside(visit, attempt);
	}
	wf_claim_heed_end();
	return through && !wf_claim_is_stopped();
}

/* The same for a visit that only this batch knows, while the rows of its instance are as they were before. */
static bool
run_unwritten(WfVisit *visit, Attempt *attempt)
{
	bool through;

	wf_rows_seen_watch();
	through = run_beside(visit, attempt);
	if (wf_rows_seen())
		wf_beside_note_seen(visit);
	wf_rows_seen_end();
	return through;
}

bool
wf_sql_step_suits(const WfVisit *visit)
{
	return wf_limit_leaves_room(limit_of(visit)) && !wf_uncancellable_is(visit->id) && wf_beside_is_short(visit);
}

/* ---- locking the instance ---- */

static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static void
set_ms(const char *name, int ms)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", ms);
	set_locally(name, value);
}

typedef struct ShortLock
{
	WfBatch *batch;
	int64	 instance;
} ShortLock;

/*
 * Wait for the lock for a short time, as the first to look for a deadlock. That is not what
 * log_lock_waits is for.
 */
static bool
lock_shortly(void *arg)
{
	ShortLock *lock = arg;
	int		   level = NewGUCNestLevel();
	int		   longest_ms = Max(Min(WAIT_PIECE_MS, DeadlockTimeout / 4), 2);

	set_ms("lock_timeout", longest_ms);
	set_ms("deadlock_timeout", Min(DEADLOCK_AFTER_MS, longest_ms / 2));
	set_locally("log_lock_waits", "off");
	(void) wf_batch_lock(lock->batch, &lock->instance, 1, WF_LOCK_WAIT);
	AtEOXact_GUC(false, level);
	return true;
}

/* Returns 0 if the instance is locked now or has ended, else the SQLSTATE that says why it is not. */
static int
try_to_lock(WfBatch *batch, int64 instance)
{
	ShortLock  lock = {batch, instance};
	ErrorData *error = wf_subtransaction_run(lock_shortly, &lock);

	if (error == NULL)
		return 0;
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE && error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
		ReThrowError(error);
	return error->sqlerrcode;
}

static bool
instance_has_ended(int64 instance)
{
	int64 living;

	return wf_instances_living(&instance, 1, &living) == 0;
}

/* Lock the instance, unless it has ended. Returns false if another transaction keeps it. Beside others it is not waited for. */
static bool
lock_instance(WfBatch *batch, int64 instance, TimestampTz statement_begun, bool beside)
{
	TimestampTz begun = GetCurrentTimestamp();
	TimestampTz until = TimestampTzPlusMilliseconds(begun, SHORTEST_WAIT_MS);
	int			failed;

	if (wf_batch_lock(batch, &instance, 1, WF_LOCK_SKIP) > 0 || instance_has_ended(instance))
		return true;
	if (beside)
		return false;
	until = Max(until, begun + (begun - statement_begun));
	do
		failed = try_to_lock(batch, instance);
	while (failed == ERRCODE_LOCK_NOT_AVAILABLE && GetCurrentTimestamp() < until);
	return failed == 0;
}

/* ---- what has become of the visit ---- */

/* Is the visit as it was: its version, step, state, attempt and key, and whether it is suspended? */
static bool
is_same(const WfVisit *now, const WfVisit *then)
{
	return now != NULL && now->instance->process->version == then->instance->process->version &&
		   strcmp(now->step, then->step) == 0 && now->state == then->state && now->attempt == then->attempt &&
		   now->suspended == then->suspended && memcmp(&now->key, &then->key, sizeof(then->key)) == 0;
}

/*
 * Have other transactions changed the visit since the statement began? To be asked with the
 * instance locked: then the visit stays as they have left it.
 */
static bool
others_have_changed(const WfVisit *visit)
{
	WfBatch *batch = wf_batch_begin();

	wf_sql_step_look(batch, visit->instance->id, visit->id);
	return !is_same(wf_batch_visit(batch, visit->instance->id, visit->id), visit);
}

/* ---- the move ---- */

void
wf_sql_step_transaction_begins(void)
{
	postponed = false;
	answered = 0;
	begun_at = FirstCommandId;
	wf_rows_seen_end();
}

void
wf_sql_step_begins_beside(void)
{
	CommandCounterIncrement();
	begun_at = GetCurrentCommandId(false);
}

void
wf_sql_step_look(WfBatch *batch, int64 instance, int64 visit)
{
	wf_batch_look(batch, instance, visit, begun_at);
}

void
wf_sql_step_transaction_committed(void)
{
	if (answered == 0)
		return;
	wf_statements_are_through();
	wf_uncancellable_forget(answered);
	answered = 0;
}

bool
wf_sql_step_was_postponed(void)
{
	return postponed;
}

void
wf_sql_step_answered(int64 visit)
{
	if (answered == 0)
		answered = visit;
}

void
wf_sql_step_postpone(WfBatch *batch, WfVisit *visit, WfLack lack, const WfFault *fault)
{
	int pause_ms = wf_failure_wait_sql(visit->instance->id, visit->id, lack, fault, FAILED_PAUSE_MS);

	postponed = true;
	wf_engine_postpone(batch, visit, TimestampTzPlusMilliseconds(batch->now, pause_ms));
}

/* An error after the deadline of the visit is a timeout, and not a failure of the statement. */
static void
take_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	if (answer->fault.code != NULL && wf_state_is_over(visit, batch->now))
		wf_engine_alarm(batch, visit);
	else if (answer->lack != WF_LACK_NONE && wf_sql_step_is_due(batch, visit) &&
			 !wf_engine_names(visit, &answer->fault))
		wf_sql_step_postpone(batch, visit, answer->lack, &answer->fault);
	else
		wf_engine_answer(batch, visit, answer);
}

/* Was the statement cancelled for a deadline that was extended meanwhile, or lifted by a callback? */
static bool
was_cancelled_too_soon(const WfVisit *visit, const Attempt *attempt)
{
	return attempt->answer.fault.code != NULL && attempt->deadline != 0 &&
		   (visit->clocks.deadline == 0 || visit->clocks.deadline > attempt->deadline);
}

/* ---- what follows in the same instance ---- */

/* A visit that this batch has made, of this instance, whose statement can be run before it has a row; NULL: there is none. */
static WfVisit *
next_unwritten(const WfBatch *batch, const WfInstance *instance)
{
	ListCell *lc;

	foreach (lc, instance->visits)
	{
		WfVisit *visit = lfirst(lc);

		if (visit->is_new && !visit->ended && visit->attempt == 0 &&
			wf_state_wants_statement(visit, batch->now, false) && wf_sql_step_suits(visit) &&
			wf_beside_sees_no_rows(visit))
			return visit;
	}
	return NULL;
}

/*
 * Run the statements that follow from the one that has been answered, as long as there is time. One that is not through is
 * due when this is committed.
 */
static void
go_on(WfAccess *access, WfBatch *batch, WfInstance *instance)
{
	WfVisit *visit;

	while (wf_beside_goes_on() && (visit = next_unwritten(batch, instance)) != NULL)
	{
		Attempt attempt;
		bool	through;

		wf_store_leave(access);
		MemoryContextSwitchTo(batch->context);
		through = run_unwritten(visit, &attempt);
		wf_store_enter(access);
		if (!through)
		{
			wf_statement_abandoned(visit->id);
			return;
		}
		wf_beside_done();
		batch->now = GetCurrentTimestamp();
		take_answer(batch, visit, &attempt.answer);
	}
}

/* ---- the whole ---- */

/* Move the visit on, and its instance. `then` is the visit as it was when the statement began. */
static WfStepEnd
move_after_statement(WfAccess *access, WfVisit *then, const Attempt *attempt, bool beside)
{
	int64	 instance = then->instance->id;
	WfBatch *batch = wf_batch_begin();
	WfVisit *visit;

	if (!lock_instance(batch, instance, attempt->begun, beside))
		return WF_STEP_GAVE_WAY;
	wf_limit_begin(wf_setting_sql_timeout);
	wf_batch_load_visits(batch, &instance, &then->id, 1);
	visit = wf_batch_visit(batch, instance, then->id);
	if (!is_same(visit, then) && others_have_changed(then))
		return WF_STEP_OVERTAKEN;
	if (visit != NULL && was_cancelled_too_soon(visit, attempt))
		return WF_STEP_OVERTAKEN;
	if (visit != NULL)
		take_answer(batch, visit, &attempt->answer);
	if (!postponed)
		wf_sql_step_answered(then->id);
	if (visit != NULL && !postponed)
		go_on(access, batch, visit->instance);
	wf_limit_end();
	wf_limit_begin(wf_setting_sql_timeout);
	wf_batch_flush(batch);
	return WF_STEP_DONE;
}

WfStepEnd
wf_sql_step_run(WfAccess *access, WfBatch *batch, WfVisit *visit)
{
	Attempt	  attempt;
	bool	  stopped;
	WfStepEnd end = WF_STEP_OVERTAKEN;

	wf_store_leave(access);
	MemoryContextSwitchTo(batch->context);
	stopped = !run_timed(visit, &attempt);
	wf_store_enter(access);
	if (!stopped)
		end = move_after_statement(access, visit, &attempt, false);
	if (end == WF_STEP_GAVE_WAY)
		wf_yield_record(visit->id);
	return end;
}

bool
wf_sql_step_run_beside(WfAccess *access, WfBatch *batch, WfVisit *visit)
{
	Attempt attempt;
	bool	through;

	wf_store_leave(access);
	MemoryContextSwitchTo(batch->context);
	through = run_claimed_beside(visit, &attempt);
	wf_store_enter(access);
	return through && move_after_statement(access, visit, &attempt, true) == WF_STEP_DONE;
}
