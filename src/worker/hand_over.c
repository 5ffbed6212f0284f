/*
 * hand_over.c
 *		Handing over to executors the jobs that take too long in the dispatcher, or whose owner has spent its budget.
 *
 * No expression or template of a definition is evaluated here, so the time that it takes depends on the size of the
 * data alone.
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/executor_work.h"
#include "worker/http_codec.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/moves_internal.h"
#include "worker/worker.h"

/* Bytes of a body. A reply with a larger one takes so long to be read that it is handed over alone. */
#define SMALL_REPLY 65536

static void
deliver_to_executor(WfBatch *batch, const WfJob *job, const char *queue, const char *kind, Jsonb *payload)
{
	(void) wf_delivery_append(job->instance, job->visit, kind, queue, batch->now, payload);
}

/*
 * A reply becomes a delivery in an executors' queue, and its visit stays in flight until that is applied. A visit that
 * is due is put into such a queue itself. For a timer there is a delivery that makes the executor look.
 */
static void
hand_over_visit(WfBatch *batch, WfJob *job, WfInstance *instance, WfVisit *visit)
{
	WfAnswer answer = {.fault = job->fault, .retryable = job->retryable};
	char	*queue = wf_executor_queue(instance->process->process_id);

	switch (job->kind)
	{
		case WF_JOB_REPLY:
			wf_job_answer(job, &answer);
			pg_fallthrough;
		case WF_JOB_FAIL: /* a request that could not be made: its fault is handed over like a reply */
			deliver_to_executor(batch, job, queue, WF_DELIVERY_REPLY, wf_http_encode(&answer));
			break;
		case WF_JOB_DELIVERY:
			wf_delivery_to_executor(job->delivery, queue, batch->now);
			job->awaits = !job->deliver->keeps_in_flight;
			break;
		case WF_JOB_ALARM: /* the visit stays in its queue, since it may be in flight */
			deliver_to_executor(batch, job, queue, WF_DELIVERY_ALARM, NULL);
			job->awaits = true;
			break;
		case WF_JOB_DUE:
			wf_engine_hand_over(batch, visit);
			break;
		case WF_JOB_EVENT: /* it becomes a delivery, and that is handed over */
			elog(ERROR, "an event that has no delivery is handed over");
	}
}

static void
hand_over_job(WfBatch *batch, WfJob *job)
{
	WfVisit	   *visit = wf_batch_visit(batch, job->instance, job->visit);
	WfInstance *instance = visit != NULL ? visit->instance : wf_job_whole(batch, job);

	if (visit != NULL ? visit->suspended : instance != NULL && instance->status == WF_STATUS_SUSPENDED)
		wf_job_keep_suspended(batch, job);
	else if (instance != NULL)
		hand_over_visit(batch, job, instance, visit);
	else if (job->verdict == WF_JOB_LOCKED)
		wf_job_keep_locked(batch, job);
	else
	{
		wf_job_gone(batch, job);
		if (job->delivery != 0)
			wf_delivery_delete(job->delivery);
	}
}

/* Hand over jobs in one transaction, and set their verdicts. Jobs beyond the memory budget are marked as deferred. */
static void
hand_over(WfJob *jobs, int n)
{
	WfAccess	  access;
	WfBatch		 *batch;
	MemoryContext old;

	wf_begin_transaction();
	wf_store_enter(&access);
	batch = wf_batch_begin();
	old = MemoryContextSwitchTo(batch->context);
	wf_jobs_load(batch, jobs, n, WF_JOB_HANDED_OVER);
	for (int i = 0; i < n; i++)
	{
		jobs[i].deferred = wf_batch_is_deferred(batch, jobs[i].instance, jobs[i].visit);
		if (jobs[i].deferred)
			continue;
		if (wf_job_follows(jobs, i) && jobs[i - 1].verdict == WF_JOB_SUSPENDED)
			jobs[i].verdict = WF_JOB_SUSPENDED; /* the job before it has put all deliveries of the instance away */
		else
			hand_over_job(batch, &jobs[i]);
	}
	wf_batch_flush(batch);
	MemoryContextSwitchTo(old);
	wf_batch_end(batch);
	wf_store_leave(&access);
	CommitTransactionCommand();
}

/*
 * There is no time limit here, except for waiting for locks: the job may be slow because its large reply takes long to
 * be read, and that is read once more here.
 */
void
wf_job_hand_over(WfJob *job)
{
	MemoryContext context = CurrentMemoryContext;

	wf_limit_begin(0);
	PG_TRY();
	{
		hand_over(job, 1);
	}
	PG_CATCH();
	{
		ErrorData *error = wf_catch(context);
		WfLack	   lack = wf_failure_lack(error);

		job->verdict = WF_JOB_STUCK;
		if (lack != WF_LACK_NONE)
			wf_job_wait(job, lack, error);
		else
			ereport(WARNING, errcode(error->sqlerrcode),
					errmsg("workflow could not hand visit " INT64_FORMAT "_" INT64_FORMAT " over to an executor: %s",
						   job->instance, job->visit, error->message));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

static bool
is_handed_over_with_others(const WfJob *job)
{
	return job->slow && !job->deferred && (job->reply == NULL || job->reply->body_len <= SMALL_REPLY);
}

/*
 * Slow jobs are handed over in one transaction, since there may be many of them. Those that are too large for that, or
 * all if it fails, stay slow: the caller hands them over one by one.
 */
void
wf_jobs_hand_over_slow(WfJob *jobs, int n)
{
	MemoryContext context = CurrentMemoryContext;
	WfJob		 *slow = palloc(sizeof(WfJob) * n);
	int			  nslow = 0;

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
			jobs[i].slow = jobs[i].deferred;
		}
	}
	PG_CATCH();
	{
		(void) wf_catch(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}
