/*
 * answer.c
 *		The answer to an action: the reply, a pause before the next attempt, or the end.
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "engine/answer.h"
#include "http/server.h"
#include "shmem/wakeups.h"

/* No pause between attempts is longer, whatever factor it grew by. */
#define MAX_PAUSE_US (INT64CONST(365) * USECS_PER_DAY)

/* The length of an interval from now, in microseconds; MAX_PAUSE_US if it cannot be computed. */
static double
in_us(WfBatch *batch, WfVisit *visit, const Interval *interval)
{
	WfDuration	duration = {.interval = *interval};
	TimestampTz at;
	WfFault		ignored = {0};

	if (!wf_clock_after(visit, &duration, NULL, batch->now, &at, &ignored))
		return MAX_PAUSE_US;
	return (double) (at - batch->now);
}

TimestampTz
wf_answer_next_at(WfBatch *batch, WfVisit *visit, const WfRetry *retry, int failures)
{
	int	   last = retry->ndelays - 1;
	double pause = in_us(batch, visit, &retry->delays[Min(failures - 1, last)]);
	int	   grown = failures - 1 - last;

	if (grown > 0 && retry->linear)
		pause *= grown + 1;
	else if (grown > 0 && retry->backoff != 1)
		pause *= pow(retry->backoff, grown);
	if (retry->has_max_delay)
		pause = Min(pause, in_us(batch, visit, &retry->max_delay));
	pause += in_us(batch, visit, &retry->jitter) * pg_prng_double(&pg_global_prng_state);
	if (!(pause < MAX_PAUSE_US))
		pause = MAX_PAUSE_US;
	return batch->now + (int64) pause;
}

/* When to try again after the attempt that has just failed. */
static TimestampTz
next_attempt_at(WfBatch *batch, WfVisit *visit, const WfRetry *retry, int retry_after_ms)
{
	TimestampTz at = wf_answer_next_at(batch, visit, retry, visit->attempt);

	return Max(at, TimestampTzPlusMilliseconds(batch->now, retry_after_ms));
}

/* Is the fault one of those that `retry.on` names: "503", "5xx", a SQLSTATE, "connect", "timeout", "auth", the code of a worker? */
static bool
is_named(const WfRetry *retry, const WfFault *fault)
{
	char class[] = {'0' + fault->http_status / 100, 'x', 'x', '\0'};

	for (int i = 0; i < retry->non; i++)
		if (strcmp(retry->on[i], fault->code) == 0 || strcmp(retry->on[i], fault->sqlstate) == 0 ||
			(fault->http_status != 0 && pg_strcasecmp(retry->on[i], class) == 0))
			return true;
	return false;
}

bool
wf_answer_is_retried(const WfRetry *retry, const WfFault *fault)
{
	return retry->non == 0 || is_named(retry, fault);
}

bool
wf_answer_is_named(const WfVisit *visit, const WfFault *fault)
{
	if (is_named(&visit->def->retry, fault))
		return true;
	for (int i = visit->def->nwaits; i < visit->def->nentries; i++)
		for (int c = 0; c < visit->def->entries[i].ncodes; c++)
			if (wf_code_names(visit->def->entries[i].codes[c], fault->code, fault->http_status))
				return true;
	return false;
}

static bool
is_retried(const WfVisit *visit, const WfRetry *retry, const WfAnswer *answer)
{
	if (visit->attempt > retry->max)
		return false;
	return retry->non > 0 ? is_named(retry, &answer->fault) : answer->retryable;
}

/*
 * The server that was called, or NULL. The visit's queue names it, unless the visit was put into
 * another one before the answer came.
 */
static const char *
called_server(WfBatch *batch, WfVisit *visit)
{
	const char *queue = visit->queue;
	WfFault		ignored = {0};

	if (visit->def == NULL || visit->def->action != WF_ACTION_HTTP)
		return NULL;
	if (queue == NULL || strncmp(queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) != 0)
		queue = wf_action_http_queue(batch, visit, visit->def->http, &ignored);
	return queue != NULL ? queue + strlen(WF_QUEUE_HTTP) : NULL;
}

/* The retry policy: that of the step or its definition, else that of the server as it is now. */
static const WfRetry *
retry_of(WfBatch *batch, WfVisit *visit)
{
	const WfRetry  *own = &visit->def->retry;
	const char	   *name = own->given ? NULL : called_server(batch, visit);
	const WfServer *server = name != NULL ? wf_server_by_name(name) : NULL;

	return server != NULL && server->retry.given ? &server->retry : own;
}

