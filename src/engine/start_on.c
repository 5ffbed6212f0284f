/*
 * start_on.c
 *		A message starts an instance.
 */
#include "postgres.h"

#include "engine/engine.h"
#include "engine/start_on.h"
#include "store/business_key.h"
#include "store/trace.h"

int64
wf_engine_start_on(const WfMessageStart *start, const WfMessage *message, bool by_call)
{
	WfBatch *batch = wf_batch_begin();
	WfStart	 wanted = {.process = start->process,
					   .data = message->data,
					   .business_key = unconstify(char *, start->business_key),
					   .step = &start->process->def->steps[start->on->step],
					   .steps = message->steps,
					   /* the sender of a message does not know whom he starts, and when */
					   .traceparent = start->on->webhook != NULL ? wf_trace_given() : NULL,
					   .suspended = start->suspended};
	int64	 instance;

	batch->by_call = by_call;
	wf_business_key_require_free(start->process, start->business_key);
	instance = wf_engine_start(batch, &wanted)->id;
	batch->needs_sync_commit = true; /* its sender is told so */
	wf_business_key_flush(batch, start->process, start->business_key);
	wf_batch_end(batch);
	return instance;
}
