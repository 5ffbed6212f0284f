/*
 * moves.c
 *		Jobs of the dispatcher: together in one transaction (move_batch.c) if all goes well, one by one if not.
 *
 * The jobs of a batch that has failed are tried one by one, so that a visit that cannot be moved holds up no others. It
 * alone becomes an incident, if that was its own fault (failure.c). A cancel counts as an error of the job that it
 * meets. A termination ends the process, and is not caught.
 */
#include "postgres.h"

#include "shmem/careful.h"
#include "worker/budget.h"
#include "worker/failure.h"
#include "worker/limit.h"
#include "worker/moves_internal.h"

/* A batch is tried so often together, each time without the jobs of owners that have spent their budget meanwhile. */
#define MOST_ROUNDS 8
/*
 * After so many jobs of a batch in a row for which something was lacking, the others are left for later. One that has
 * waited for a lock counts as LOCKED_COUNTS, since it has taken that much time.
 */
#define MOST_SHORT	  8
#define LOCKED_COUNTS 4

/* ---- jobs that fail ---- */

static ErrorData *
try_to_fail_job(WfJob *job, WfFailing failing, int limit_ms)
{
	job->failing = failing;
	return wf_jobs_try(job, 1, limit_ms, false);
}

/*
 * What of the visit fails with this job? A visit is due with its accepted callback, which then fails, too. Other jobs
 * concern its request, and a callback that was accepted before still ends the visit.
 */
static WfFailing
what_fails(const WfJob *job)
{
	return job->kind == WF_JOB_DUE ? WF_FAIL_VISIT : WF_FAIL_ACTION;
}

/* Make an incident of the job's visit; if that fails, too, once more without the documents of the visit. */
static void
make_incident(WfJob *job, WfFailing failing, int limit_ms)
{
	ErrorData *second;
	WfLack	   lack = WF_LACK_NONE;
	WfJobKind  kind = job->kind;

	job->kind = WF_JOB_FAIL;
	job->attempt = false;
	second = try_to_fail_job(job, failing, limit_ms);
	if (second != NULL && (lack = wf_failure_lack(second)) == WF_LACK_NONE && failing != WF_FAIL_BARE)
	{
		second = try_to_fail_job(job, WF_FAIL_BARE, limit_ms);
		lack = second != NULL ? wf_failure_lack(second) : WF_LACK_NONE;
	}
	if (lack != WF_LACK_NONE || kind == WF_JOB_DUE || kind == WF_JOB_ALARM)
		job->kind = kind; /* what follows depends on what the job was: a request of its visit may be in flight */
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

/* Try a job alone. After a conflict with another transaction it is tried once more, which mostly works. */
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

/*
 * Carry out one job, with all that follows if it fails. A job that has waited for a lock is handed over, since
 * executors may wait for longer than the dispatcher.
 */
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

/* Is the job a delivery behind one that still waits? Then it has to wait, too. */
static bool
has_to_follow(const WfJob *jobs, int i)
{
	return wf_job_follows(jobs, i) && jobs[i - 1].verdict != WF_JOB_DONE && jobs[i - 1].verdict != WF_JOB_GONE &&
		   jobs[i - 1].verdict != WF_JOB_UNMOVED;
}

/* Let a delivery have the verdict of the one before it, which still waits. */
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
		case WF_JOB_EVENT:
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

/* After a crash of the server: carry out the jobs one by one, each recorded before it begins (shmem/careful.h). */
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
		/* visits and instances are counted apart */
		deaths = wf_careful_begin(piece_of(&jobs[i]), jobs[i].visit != 0 ? jobs[i].visit : -jobs[i].instance);
		if (deaths < WF_MOST_DEATHS || jobs[i].kind == WF_JOB_FAIL)
			run_one(&jobs[i], limit_ms, may_hand_over);
		else
		{
			/* Even making the incident may be the reason: after one more death it is made without documents. */
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

/* Leave a job untried, since something was lacking for the jobs before it. */
static void
leave_undone(WfJob *job, const WfJob *failed)
{
	job->verdict = WF_JOB_SHORT;
	job->lack = failed->lack;
	job->pause_ms = failed->pause_ms;
}

/* Carry out those jobs of a batch, one by one, that were not carried out together. */
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
		/* If an owner's budget or a slow process was the reason, try again without the jobs of that. */
		if (together || !may_hand_over || !wf_budget_end())
			break;
	}
	if (together && may_hand_over)
		wf_jobs_hand_over_slow(jobs, n);
	run_rest(jobs, n, together, limit_ms, may_hand_over);
}

bool
wf_moves_try(WfJob *jobs, int n, int limit_ms, void (*rest)(const WfJob *jobs, int n, void *arg), void *arg)
{
	if (wf_careful())
		return false;
	if (wf_jobs_try_with(jobs, n, limit_ms, true, &(WfRest){rest, arg}) != NULL)
	{
		(void) wf_budget_end();
		return false;
	}
	for (int i = 0; i < n; i++)
		if (!wf_job_is_left(&jobs[i]))
			wf_failure_over(jobs[i].instance, jobs[i].visit);
	return true;
}