static void
failed_attempt(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	const WfRetry *retry = retry_of(batch, visit);
	MemoryContext  old = MemoryContextSwitchTo(batch->context);
	Jsonb		  *error = wf_engine_error(&answer->fault, visit->attempt);
	bool		   open = !wf_has_accepted(visit) || (wf_state_acts_first(visit) && !wf_state_is_ending(visit));

	MemoryContextSwitchTo(old);
	if (open && is_retried(visit, retry, answer))
	{
		visit->error = error;
		wf_state_pause(batch, visit, next_attempt_at(batch, visit, retry, answer->retry_after_ms));
	}
	else if (wf_has_accepted(visit))
		wf_push(batch, visit, WF_HAPPEN);
	else
	{
		visit->docs.reply = answer->reply;
		wf_push_fail(batch, visit, WF_OUTCOME_SYSTEM_ERROR, error);
	}
}

/* Run save_reply, whether a callback came before the reply or comes later. */
bool
wf_answer_save(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	WfVariables variables;

	if (visit->def->save_reply == NULL)
		return true;
	wf_engine_variables(visit, &variables);
	return wf_data_apply(batch, visit, visit->def->save_reply, &variables, fault);
}

static void
replied(WfBatch *batch, WfVisit *visit, Jsonb *reply)
{
	WfFault fault = {0};

	visit->docs.reply = reply;
	visit->docs.has_reply = true;
	visit->docs.changed = true;
	visit->error = NULL;
	visit->changed = true;
	if (wf_answer_save(batch, visit, &fault))
		wf_push(batch, visit, wf_has_accepted(visit) ? WF_HAPPEN : WF_OPEN);
	/* the service goes on with what is waited for */
	else if (visit->def->nwaits > 0)
		wf_push_break(batch, visit, &fault);
	else
		wf_push_fault(batch, visit, &fault);
}

/*
 * Record an attempt that has failed, or that came after one that has. The many actions that succeed
 * at once leave no row.
 */
static void
record_attempt(WfBatch *batch, WfVisit *visit, int number, const WfAnswer *answer)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfAttempt	 *attempt = palloc0(sizeof(WfAttempt));
	Jsonb		 *status = answer->reply != NULL ? wf_jsonb_get(answer->reply, "status") : NULL;
	JsonbValue	  value;

	attempt->visit = visit;
	attempt->attempt = number;
	attempt->started_at = answer->started_at != 0 ? answer->started_at : batch->now;
	attempt->http_status = answer->fault.http_status;
	attempt->server = called_server(batch, visit);
	if (answer->fault.code != NULL)
		attempt->error = wf_engine_error(&answer->fault, number);
	else if (status != NULL && JsonbExtractScalar(&status->root, &value) && value.type == jbvNumeric)
		attempt->http_status = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value.val.numeric)));
	batch->attempts = lappend(batch->attempts, attempt);
	MemoryContextSwitchTo(old);
}

/*
 * Keep the service's cookies in the instance, since its later calls must find the same node of the
 * service.
 */
void
wf_answer_keep_cookies(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	WfInstance	 *instance = visit->instance;
	const char	 *server = called_server(batch, visit);
	Jsonb		 *known;
	WfField		  field = {.jsonb = answer->cookies};
	MemoryContext old;

	if (answer->fault.code != NULL || server == NULL)
		return;
	known = instance->cookies != NULL ? wf_jsonb_get(instance->cookies, server) : NULL;
	if (answer->cookies == known ||
		(answer->cookies != NULL && known != NULL && compareJsonbContainers(&answer->cookies->root, &known->root) == 0))
		return;
	old = MemoryContextSwitchTo(batch->context);
	field.key = server;
	instance->cookies = wf_jsonb_merge(instance->cookies != NULL ? instance->cookies : wf_jsonb_empty_object(),
									   wf_jsonb_object(&field, 1));
	instance->cookies_changed = true;
	MemoryContextSwitchTo(old);
}

/* Apply the answer to a visit that is calling, or that pauses before the next attempt. */
void
wf_answer_apply(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	if (answer->held && !wf_has_accepted(visit))
	{
		wf_state_postpone(batch, visit, batch->now);
		return;
	}
	visit->attempt++;
	visit->changed = true;
	if (answer->fault.code != NULL || visit->attempt > 1)
		record_attempt(batch, visit, visit->attempt, answer);
	if (answer->fault.code != NULL)
		failed_attempt(batch, visit, answer);
	else
		replied(batch, visit, answer->reply);
}

void
wf_answer_note_failed(WfBatch *batch, WfVisit *visit, const WfFault *fault)
{
	wf_answer_note(batch, visit, &(WfAnswer){.fault = *fault});
}

void
wf_answer_note(WfBatch *batch, WfVisit *visit, const WfAnswer *answer)
{
	visit->attempt++;
	visit->changed = true;
	record_attempt(batch, visit, visit->attempt, answer);
}

void
wf_answer_note_lost(WfBatch *batch, WfVisit *visit, TimestampTz started_at)
{
	record_attempt(batch, visit, visit->attempt + 1,
				   &(WfAnswer){.started_at = started_at,
							   .fault = {.code = WF_CODE_LOST,
										 .message = "the server, or its worker, ended before the answer came: whether "
													"the request has arrived is not known"}});
}
