/*
 * move_batch.c
 *		One transaction of the dispatcher: jobs are loaded, carried out and committed, all or none.
 *
 * Locks: the instances of all jobs, without waiting for any. If an instance is locked by another transaction, or is
 * suspended, its job changes nothing and waits in its row; a reply, which has no row yet, becomes a delivery, so that
 * it survives a crash; an event that has none is left to whoever has made the job.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/due.h"
#include "store/message.h"
#include "worker/budget.h"
#include "worker/http_codec.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/moves_internal.h"
#include "worker/worker.h"

/* A reply that found its instance locked is tried again after so long, or sooner if the end of the lock wakes us. */
#define LOCKED_PAUSE_MS 10
/* So many bytes are loaded together where events are brought to many, of which those that are left get them later. */
#define EVENTS_MEMORY_BUDGET (4 * 1024 * 1024)
/* Longest pause before a job for which something was lacking is tried again. */
#define LONGEST_WAIT_MS 10000

static int
compare_ids(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}

static bool
is_among_ids(int64 id, const int64 *sorted, int n)
{
	return bsearch(&id, sorted, n, sizeof(int64), compare_ids) != NULL;
}

/* For jobs whose instance could not be locked: has it ended, or has another transaction locked it? */
static void
judge_missing(WfBatch *batch, WfJob *jobs, int n)
{
	int64 *missing = palloc(sizeof(int64) * n);
	int64 *living = palloc(sizeof(int64) * n);
	int	   nmissing = 0;
	int	   nliving;

	for (int i = 0; i < n; i++)
		if (wf_batch_instance(batch, jobs[i].instance) == NULL)
		{
			jobs[i].verdict = WF_JOB_GONE;
			missing[nmissing++] = jobs[i].instance;
		}
	if (nmissing == 0)
		return;
	nliving = wf_instances_living(missing, nmissing, living);
	qsort(living, nliving, sizeof(int64), compare_ids);
	for (int i = 0; i < n; i++)
		if (jobs[i].verdict == WF_JOB_GONE && is_among_ids(jobs[i].instance, living, nliving))
			jobs[i].verdict = WF_JOB_LOCKED;
}

static bool
has_no_row(const WfJob *job)
{
	return job->kind == WF_JOB_REPLY || job->kind == WF_JOB_EVENT;
}

/* Mark the replies and events for whose instances deliveries wait: they must not overtake these. */
static void
judge_arrived(WfBatch *batch, WfJob *jobs, int n)
{
	int64 *instances = palloc(sizeof(int64) * n);
	int64 *have = palloc(sizeof(int64) * n);
	int	   narrived = 0;
	int	   nhave;

	for (int i = 0; i < n; i++)
		if (has_no_row(&jobs[i]) && wf_batch_instance(batch, jobs[i].instance) != NULL)
			instances[narrived++] = jobs[i].instance;
	if (narrived == 0)
		return;
	nhave = wf_deliveries_have(instances, narrived, have);
	for (int i = 0; i < n; i++)
		jobs[i].behind = has_no_row(&jobs[i]) && is_among_ids(jobs[i].instance, have, nhave);
}

/* Look which of the waits stand to which events are brought, now that their instances are locked. */
static void
look_at_waits(WfJob *jobs, int n)
{
	int64 *subscriptions = palloc(sizeof(int64) * n);
	int	  *entries = palloc(sizeof(int) * n);
	int	   nevents = 0;

	for (int i = 0; i < n; i++)
		if (jobs[i].kind == WF_JOB_EVENT)
			subscriptions[nevents++] = jobs[i].event->subscription;
	if (nevents == 0)
		return;
	wf_receivers_stand(subscriptions, nevents, entries);
	nevents = 0;
	for (int i = 0; i < n; i++)
		if (jobs[i].kind == WF_JOB_EVENT)
			jobs[i].event->entry = entries[nevents++];
}

void
wf_job_answer(const WfJob *job, WfAnswer *answer)
{
	wf_http_answer(job->reply, answer);
	answer->held = job->held && answer->fault.code != NULL;
}

/* Store a reply that cannot be handled now as a delivery. Returns true if that is in a queue for executors. */
static bool
store_reply(WfBatch *batch, WfJob *job, const char *queue)
{
	TimestampTz again = TimestampTzPlusMilliseconds(batch->now, LOCKED_PAUSE_MS);
	WfAnswer	answer;

	wf_job_answer(job, &answer);
	return wf_delivery_append(job->instance, job->visit, WF_DELIVERY_REPLY, queue, again, wf_http_encode(&answer));
}

/* The instance is suspended: its deliveries are put away, and a reply joins them. */
void
wf_job_keep_suspended(WfBatch *batch, WfJob *job)
{
	job->verdict = WF_JOB_SUSPENDED;
	if (job->delivery != 0)
		wf_deliveries_hold(&job->instance, 1);
	else if (job->reply != NULL)
		(void) store_reply(batch, job, WF_QUEUE_SUSPENDED);
}

