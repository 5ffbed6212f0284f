/*
 * report.c
 *		Reports: what is posted to the callback_url of an operation, each by an instance of its own.
 */
#include "postgres.h"

#include "engine/engine.h"
#include "engine/report.h"
#include "store/trace.h"

const char *const wf_report_definition =
	"{ \"description\": \"Posts where instances rest to the callback_url of who has called\", \"steps\": [ { \"step\": \"post\", "
	"\"http\": { \"url\": \"${$.url}\", \"method\": \"POST\", \"headers\": { \"X-ATK-Status\": \"${$.status}\", "
	"\"X-Workflow-Status\": \"${$.status}\", \"X-Workflow-Instance\": \"${$.instance}\" }, \"body\": \"${$.data}\" }, "
	"\"keep_reply\": false, \"end\": true } ] }";

/* What stands in the header. */
static const char *
status_word(const char *status)
{
	if (strcmp(status, "completed") == 0)
		return "Completed";
	if (strcmp(status, "aborted") == 0)
		return "Aborted";
	return strcmp(status, "failed") == 0 ? "Failed" : "Active";
}

Jsonb *
wf_report_data(const WfReport *report, const WfStanding *standing)
{
	WfField fields[] = {{.key = "url", .kind = WF_FIELD_TEXT, .text = report->url},
						{.key = "status", .kind = WF_FIELD_TEXT, .text = status_word(standing->status)},
						{.key = "process", .kind = WF_FIELD_TEXT, .text = standing->process},
						{.key = "instance", .kind = WF_FIELD_INT, .number = report->instance},
						{.key = "operation", .kind = WF_FIELD_INT, .number = report->operation},
						{.key = "data", .jsonb = standing->data}};

	return wf_jsonb_object(fields, lengthof(fields));
}

/* It stands beside the requests of the instance, under a span that is that of none of its attempts. */
static char *
traceparent(const WfReport *report, const WfStanding *standing)
{
	WfTraceIds ids;

	if (!wf_trace_of_instance(report->instance, standing->started_at, standing->traceparent, ids.trace) ||
		!wf_trace_of_attempt(report->operation, WF_ATTEMPT_CANCEL, ids.span))
		return NULL;
	return psprintf("00-%s-%s-01", ids.trace, ids.span);
}

int64
wf_report_start(const WfReport *report, Jsonb *data, const WfStanding *standing)
{
	WfStart	 start = {.data = data, .any_size = true};
	WfBatch *batch;
	int64	 instance;

	start.process = wf_process_latest(report->process_id, &start.suspended);
	if (start.process == NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("process \"%s\", which posts callbacks, was undefined", wf_process_name(report->process_id)),
				errhint("The next call with a callback_url defines it again; then SELECT workflow.resend(" INT64_FORMAT
						").",
						report->operation));
	if (standing != NULL)
		start.traceparent = traceparent(report, standing);
	batch = wf_batch_begin();
	batch->by_call = true;
	instance = wf_engine_start(batch, &start)->id;
	wf_batch_flush(batch);
	wf_batch_end(batch);
	return instance;
}
