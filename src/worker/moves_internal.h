/*
 * moves_internal.h
 *		Between moves.c, hand_over.c and move_batch.c.
 */
#ifndef WF_MOVES_INTERNAL_H
#define WF_MOVES_INTERNAL_H

#include "postgres.h"

#include "worker/moves.h"

/* ---- move_batch.c ---- */

/* All of them in one transaction, within `limit_ms`. With `avoid_slow` those of owners without time are left, slow. NULL if it went well. */
extern ErrorData *wf_jobs_try(WfJob *jobs, int n, int limit_ms, bool avoid_slow);

/* Within a transaction, inside wf_store_enter and in the batch's context: what they are for, as far as it is to be had; `verdict` of what is. */
extern void wf_jobs_load(WfBatch *batch, WfJob *jobs, int n, WfVerdictOfJob verdict);

/* Likewise: its instance is suspended, or locked. What has arrived becomes a delivery, a delivery stays one. */
extern void wf_job_keep_suspended(WfBatch *batch, WfJob *job);
extern void wf_job_keep_locked(WfBatch *batch, WfJob *job);

/* Is the i-th job a delivery behind another one of the same instance? */
extern bool wf_job_follows(const WfJob *jobs, int i);

/* It failed for want of something: it is to be tried again, as it was. */
extern void wf_job_wait(WfJob *job, WfLack lack, const ErrorData *error);

/* ---- hand_over.c; outside transactions ---- */

extern void wf_job_hand_over(WfJob *job);

/* Those of a batch that were left as slow. What cannot be handed over with the others stays slow. */
extern void wf_jobs_hand_over_slow(WfJob *jobs, int n);

#endif
