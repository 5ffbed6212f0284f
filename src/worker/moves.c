/*
 * moves.c
 *		Jobs of workers: moves made in transactions of their own.
 *
 * A batch that fails is made again one by one, so that a poison row holds up nobody: it alone becomes an incident, if
 * it was its own fault (failure.c). A cancel counts as that of the one move that it meets; a termination is no error, and not caught.
 */
#include "compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "shmem/careful.h"
#include "shmem/shmem.h"
#include "store/access.h"
#include "store/due.h"
#include "store/executor_work.h"
#include "worker/budget.h"
#include "worker/exchange.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/moves.h"
#include "worker/worker.h"

/* A reply that found its instance locked is tried again after that, if the end of the lock is not heard of. */
#define LOCKED_PAUSE_MS 10
/* Those whose owner has no time left are left out of a batch, and it is tried again, that often. */
#define MOST_ROUNDS 8
/* A larger one takes so long to be read that it is handed over alone. */
#define SMALL_REPLY 65536
/* What fails for want of something is tried again with a pause that grows up to that. */
#define LONGEST_WAIT_MS 10000
/* After so many of a batch in a row have failed so, the others are left for later; one that has waited for a lock counts more. */
#define MOST_SHORT 8
#define LOCKED_COUNTS 4

/* ---- one transaction ---- */

/* Which of the instances that were not to be had are there, but locked? */
static void
judge_missing(WfBatch *batch, WfJob *jobs, int n)
{
	int64	   *missing = palloc(sizeof(int64) * n);
	int64	   *living = palloc(sizeof(int64) * n);
	int			nmissing = 0;
	int			nliving;

	for (int i = 0; i < n; i++)
		if (wf_batch_instance(batch, jobs[i].instance) == NULL)
		{
			jobs[i].verdict = WF_JOB_GONE;
			missing[nmissing++] = jobs[i].instance;
		}
	if (nmissing == 0)
		return;
	nliving = wf_instances_living(missing, nmissing, living);
	for (int i = 0; i < n; i++)
		for (int l = 0; l < nliving; l++)
			if (jobs[i].verdict == WF_JOB_GONE && jobs[i].instance == living[l])
				jobs[i].verdict = WF_JOB_LOCKED;
}

/* It cannot be handled now, since its instance is locked or suspended: keep it where a crash cannot take it. */
static void
store_reply(WfBatch *batch, WfJob *job, const char *queue)
{
	TimestampTz again = TimestampTzPlusMilliseconds(batch->now, LOCKED_PAUSE_MS);
	WfAnswer	answer;

	wf_exchange_answer(job->reply, &answer);
	wf_delivery_add(job->instance, job->visit, WF_DELIVERY_REPLY, queue, again,
					wf_exchange_pack(&answer));
	wf_note_due(queue, again);
}

/* Suspended: nothing moves, nothing is lost. */
static void
keep_for_later(WfBatch *batch, WfJob *job)
{
	job->verdict = WF_JOB_HELD;
	if (job->delivery != 0)
		wf_delivery_hold(job->delivery);
	else if (job->reply != NULL)
		store_reply(batch, job, WF_QUEUE_HELD);
}

/* Likewise for what is locked. Deliveries stay where they are. */
static void
keep_for_unlock(WfBatch *batch, WfJob *job)
{
	if (job->reply != NULL && job->delivery == 0)
		store_reply(batch, job, WF_QUEUE_MOVE);
}

static void
apply(WfBatch *batch, WfJob *job, WfVisit *visit)
{
	WfAnswer	answer;

	switch (job->kind)
	{
		case WF_JOB_REPLY:
			wf_exchange_answer(job->reply, &answer);
			wf_engine_answer(batch, visit, &answer);
			break;
		case WF_JOB_DELIVERY:
			wf_exchange_unpack(job->packed, &answer);
			wf_engine_answer(batch, visit, &answer);
			break;
		case WF_JOB_DUE:
			wf_engine_due(batch, visit);
			break;
		case WF_JOB_ALARM:
			wf_engine_alarm(batch, visit);
			break;
		case WF_JOB_BREAK:
			wf_engine_break(batch, visit, &job->fault, job->broken);
			break;
	}
	job->awaits = !visit->ended &&
				  (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING ||
				   visit->state == WF_STATE_CANCELLING);
	job->retried = !visit->ended && visit->state == WF_STATE_RETRYING;
	job->verdict = visit->ended || visit->changed ? WF_JOB_DONE : WF_JOB_UNMOVED;
}

