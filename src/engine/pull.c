/*
 * pull.c
 *		Entry points of the engine for workers: work was fetched, given back, done, or has failed.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/answer.h"
#include "engine/engine.h"
#include "engine/silence.h"
#include "store/work.h"

void
wf_engine_fetched(WfBatch *batch, WfVisit *visit)
{
	wf_silence_begin(batch, visit);
}

bool
wf_engine_released(WfBatch *batch, WfVisit *visit, const WfWork *work)
{
	if (!wf_work_release(work, batch->now, work->failures))
		return false;
	wf_silence_end(visit);
	return true;
}

static bool
names_code(const WfStep *def, const char *code)
{
	for (int i = def->nwaits; i < def->nentries; i++)
		for (int c = 0; c < def->entries[i].ncodes; c++)
			if (wf_code_names(def->entries[i].codes[c], code, 0))
				return true;
	return false;
}

/* Does the author name the code where it is caught: at the step, or at a scope around? */
static bool
is_caught(const WfVisit *visit, const char *code)
{
	for (; visit != NULL; visit = visit->scope)
		if (visit->def != NULL && names_code(visit->def, code))
			return true;
	return false;
}

static bool
is_tried_again(const WfVisit *visit, const WfWork *work, const WfFault *fault)
{
	return work->failures < visit->def->retry.max && wf_answer_is_retried(&visit->def->retry, fault) &&
		   !is_caught(visit, fault->code);
}

/* Record what a worker has done, if it has failed, or comes after failures. */
static void
record(WfBatch *batch, WfVisit *visit, const WfWork *work, const WfFault *fault)
{
	WfAnswer answer = {.started_at = work->fetched_at};

	if (fault == NULL && work->failures == 0)
		return;
	if (fault != NULL)
		answer.fault = *fault;
	wf_answer_note(batch, visit, &answer);
}

/* Somebody else may fetch it, after a pause. Returns false if that is just happening. */
static bool
try_again(WfBatch *batch, WfVisit *visit, const WfWork *work, const WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TimestampTz	  at = wf_answer_next_at(batch, visit, &visit->def->retry, work->failures + 1);
	bool		  released = wf_work_release(work, at, work->failures + 1);

	if (released)
	{
		record(batch, visit, work, fault);
		visit->error = wf_engine_error(fault, visit->attempt);
		wf_silence_end(visit);
		batch->needs_sync_commit = true; /* the worker is told that it need not care any more */
	}
	MemoryContextSwitchTo(old);
	return released;
}

/* Does the visit wait for the work? That of a handler is none of its attempts, and cannot fail. */
static bool
waits_for_work(const WfVisit *visit)
{
	int entry = visit->def != NULL ? wf_step_entry(visit->def, WF_EVENT_TOPIC) : -1;

	return entry >= 0 && entry < visit->def->nwaits;
}

bool
wf_engine_worked(WfBatch *batch, WfVisit *visit, const WfWork *work, const WfDone *done, const WfFault *fault,
				 bool retry)
{
	if (!waits_for_work(visit))
		return wf_engine_done(batch, visit, WF_EVENT_TOPIC, done);
	if (fault != NULL && retry && wf_engine_wanted(visit) && is_tried_again(visit, work, fault))
		return try_again(batch, visit, work, fault);
	if (fault == NULL)
		visit->error = NULL;
	if (!wf_engine_done(batch, visit, WF_EVENT_TOPIC, done))
		return false;
	record(batch, visit, work, fault);
	return true;
}
