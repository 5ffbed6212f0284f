/*
 * moves.c
 *		Jobs of workers: together in one transaction (move_batch.c) if all goes well, one by one if not.
 *
 * A batch that fails is made again one by one, so that a poison row holds up nobody: it alone becomes an incident, if
 * it was its own fault (failure.c). A cancel counts as that of the one move that it meets; a termination is no error, and not caught.
 */
#include "postgres.h"

#include "shmem/careful.h"
#include "worker/budget.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/moves_internal.h"

/* Those whose owner has no time left are left out of a batch, and it is tried again, that often. */
#define MOST_ROUNDS 8
/* After so many of a batch in a row have failed so, the others are left for later; one that has waited for a lock counts more. */
#define MOST_SHORT	  8
#define LOCKED_COUNTS 4

/* ---- what does not work ---- */

static ErrorData *
try_to_fail_job(WfJob *job, WfFailing broken, int limit_ms)
{
	job->broken = broken;
	return wf_jobs_try(job, 1, limit_ms, false);
}

/*
 * What was accepted as the end of a visit may only fail by itself. And what cannot even be told of with all that the
 * visit carries is told of without it.
 */
static WfFailing
what_fails(const WfJob *job)
{
	return job->kind == WF_JOB_DUE ? WF_FAIL_VISIT : WF_FAIL_ACTION;
}

static void
make_incident(WfJob *job, WfFailing broken, int limit_ms)
{
	ErrorData *second;
	WfLack	   lack = WF_LACK_NONE;
	WfJobKind  kind = job->kind;

	job->kind = WF_JOB_FAIL;
	second = try_to_fail_job(job, broken, limit_ms);
	if (second != NULL && (lack = wf_failure_lack(second)) == WF_LACK_NONE && broken != WF_FAIL_BARE)
	{
		second = try_to_fail_job(job, WF_FAIL_BARE, limit_ms);
		lack = second != NULL ? wf_failure_lack(second) : WF_LACK_NONE;
	}
	if (lack != WF_LACK_NONE || kind == WF_JOB_DUE || kind == WF_JOB_ALARM)
		job->kind = kind; /* there may be a request in flight beside it */
	if (second == NULL)
		return;
	if (lack != WF_LACK_NONE)
	{
		wf_job_wait(job, lack, second);
		return;
	}
	job->verdict = WF_JOB_STUCK;
	ereport(WARNING, errcode(second->sqlerrcode),
			errmsg("workflow could not make an incident of visit " INT64_FORMAT "_" INT64_FORMAT ": %s", job->instance,
				   job->visit, second->message));
}

static void
fail_visit(WfJob *job, const ErrorData *error, int limit_ms)
{
	ereport(LOG, errcode(error->sqlerrcode),
			errmsg("workflow could not move visit " INT64_FORMAT "_" INT64_FORMAT ": %s", job->instance, job->visit,
				   error->message));
	wf_catch_fault(error, &job->fault);
	make_incident(job, what_fails(job), limit_ms);
}

/* What another transaction was in the way of goes at once, as a rule. */
static ErrorData *
try_twice(WfJob *job, int limit_ms, bool may_hand_over)
{
	ErrorData *error = wf_jobs_try(job, 1, limit_ms, may_hand_over);

	if (error != NULL && may_hand_over)
		(void) wf_budget_end();
	if (error != NULL && wf_failure_lack(error) == WF_LACK_CONFLICT)
		error = wf_jobs_try(job, 1, limit_ms, false);
	return error;
}

/* What has waited for a lock is kept as a row, if that can be written, since executors may wait longer than we. */
static void
run_one(WfJob *job, int limit_ms, bool may_hand_over)
{
	ErrorData *error = try_twice(job, limit_ms, may_hand_over);
	WfLack	   lack = error != NULL ? wf_failure_lack(error) : WF_LACK_NONE;

	if (error == NULL && !job->slow)
		return;
	if (error == NULL ||
		(may_hand_over && (wf_limit_was_hit() || wf_catch_took_too_much(error) || lack == WF_LACK_LOCK)))
		wf_job_hand_over(job);
	else if (lack != WF_LACK_NONE)
		wf_job_wait(job, lack, error);
	else
		fail_visit(job, error, limit_ms);
}

