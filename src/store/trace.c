/*
 * trace.c
 *		Traces (W3C Trace Context): the one of an instance, and the spans of its requests.
 *
 * The hash is a fast one. The key that goes into it is not that of tokens, but made of it: whoever works out the former
 * from many traces knows nothing of the latter.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "shmem/settings.h"
#include "store/token.h"
#include "store/trace.h"

/* What is hashed: the two halves of a trace, and a span. */
typedef enum Part
{
	TRACE_HIGH = 1,
	TRACE_LOW,
	SPAN
} Part;

/* Where what stands in "00-<trace>-<span>-<flags>". */
#define TRACE_AT 3
#define FLAGS_AT 53
#define SAMPLED	 "01"

static const WfVisit *running = NULL; /* whose statement runs */

static void
hash_to_hex(const uint8 *key, int64 a, int64 b, Part part, char *hex)
{
	static const char digits[] = "0123456789abcdef";
	uint8			  text[WF_TOKEN_TRACE_KEY_BYTES + 2 * sizeof(int64)];
	uint64			  hash;

	memcpy(text, key, WF_TOKEN_TRACE_KEY_BYTES);
	memcpy(text + WF_TOKEN_TRACE_KEY_BYTES, &a, sizeof(a));
	memcpy(text + WF_TOKEN_TRACE_KEY_BYTES + sizeof(a), &b, sizeof(b));
	hash = hash_bytes_extended(text, sizeof(text), part);
	if (hash == 0)
		hash = 1; /* all zeros are no valid number of a trace or span */
	for (int i = WF_SPAN_ID_LEN - 1; i >= 0; i--, hash >>= 4)
		hex[i] = digits[hash & 0x0f];
	hex[WF_SPAN_ID_LEN] = '\0';
}

bool
wf_trace_of_instance(int64 instance, TimestampTz started_at, const char *given, char trace[WF_TRACE_ID_LEN + 1])
{
	const uint8 *key;

	if (given != NULL)
	{
		strlcpy(trace, given + TRACE_AT, WF_TRACE_ID_LEN + 1);
		return true;
	}
	key = wf_token_trace_key();
	if (key == NULL)
		return false;
	hash_to_hex(key, instance, started_at, TRACE_HIGH, trace);
	hash_to_hex(key, instance, started_at, TRACE_LOW, trace + WF_SPAN_ID_LEN);
	return true;
}

bool
wf_trace_of_attempt(int64 visit, int attempt, char span[WF_SPAN_ID_LEN + 1])
{
	const uint8 *key = wf_token_trace_key();

	if (key == NULL)
		return false;
	hash_to_hex(key, visit, attempt, SPAN, span);
	return true;
}

bool
wf_trace_ids(const WfVisit *visit, int attempt, WfTraceIds *ids)
{
	const WfInstance *instance = visit->instance;

	return wf_trace_of_instance(instance->id, instance->started_at, instance->traceparent, ids->trace) &&
		   wf_trace_of_attempt(visit->id, attempt, ids->span);
}

char *
wf_trace_parent(const WfVisit *visit, int attempt)
{
	const char *given = visit->instance->traceparent;
	WfTraceIds	ids;

	if (!wf_trace_ids(visit, attempt, &ids))
		return NULL;
	return psprintf("00-%s-%s-%s", ids.trace, ids.span, given != NULL ? given + FLAGS_AT : SAMPLED);
}

/*
 * The setting as version 00, whatever later version it is of: what that may have more is not known here. Of the flags
 * those are passed on that are defined: sampled, and that the trace is random.
 */
static char *
of_setting(void)
{
	unsigned int flags = strtoul(wf_setting_traceparent + FLAGS_AT, NULL, 16) & 0x03;

	return psprintf("00%.*s%02x", FLAGS_AT - 2, wf_setting_traceparent + 2, flags);
}

char *
wf_trace_given(void)
{
	if (wf_setting_traceparent != NULL && *wf_setting_traceparent != '\0')
		return of_setting();
	return running != NULL ? wf_trace_parent(running, running->attempt + 1) : NULL;
}

void
wf_trace_run(const WfVisit *visit)
{
	running = visit;
}
