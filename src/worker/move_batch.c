/*
 * move_batch.c
 *		One transaction of a worker: jobs are loaded, carried out and committed, all or none.
 *
 * What is for an instance that is locked or suspended stays where it is, or becomes a delivery if it has arrived from outside: then
 * only a row keeps it from a crash.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "shmem/notes.h"
#include "store/access.h"
#include "store/due.h"
#include "worker/budget.h"
#include "worker/exchange.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/moves_internal.h"
#include "worker/worker.h"

/* A reply that found its instance locked is tried again after that, if the end of the lock is not heard of. */
#define LOCKED_PAUSE_MS 10
/* What fails for want of something is tried again with a pause that grows up to that. */
#define LONGEST_WAIT_MS 10000

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
void
wf_job_keep_suspended(WfBatch *batch, WfJob *job)
{
	job->verdict = WF_JOB_HELD;
	if (job->delivery != 0)
		wf_delivery_hold(job->delivery);
	else if (job->reply != NULL)
		store_reply(batch, job, WF_QUEUE_HELD);
}

/* Likewise for what is locked. Deliveries stay where they are. */
void
wf_job_keep_locked(WfBatch *batch, WfJob *job)
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
			wf_job_keep_suspended(batch, &jobs[i]);
		else if (visit != NULL)
			apply(batch, &jobs[i], visit);
		else if (jobs[i].verdict == WF_JOB_LOCKED)
			wf_job_keep_locked(batch, &jobs[i]);
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
void
wf_jobs_load(WfBatch *batch, WfJob *jobs, int n, WfVerdictOfJob verdict)
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
	wf_jobs_load(batch, jobs, n, WF_JOB_DONE);
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
ErrorData *
wf_jobs_try(WfJob *jobs, int n, int limit_ms, bool avoid_slow)
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

/* It is to be tried again, as it was. */
void
wf_job_wait(WfJob *job, WfLack lack, const ErrorData *error)
{
	job->verdict = WF_JOB_SHORT;
	job->lack = lack;
	job->pause_ms = wf_failure_wait(job->instance, job->visit, lack, error, LONGEST_WAIT_MS);
}
