/*
 * answer.c
 *		What an action answered: the reply, a pause before the next attempt, or the end.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "engine/internal.h"

/* No pause is longer than that, whatever factor it grew by. */
#define MAX_PAUSE_US (INT64CONST(365) * USECS_PER_DAY)

bool
wf_data_apply(WfBatch *batch, WfVisit *visit, const WfTemplate *changes, const WfScope *scope,
			  WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb	   *rendered = wf_template_jsonb(changes, scope, fault);

	if (rendered != NULL)
		wf_data_merge(visit->instance, rendered);
	MemoryContextSwitchTo(old);
	return rendered != NULL;
}

void
wf_data_merge(WfInstance *instance, Jsonb *changes)
{
	instance->data = wf_jsonb_merge(instance->data, changes);
	instance->data_changed = true;
}

/* The pause after the attempt that has just failed. */
static TimestampTz
next_attempt_at(WfBatch *batch, WfVisit *visit, int retry_after_ms)
{
	const WfRetry *retry = &visit->def->retry;
	WfDuration	delay = {.interval = retry->delays[Min(visit->attempt - 1, retry->ndelays - 1)]};
	TimestampTz at = batch->now;
	WfFault		ignored = {0};
	double		pause = MAX_PAUSE_US;
	int			grown = visit->attempt - 1 - (retry->ndelays - 1);

	if (wf_clock_after(visit, &delay, NULL, batch->now, &at, &ignored))
		pause = (double) (at - batch->now);
	if (grown > 0 && retry->backoff != 1)
		pause *= pow(retry->backoff, grown);
	if (!(pause < MAX_PAUSE_US))
		pause = MAX_PAUSE_US;
	return batch->now + Max((int64) pause, (int64) retry_after_ms * 1000);
}

static WfVisit *
failed_attempt(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb	   *error = wf_engine_error(&answer->fault, visit->attempt);

	MemoryContextSwitchTo(old);
	if (visit->has_callback)
		return wf_outcome_callback(batch, visit);
	if (!answer->retryable || visit->attempt > visit->def->retry.max)
		return wf_outcome_bad(batch, visit, WF_OUTCOME_SYSTEM_ERROR, error);
	visit->error = error;
	wf_state_pause(batch, visit, next_attempt_at(batch, visit, answer->retry_after_ms));
	return NULL;
}

static WfVisit *
replied(WfBatch *batch, WfVisit *visit, Jsonb *reply)
{
	WfFault		fault = {0};
	WfScope		scope;

	visit->reply = reply;
	visit->has_reply = true;
	visit->docs_changed = true;
	visit->error = NULL;
	visit->changed = true;
	if (visit->def->save_reply != NULL)
	{
		wf_engine_scope(visit, &scope);
		if (!wf_data_apply(batch, visit, visit->def->save_reply, &scope, &fault))
			return wf_outcome_fault(batch, visit, &fault);
	}
	return visit->has_callback ? wf_outcome_callback(batch, visit) : wf_wait_open(batch, visit);
}

void
wf_engine_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	WfVisit    *next;

	if (visit->ended ||
		(visit->state != WF_STATE_CALLING && visit->state != WF_STATE_RETRYING))
		return;
	visit->attempt++;
	visit->changed = true;
	if (answer->fault.code != NULL)
		next = failed_attempt(batch, visit, answer);
	else
		next = replied(batch, visit, answer->reply);
	wf_move_on(batch, visit->instance, next);
}

Jsonb *
wf_engine_error(const WfFault *fault, int attempt)
{
	WfField		fields[5];

	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "code", .kind = WF_FIELD_TEXT, .text = fault->code};
	fields[1] = (WfField){.key = "message", .kind = WF_FIELD_TEXT, .text = fault->message};
	fields[2] = (WfField){.key = "http_status",
		.kind = fault->http_status != 0 ? WF_FIELD_INT : WF_FIELD_JSONB,
		.number = fault->http_status};
	fields[3] = (WfField){.key = "sqlstate", .kind = WF_FIELD_TEXT,
		.text = fault->sqlstate[0] != '\0' ? fault->sqlstate : NULL};
	fields[4] = (WfField){.key = "attempt", .kind = WF_FIELD_INT, .number = attempt};
	return wf_jsonb_object(fields, lengthof(fields));
}

void
wf_engine_scope(WfVisit *visit, WfScope *scope)
{
	WfInstance *instance = visit->instance;
	bool		under_way = visit->state == WF_STATE_CALLING ||
							visit->state == WF_STATE_RETRYING || visit->state == WF_STATE_READY;

	memset(scope, 0, sizeof(*scope));
	scope->data = instance->data;
	scope->instance = instance->id;
	scope->visit = visit->id;
	scope->business_key = instance->business_key;
	scope->process = instance->process->name;
	scope->step = visit->step;
	scope->attempt = visit->attempt + (under_way && !visit->has_reply ? 1 : 0);
	scope->reply = visit->reply;
	scope->result = visit->result;
	scope->error = visit->error;
	scope->caught = visit->caught;
	scope->index = -1;
}
