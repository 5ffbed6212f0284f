/*
 * moves_internal.h
 *		Between moves.c (which job is tried how), move_batch.c (one transaction) and hand_over.c (to executors).
 */
#ifndef WF_MOVES_INTERNAL_H
#define WF_MOVES_INTERNAL_H

#include "postgres.h"

#include "worker/moves.h"

/* ---- move_batch.c ---- */

/* What has to be done in the same transaction as the jobs, after them; `work` NULL: nothing. */
typedef struct WfRest
{
	void (*work)(const WfJob *jobs, int n, void *arg);
	void *arg;
} WfRest;

/*
 * Carry out all jobs in one transaction, within limit_ms milliseconds. With `avoid_slow`, jobs of owners whose budget
 * is spent are not carried out, but marked as slow. Returns NULL, or the error with which the transaction has failed,
 * in CurrentMemoryContext; then nothing has changed.
 */
extern ErrorData *wf_jobs_try(WfJob *jobs, int n, int limit_ms, bool avoid_slow);
extern ErrorData *wf_jobs_try_with(WfJob *jobs, int n, int limit_ms, bool avoid_slow, const WfRest *rest);

/*
 * Lock the instances of the jobs, as far as that is possible without waiting, and load the visits. Jobs whose instance
 * is locked now get `verdict`; the others get WF_JOB_LOCKED or WF_JOB_GONE. To be called in a transaction, inside
 * wf_store_enter and in the batch's context.
 */
extern void wf_jobs_load(WfBatch *batch, WfJob *jobs, int n, WfVerdictOfJob verdict);

/*
 * The instance of the job is suspended, or another transaction has locked it: a reply becomes a delivery, and a
 * delivery stays one. To be called as wf_jobs_load is.
 */
extern void wf_job_keep_suspended(WfBatch *batch, WfJob *job);
extern void wf_job_keep_locked(WfBatch *batch, WfJob *job);

/* Read the reply of the job. */
extern void wf_job_answer(const WfJob *job, WfAnswer *answer);

/* The visit of the job has ended: what it was about is put right. To be called as wf_jobs_load is. */
extern void wf_job_gone(WfBatch *batch, WfJob *job);

/* The instance, if the job is a delivery for that as a whole and it lives; NULL otherwise. */
extern WfInstance *wf_job_whole(WfBatch *batch, const WfJob *job);

/* Is the i-th job a delivery behind another one of the same instance? */
extern bool wf_job_follows(const WfJob *jobs, int i);

/* The job failed since something was lacking: it is to be tried again as it was, after a pause. Sets the verdict. */
extern void wf_job_wait(WfJob *job, WfLack lack, const ErrorData *error);

/* ---- hand_over.c; outside transactions ---- */

/* Hand a job over to executors, and set its verdict. */
extern void wf_job_hand_over(WfJob *job);

/* Hand over the slow jobs of a batch in one transaction. Those that stay slow have to be handed over alone. */
extern void wf_jobs_hand_over_slow(WfJob *jobs, int n);

#endif