/* The instance is locked, or deliveries wait for it: a reply becomes a delivery, and deliveries stay where they are. */
void
wf_job_keep_locked(WfBatch *batch, WfJob *job)
{
	job->verdict = WF_JOB_LOCKED;
	if (job->reply != NULL && job->delivery == 0 && store_reply(batch, job, WF_QUEUE_MOVE))
		job->verdict = WF_JOB_HANDED_OVER;
}

void
wf_job_gone(WfBatch *batch, WfJob *job)
{
	job->verdict = WF_JOB_GONE;
	if (job->delivery != 0 && job->deliver->gone != NULL)
		job->deliver->gone(batch, job->payload);
	if (job->kind == WF_JOB_EVENT)
		wf_message_refused(job->event, batch->now);
}

WfInstance *
wf_job_whole(WfBatch *batch, const WfJob *job)
{
	return job->delivery != 0 ? wf_delivery_whole(batch, job->deliver, job->instance) : NULL;
}

bool
wf_job_follows(const WfJob *jobs, int i)
{
	return i > 0 && jobs[i].delivery != 0 && jobs[i - 1].delivery != 0 && jobs[i].instance == jobs[i - 1].instance;
}

static void
apply_job(WfBatch *batch, WfJob *job, WfVisit *visit)
{
	WfAnswer answer;

	switch (job->kind)
	{
		case WF_JOB_REPLY:
			wf_job_answer(job, &answer);
			wf_engine_answer(batch, visit, &answer);
			break;
		case WF_JOB_DELIVERY:
			job->deliver->apply(batch, visit, job->payload);
			break;
		case WF_JOB_DUE:
			wf_engine_due(batch, visit);
			break;
		case WF_JOB_ALARM:
			wf_engine_alarm(batch, visit);
			break;
		case WF_JOB_EVENT:
			wf_event_bring(batch, visit, job->event);
			break;
		case WF_JOB_FAIL:
			if (job->attempt)
				wf_engine_answer(batch, visit, &(WfAnswer){.fault = job->fault, .retryable = job->retryable});
			else
				wf_engine_fail(batch, visit, &job->fault, job->failing);
			if (job->delivery != 0 && job->deliver->failed != NULL)
				job->deliver->failed(batch, job->payload);
			break;
	}
	job->awaits = !visit->ended && (visit->state == WF_STATE_CALLING || visit->state == WF_STATE_RETRYING ||
									visit->state == WF_STATE_CANCELLING);
	job->retried = !visit->ended && visit->state == WF_STATE_RETRYING;
	job->verdict = visit->ended || visit->changed ? WF_JOB_DONE : WF_JOB_UNMOVED;
}

/* A delivery for the instance as a whole. What has failed is left out, since it would fail again; the log has it. */
static void
apply_to_whole(WfBatch *batch, WfJob *job, WfInstance *instance)
{
	if (job->kind == WF_JOB_FAIL)
		ereport(WARNING, errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				errmsg("workflow gives up delivery " INT64_FORMAT " (%s) of instance " INT64_FORMAT ": %s",
					   job->delivery, job->deliver->name, job->instance, job->fault.message));
	else
		job->deliver->apply_whole(batch, instance, job->payload);
	job->awaits = true; /* no request is concerned */
	job->retried = false;
	job->verdict = WF_JOB_DONE;
}

static void
describe_job(void *arg)
{
	WfJob **job = arg;

	if (*job != NULL)
		errcontext("visit " INT64_FORMAT "_" INT64_FORMAT, (*job)->instance, (*job)->visit);
}

/*
 * Is the job not carried out with this batch, since it is beyond the memory budget, or slow? Deliveries behind such a
 * one have to wait, too.
 */
static bool
is_left(WfBatch *batch, WfJob *jobs, int i, const WfInstance *instance, bool avoid_slow)
{
	WfJob *job = &jobs[i];

	job->deferred = wf_batch_is_deferred(batch, job->instance, job->visit);
	job->slow =
		avoid_slow && instance != NULL && wf_budget_is_spent(instance->process->process_id, GetCurrentTimestamp());
	/* those who have got an event stand before all who have not */
	if (i > 0 && job->kind == WF_JOB_EVENT)
		job->deferred |= jobs[i - 1].deferred;
	if (wf_job_follows(jobs, i))
	{
		job->deferred |= jobs[i - 1].deferred;
		job->slow |= jobs[i - 1].slow;
	}
	return job->deferred || job->slow;
}

/* `instance` is the job's, if its visit, or that as a whole, is there for it. */
static void
carry_out(WfBatch *batch, WfJob *jobs, int i, WfInstance *instance, WfVisit *visit)
{
	WfJob *job = &jobs[i];
	bool   suspended = visit != NULL ? visit->suspended : instance != NULL && instance->status == WF_STATUS_SUSPENDED;

	if (instance == NULL && job->verdict == WF_JOB_LOCKED)
		wf_job_keep_locked(batch, job);
	else if (instance == NULL)
		wf_job_gone(batch, job);
	else if (suspended && wf_job_follows(jobs, i) && jobs[i - 1].verdict == WF_JOB_SUSPENDED)
		job->verdict = WF_JOB_SUSPENDED; /* the job before it has put all deliveries of the instance away */
	else if (suspended)
		wf_job_keep_suspended(batch, job);
	else if (job->behind)
		wf_job_keep_locked(batch, job);
	else if (visit == NULL)
		apply_to_whole(batch, job, instance);
	else
		apply_job(batch, job, visit);
}