/* ---- deliveries, in order ---- */

/* Is it a delivery behind one that still waits? Then it waits too. */
static bool
has_to_follow(const WfJob *jobs, int i)
{
	return wf_job_follows(jobs, i) && jobs[i - 1].verdict != WF_JOB_DONE && jobs[i - 1].verdict != WF_JOB_GONE &&
		   jobs[i - 1].verdict != WF_JOB_UNMOVED;
}

static void
follow_result(WfJob *job, const WfJob *before)
{
	if (before->verdict == WF_JOB_HANDED_OVER)
	{
		wf_job_hand_over(job);
		return;
	}
	job->verdict = before->verdict == WF_JOB_SUSPENDED ? WF_JOB_LOCKED : before->verdict;
	job->lack = before->lack;
	job->pause_ms = before->pause_ms;
}

/* ---- after a crash ---- */

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
		case WF_JOB_FAIL:
			break;
	}
	return WF_PIECE_FAIL;
}

/* One by one, on record. */
static void
run_carefully(WfJob *jobs, int n, int limit_ms, bool may_hand_over)
{
	for (int i = 0; i < n; i++)
	{
		int deaths;

		if (has_to_follow(jobs, i))
		{
			follow_result(&jobs[i], &jobs[i - 1]);
			continue;
		}
		deaths = wf_careful_begin(piece_of(&jobs[i]), jobs[i].visit);
		if (deaths < WF_MOST_DEATHS || jobs[i].kind == WF_JOB_FAIL)
			run_one(&jobs[i], limit_ms, may_hand_over);
		else
		{
			/* it may be the incident itself that it has died of */
			wf_failure_died(&jobs[i].fault);
			make_incident(&jobs[i], deaths > WF_MOST_DEATHS ? WF_FAIL_BARE : what_fails(&jobs[i]), limit_ms);
		}
		if (wf_job_is_undone(&jobs[i]) || jobs[i].verdict == WF_JOB_SUSPENDED)
			wf_careful_keep();
		else
			wf_failure_over(jobs[i].instance, jobs[i].visit);
		wf_careful_end();
	}
}

/* ---- a batch ---- */

/* Others of its batch have failed for want of something: it is not even tried. */
static void
leave_undone(WfJob *job, const WfJob *failed)
{
	job->verdict = WF_JOB_SHORT;
	job->lack = failed->lack;
	job->pause_ms = failed->pause_ms;
}

/* Those of a batch that were not done together with the others. */
static void
run_rest(WfJob *jobs, int n, bool together, int limit_ms, bool may_hand_over)
{
	int nshort = 0;

	for (int i = 0; i < n; i++)
	{
		WfJob *job = &jobs[i];
		bool   done = together && !job->deferred;

		if ((!done || job->slow) && has_to_follow(jobs, i))
		{
			follow_result(job, &jobs[i - 1]);
			continue;
		}
		if (nshort >= MOST_SHORT && (!done || job->slow))
			leave_undone(job, &jobs[i - 1]);
		else if (!done)
			run_one(job, limit_ms, may_hand_over);
		else if (job->slow)
			wf_job_hand_over(job);
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
	bool together = false;
	int	 rounds = n > 1 ? MOST_ROUNDS : 0;

	if (n == 0)
		return;
	if (wf_careful())
	{
		run_carefully(jobs, n, limit_ms, may_hand_over);
		return;
	}
	while (rounds-- > 0)
	{
		together = wf_jobs_try(jobs, n, limit_ms, may_hand_over) == NULL;
		/* without the owner or the process that was the reason */
		if (together || !may_hand_over || !wf_budget_end())
			break;
	}
	if (together && may_hand_over)
		wf_jobs_hand_over_slow(jobs, n);
	run_rest(jobs, n, together, limit_ms, may_hand_over);
}