static void
describe_job(void *arg)
{
	WfJob	  **job = arg;

	if (*job != NULL)
		errcontext("visit " INT64_FORMAT "_" INT64_FORMAT, (*job)->instance, (*job)->visit);
}

static void
apply_all(WfBatch *batch, WfJob *jobs, int n, bool avoid_slow)
{
	WfJob	   *volatile current = NULL;
	ErrorContextCallback context = {.callback = describe_job, .arg = (void *) &current,
		.previous = error_context_stack};

	error_context_stack = &context;
	for (int i = 0; i < n; i++)
	{
		WfVisit    *visit = wf_batch_visit(batch, jobs[i].instance, jobs[i].visit);

		current = &jobs[i];
		jobs[i].left_out = wf_batch_left_out(batch, jobs[i].instance, jobs[i].visit);
		jobs[i].slow = avoid_slow && visit != NULL &&
					   wf_budget_is_spent(visit->instance->process->process_id, GetCurrentTimestamp());
		if (jobs[i].left_out || jobs[i].slow)
			continue;
		if (avoid_slow && visit != NULL)
			wf_budget_begin(visit->instance->process->process_id);
		if (visit != NULL && visit->held)
			keep_for_later(batch, &jobs[i]);
		else if (visit != NULL)
			apply(batch, &jobs[i], visit);
		else if (jobs[i].verdict == WF_JOB_LOCKED)
			keep_for_unlock(batch, &jobs[i]);
		else
			jobs[i].verdict = WF_JOB_GONE;
		if (jobs[i].delivery != 0 && jobs[i].verdict != WF_JOB_LOCKED &&
			jobs[i].verdict != WF_JOB_HELD)
			wf_delivery_delete(jobs[i].delivery);
		(void) wf_budget_end();
	}
	error_context_stack = context.previous;
}