static void
apply_all(WfBatch *batch, WfJob *jobs, int n, bool avoid_slow)
{
	WfJob *volatile current = NULL;
	ErrorContextCallback context = {.callback = describe_job,
									.arg = (void *) &current,
									.previous = error_context_stack};

	error_context_stack = &context;
	for (int i = 0; i < n; i++)
	{
		WfVisit	   *visit = wf_batch_visit(batch, jobs[i].instance, jobs[i].visit);
		WfInstance *instance = visit != NULL ? visit->instance : wf_job_whole(batch, &jobs[i]);

		current = &jobs[i];
		if (is_left(batch, jobs, i, instance, avoid_slow))
			continue;
		if (avoid_slow && instance != NULL)
			wf_budget_begin(instance->process->process_id);
		carry_out(batch, jobs, i, instance, visit);
		(void) wf_budget_end();
	}
	error_context_stack = context.previous;
}

/* Delete the deliveries that were applied. The lock of the instance keeps others from doing so; this makes sure. */
static void
delete_delivered(WfJob *jobs, int n)
{
	int64 *ids = palloc(sizeof(int64) * n);
	int	   ndelivered = 0;

	for (int i = 0; i < n; i++)
		if (jobs[i].delivery != 0 && !wf_job_is_left(&jobs[i]))
			ids[ndelivered++] = jobs[i].delivery;
	if (wf_deliveries_delete(ids, ndelivered) != ndelivered)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE), errmsg("a delivery was made by somebody else"));
}

/*
 * Do not wait for the disk or for a standby, since the transaction has made nothing due. If a crash undoes it, its rows
 * are as before, and its jobs are done again.
 */
static void
commit_lazily(void)
{
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* 0: a job that is alone takes what it takes. */
static size_t
memory_budget(const WfJob *jobs, int n)
{
	if (n == 1)
		return 0;
	return jobs[0].kind == WF_JOB_EVENT ? EVENTS_MEMORY_BUDGET : WF_BATCH_MEMORY_BUDGET;
}

void
wf_jobs_load(WfBatch *batch, WfJob *jobs, int n, WfVerdictOfJob verdict)
{
	int64 *instances = palloc(sizeof(int64) * n);
	int64 *visits = palloc(sizeof(int64) * n);

	for (int i = 0; i < n; i++)
	{
		jobs[i].verdict = verdict;
		instances[i] = jobs[i].instance;
		visits[i] = jobs[i].visit;
	}
	batch->memory_budget = memory_budget(jobs, n);
	wf_batch_lock(batch, instances, n, WF_LOCK_SKIP);
	judge_missing(batch, jobs, n);
	judge_arrived(batch, jobs, n);
	look_at_waits(jobs, n);
	wf_batch_load_visits(batch, instances, visits, n);
}

static void
transaction(WfJob *jobs, int n, bool avoid_slow, const WfRest *rest)
{
	WfAccess	  access;
	WfBatch		 *batch;
	MemoryContext old;
	bool		  needs_sync_commit;

	wf_budget_forget(); /* CPU time of a transaction before, which has failed, does not count here */
	wf_begin_transaction();
	wf_store_enter(&access);
	batch = wf_batch_begin();
	old = MemoryContextSwitchTo(batch->context);
	wf_jobs_load(batch, jobs, n, WF_JOB_DONE);
	apply_all(batch, jobs, n, avoid_slow);
	delete_delivered(jobs, n);
	if (rest->work != NULL)
		rest->work(jobs, n, rest->arg);
	wf_batch_flush(batch);
	needs_sync_commit = batch->needs_sync_commit;
	MemoryContextSwitchTo(old);
	wf_batch_end(batch);
	wf_store_leave(&access);
	if (!needs_sync_commit)
		commit_lazily(); /* not before wf_store_leave, which restores settings */
	CommitTransactionCommand();
}

ErrorData *
wf_jobs_try_with(WfJob *jobs, int n, int limit_ms, bool avoid_slow, const WfRest *rest)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		if (avoid_slow)
			wf_limit_begin_moves(limit_ms);
		else
			wf_limit_begin(limit_ms);
		transaction(jobs, n, avoid_slow, rest);
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

ErrorData *
wf_jobs_try(WfJob *jobs, int n, int limit_ms, bool avoid_slow)
{
	return wf_jobs_try_with(jobs, n, limit_ms, avoid_slow, &(WfRest){0});
}

void
wf_job_wait(WfJob *job, WfLack lack, const ErrorData *error)
{
	job->verdict = WF_JOB_SHORT;
	job->lack = lack;
	job->pause_ms = wf_failure_wait(job->instance, job->visit, lack, error, LONGEST_WAIT_MS);
}