/* What makes nothing due would only be done again after a crash: nobody waits for the disk, nor for a standby. */
static void
commit_lazily(void)
{
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* What they are for, as far as it is to be had; `verdict` of what is. In the batch's context. */
static void
load_all(WfBatch *batch, WfJob *jobs, int n, WfVerdictOfJob verdict)
{
	int64	   *instances = palloc(sizeof(int64) * n);
	int64	   *visits = palloc(sizeof(int64) * n);

	for (int i = 0; i < n; i++)
	{
		jobs[i].verdict = verdict;
		instances[i] = jobs[i].instance;
		visits[i] = jobs[i].visit;
	}
	batch->room = n > 1 ? WF_BATCH_ROOM : 0;
	wf_batch_lock(batch, instances, n, WF_LOCK_SKIP);
	judge_missing(batch, jobs, n);
	wf_batch_load_visits(batch, instances, visits, n);
}

static void
transaction(WfJob *jobs, int n, bool avoid_slow)
{
	WfAccess	access;
	WfBatch    *batch;
	MemoryContext old;
	bool		makes_due;

	wf_budget_forget(); /* the last one may have failed elsewhere than in a move */
	wf_begin_transaction();
	wf_store_enter(&access);
	batch = wf_batch_begin();
	old = MemoryContextSwitchTo(batch->context);
	load_all(batch, jobs, n, WF_JOB_DONE);
	apply_all(batch, jobs, n, avoid_slow);
	wf_batch_flush(batch);
	makes_due = batch->makes_due;
	MemoryContextSwitchTo(old);
	wf_batch_end(batch);
	wf_store_leave(&access);
	if (!makes_due)
		commit_lazily(); /* not before: leaving restores settings */
	CommitTransactionCommand();
}

/* NULL if it went well. */
static ErrorData *
try_transaction(WfJob *jobs, int n, int limit_ms, bool avoid_slow)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		if (avoid_slow)
			wf_limit_begin_moves(limit_ms);
		else
			wf_limit_begin(limit_ms);
		transaction(jobs, n, avoid_slow);
		wf_limit_end();
	}
	PG_CATCH();
	{
		error = wf_catch(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return error;
}

/* ---- what does not work ---- */

static void
deliver_to_executor(WfBatch *batch, const WfJob *job, const char *queue, const char *kind, Jsonb *payload)
{
	wf_delivery_add(job->instance, job->visit, kind, queue, batch->now, payload);
	wf_note_due(WF_QUEUE_EXECUTOR, batch->now);
}

/*
 * What has arrived becomes a delivery, and the visit stays in flight until that is delivered; whose time has come is found
 * in the executors' queue, or by an alarm there.
 */
static void
hand_over_visit(WfBatch *batch, WfJob *job, WfVisit *visit)
{
	WfAnswer	answer = {.fault = job->fault};
	char	   *queue = wf_executor_queue(visit->instance->process->process_id);

	switch (job->kind)
	{
		case WF_JOB_REPLY:
			wf_exchange_answer(job->reply, &answer);
			pg_fallthrough;
		case WF_JOB_BREAK: /* a request that could not be made has failed for good */
			deliver_to_executor(batch, job, queue, WF_DELIVERY_REPLY, wf_exchange_pack(&answer));
			break;
		case WF_JOB_DELIVERY:
			wf_delivery_to_executor(job->delivery, queue, batch->now);
			break;
		case WF_JOB_ALARM: /* the visit itself stays where it is: it may be in flight */
			deliver_to_executor(batch, job, queue, WF_DELIVERY_ALARM, NULL);
			job->awaits = true;
			break;
		case WF_JOB_DUE:
			wf_engine_hand_over(batch, visit);
			break;
	}
}

static void
hand_over_job(WfBatch *batch, WfJob *job)
{
	WfVisit    *visit = wf_batch_visit(batch, job->instance, job->visit);

	if (visit != NULL && visit->held)
		keep_for_later(batch, job);
	else if (visit != NULL)
		hand_over_visit(batch, job, visit);
	else if (job->verdict == WF_JOB_LOCKED)
		keep_for_unlock(batch, job);
	else
	{
		job->verdict = WF_JOB_GONE;
		if (job->delivery != 0)
			wf_delivery_delete(job->delivery);
	}
}

static void
hand_over(WfJob *jobs, int n)
{
	WfAccess	access;
	WfBatch    *batch;
	MemoryContext old;

	wf_begin_transaction();
	wf_store_enter(&access);
	batch = wf_batch_begin();
	old = MemoryContextSwitchTo(batch->context);
	load_all(batch, jobs, n, WF_JOB_HANDED_OVER);
	for (int i = 0; i < n; i++)
	{
		jobs[i].left_out = wf_batch_left_out(batch, jobs[i].instance, jobs[i].visit);
		if (!jobs[i].left_out)
			hand_over_job(batch, &jobs[i]);
	}
	wf_batch_flush(batch);
	MemoryContextSwitchTo(old);
	wf_batch_end(batch);
	wf_store_leave(&access);
	CommitTransactionCommand();
}

/* It is to be tried again, as it was. */
static void
wait_for(WfJob *job, WfLack lack, const ErrorData *error)
{
	job->verdict = WF_JOB_SHORT;
	job->lack = lack;
	job->pause_ms = wf_failure_wait(job->instance, job->visit, lack, error, LONGEST_WAIT_MS);
}

/*
 * Without a limit but that for locks: that a large reply takes long to be read may be the reason, and it has to be read once
 * more.
 */
static void
try_hand_over(WfJob *job)
{
	MemoryContext context = CurrentMemoryContext;

	wf_limit_begin(0);
	PG_TRY();
	{
		hand_over(job, 1);
	}
	PG_CATCH();
	{
		ErrorData  *error = wf_catch(context);
		WfLack		lack = wf_failure_lack(error);

		job->verdict = WF_JOB_STUCK;
		if (lack != WF_LACK_NONE)
			wait_for(job, lack, error);
		else
			ereport(WARNING, errcode(error->sqlerrcode),
					errmsg("workflow could not hand visit " INT64_FORMAT "_" INT64_FORMAT
						   " over to an executor: %s",
						   job->instance, job->visit, error->message));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

static ErrorData *
try_to_break(WfJob *job, WfBreak broken, int limit_ms)
{
	job->broken = broken;
	return try_transaction(job, 1, limit_ms, false);
}

/*
 * What was accepted as the end of a visit may only fail by itself. And what cannot even be told of with all that the
 * visit carries is told of without it.
 */
static WfBreak
what_breaks(const WfJob *job)
{
	return job->kind == WF_JOB_DUE ? WF_BREAK_VISIT : WF_BREAK_ACTION;
}

static void
make_incident(WfJob *job, WfBreak broken, int limit_ms)
{
	ErrorData  *second;
	WfLack		lack = WF_LACK_NONE;
	WfJobKind	kind = job->kind;

	job->kind = WF_JOB_BREAK;
	second = try_to_break(job, broken, limit_ms);
	if (second != NULL && (lack = wf_failure_lack(second)) == WF_LACK_NONE && broken != WF_BREAK_BARE)
	{
		second = try_to_break(job, WF_BREAK_BARE, limit_ms);
		lack = second != NULL ? wf_failure_lack(second) : WF_LACK_NONE;
	}
	if (lack != WF_LACK_NONE || kind == WF_JOB_DUE || kind == WF_JOB_ALARM)
		job->kind = kind; /* there may be a request in flight beside it */
	if (second == NULL)
		return;
	if (lack != WF_LACK_NONE)
	{
		wait_for(job, lack, second);
		return;
	}
	job->verdict = WF_JOB_STUCK;
	ereport(WARNING, errcode(second->sqlerrcode),
			errmsg("workflow could not make an incident of visit " INT64_FORMAT "_" INT64_FORMAT
				   ": %s",
				   job->instance, job->visit, second->message));
}

static void
break_visit(WfJob *job, const ErrorData *error, int limit_ms)
{
	ereport(LOG, errcode(error->sqlerrcode),
			errmsg("workflow could not move visit " INT64_FORMAT "_" INT64_FORMAT ": %s",
				   job->instance, job->visit, error->message));
	wf_catch_fault(error, &job->fault);
	make_incident(job, what_breaks(job), limit_ms);
}

/* What another transaction was in the way of goes at once, as a rule. */
static ErrorData *
try_twice(WfJob *job, int limit_ms, bool may_hand_over)
{
	ErrorData  *error = try_transaction(job, 1, limit_ms, may_hand_over);

	if (error != NULL && may_hand_over)
		(void) wf_budget_end();
	if (error != NULL && wf_failure_lack(error) == WF_LACK_CONFLICT)
		error = try_transaction(job, 1, limit_ms, false);
	return error;
}

/* What has waited for a lock is kept as a row, if that can be written, since executors may wait longer than we. */
static void
run_one(WfJob *job, int limit_ms, bool may_hand_over)
{
	ErrorData  *error = try_twice(job, limit_ms, may_hand_over);
	WfLack		lack = error != NULL ? wf_failure_lack(error) : WF_LACK_NONE;

	if (error == NULL && !job->slow)
		return;
	if (error == NULL ||
		(may_hand_over && (wf_limit_was_hit() || wf_catch_took_too_much(error) || lack == WF_LACK_LOCK)))
		try_hand_over(job);
	else if (lack != WF_LACK_NONE)
		wait_for(job, lack, error);
	else
		break_visit(job, error, limit_ms);
}

static bool
is_handed_over_with_others(const WfJob *job)
{
	return job->slow && !job->left_out && (job->reply == NULL || job->reply->body_len <= SMALL_REPLY);
}

/*
 * Those that were left out, in one transaction, since there may be many. What is too much for that, or fails, is handed over
 * alone: it stays slow.
 */
static void
hand_over_slow(WfJob *jobs, int n)
{
	MemoryContext context = CurrentMemoryContext;
	WfJob	   *slow = palloc(sizeof(WfJob) * n);
	int			nslow = 0;

	for (int i = 0; i < n; i++)
		if (is_handed_over_with_others(&jobs[i]))
			slow[nslow++] = jobs[i];
	if (nslow == 0)
		return;
	PG_TRY();
	{
		hand_over(slow, nslow);
		for (int i = n - 1; i >= 0; i--)
		{
			if (!is_handed_over_with_others(&jobs[i]))
				continue;
			jobs[i] = slow[--nslow];
			jobs[i].slow = jobs[i].left_out;
		}
	}
	PG_CATCH();
	{
		(void) wf_catch(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* ---- after a crash ---- */

void
wf_moves_died(WfFault *fault)
{
	memset(fault, 0, sizeof(*fault));
	fault->code = WF_CODE_DIED;
	fault->message = psprintf("the server died %d times in a row while nothing else was under work", WF_MOST_DEATHS);
}

static WfPieceKind
piece_of(const WfJob *job)
{
	switch (job->kind)
	{
		case WF_JOB_REPLY:
		case WF_JOB_DELIVERY:
			return WF_PIECE_ANSWER;
		case WF_JOB_DUE:
			return WF_PIECE_DUE;
		case WF_JOB_ALARM:
			return WF_PIECE_ALARM;
		case WF_JOB_BREAK:
			break;
	}
	return WF_PIECE_BREAK;
}

/* One by one, on record. */
static void
run_carefully(WfJob *jobs, int n, int limit_ms, bool may_hand_over)
{
	for (int i = 0; i < n; i++)
	{
		int			deaths = wf_careful_begin(piece_of(&jobs[i]), jobs[i].visit);

		if (deaths < WF_MOST_DEATHS || jobs[i].kind == WF_JOB_BREAK)
			run_one(&jobs[i], limit_ms, may_hand_over);
		else
		{
			/* it may be the incident itself that it has died of */
			wf_moves_died(&jobs[i].fault);
			make_incident(&jobs[i], deaths > WF_MOST_DEATHS ? WF_BREAK_BARE : what_breaks(&jobs[i]), limit_ms);
		}
		if (jobs[i].verdict == WF_JOB_LOCKED || jobs[i].verdict == WF_JOB_HELD || jobs[i].verdict == WF_JOB_STUCK ||
			jobs[i].verdict == WF_JOB_SHORT)
			wf_careful_keep();
		else
			wf_failure_over(jobs[i].instance, jobs[i].visit);
		wf_careful_end();
	}
}

/* Others of its batch have failed for want of something: it is not even tried. */
static void
leave(WfJob *job, const WfJob *failed)
{
	job->verdict = WF_JOB_SHORT;
	job->lack = failed->lack;
	job->pause_ms = failed->pause_ms;
}

/* Those of a batch that were not done together with the others. */
static void
run_rest(WfJob *jobs, int n, bool together, int limit_ms, bool may_hand_over)
{
	int			nshort = 0;

	for (int i = 0; i < n; i++)
	{
		WfJob	   *job = &jobs[i];
		bool		done = together && !job->left_out;

		if (nshort >= MOST_SHORT && (!done || job->slow))
			leave(job, &jobs[i - 1]);
		else if (!done)
			run_one(job, limit_ms, may_hand_over);
		else if (job->slow)
			try_hand_over(job);
		if (job->verdict == WF_JOB_SHORT)
			nshort += job->lack == WF_LACK_LOCK ? LOCKED_COUNTS : 1;
		else
		{
			nshort = 0;
			wf_failure_over(job->instance, job->visit);
		}
	}
}

void
wf_moves_run(WfJob *jobs, int n, int limit_ms, bool may_hand_over)
{
	bool		together = false;
	int			rounds = n > 1 ? MOST_ROUNDS : 0;

	if (n == 0)
		return;
	if (wf_careful())
	{
		run_carefully(jobs, n, limit_ms, may_hand_over);
		return;
	}
	while (rounds-- > 0)
	{
		together = try_transaction(jobs, n, limit_ms, may_hand_over) == NULL;
		/* without the owner or the process that was the reason */
		if (together || !may_hand_over || !wf_budget_end())
			break;
	}
	if (together && may_hand_over)
		hand_over_slow(jobs, n);
	run_rest(jobs, n, together, limit_ms, may_hand_over);
}
