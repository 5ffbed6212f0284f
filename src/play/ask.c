/*
 * ask.c
 *		The request of a visit while a transaction plays, and the reply that was made up for it.
 *
 * The request is what the service would get, but for credentials, which nobody needs here. Its reply is bytes, which are read
 * as those of a service are.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "engine/request.h"
#include "play/ask.h"
#include "store/kept_headers.h"
#include "store/played.h"
#include "store/privilege.h"
#include "worker/http_codec.h"

/* ---- the request ---- */

const char *
wf_ask_path(const WfServer *server, const char *url)
{
	size_t len = strlen(server->url);

	if (strncmp(url, server->url, len) != 0 || strchr("/?", url[len]) == NULL)
		return url;
	return url[len] == '/' ? url + len : psprintf("/%s", url + len);
}

pg_noreturn static void
report_unanswered(const WfServer *server, const WfVisit *visit, const WfHttpRequest *request, const char *path)
{
	const char *told = wf_script_tell(server->name);

	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("no reply was made up for %s %s of server \"%s\"", request->method, path, server->name),
			errdetail("Step \"%s\" of process \"%s\" asks for it. %s%s", visit->step, visit->instance->process->name,
					  told != NULL ? "The replies for that server are:\n" : "There are no replies for that server.",
					  told != NULL ? told : ""),
			errhint("SELECT workflow.mock(%s, %s, %s, '{\"status\": 200, \"body\": {}}');",
					quote_literal_cstr(server->name), quote_literal_cstr(request->method), quote_literal_cstr(path)));
}

/* The next reply to the request: at once, after its time, or when that of the request is over. */
static TimestampTz
arrival(const WfMocked *asked)
{
	TimestampTz limit = TimestampTzPlusMilliseconds(asked->at, asked->timeout_ms);
	TimestampTz at = asked->at;

	if (asked->mock->after != NULL)
		at = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(asked->at),
													 IntervalPGetDatum(asked->mock->after)));
	else if (asked->mock->verdict == WF_HTTP_TIMEOUT)
		at = limit;
	return asked->timeout_ms > 0 ? Min(at, limit) : at;
}

static bool
make(WfBatch *batch, WfVisit *visit, WfMocked *asked, WfFault *fault)
{
	const char	   *name = wf_request_server(batch, visit, fault);
	const WfServer *server = name != NULL ? wf_server_by_name(name) : NULL;
	WfHttpRequest	request;
	List		   *headers;

	if (name == NULL)
		return false;
	if (server == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no server \"%s\"", name),
				errdetail("Step \"%s\" of process \"%s\" calls it.", visit->step, visit->instance->process->name));
	if (!wf_request_make(visit, server, &request, &headers, fault) ||
		!wf_server_admits(server, wf_process_owner(visit->instance->process->process_id), request.url, fault))
		return false;
	*asked = (WfMocked){.at = batch->now,
						.instance = visit->instance->id,
						.visit = visit->id,
						.step = visit->step,
						.method = request.method,
						.path = wf_ask_path(server, request.url),
						.request = wf_request_jsonb(visit, &request, headers),
						.timeout_ms = request.timeout_ms != 0 ? request.timeout_ms : server->timeout_ms};
	asked->mock = wf_script_find(server->name, asked->method, asked->path);
	if (asked->mock == NULL)
		report_unanswered(server, visit, &request, asked->path);
	asked->arrives = arrival(asked);
	return true;
}

WfMocked *
wf_ask(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	WfMocked asked;

	(void) wf_kept_headers_read(batch, visit);
	if (make(batch, visit, &asked, fault))
		return wf_script_note(&asked);
	wf_engine_fail(batch, visit, fault, WF_FAIL_ACTION);
	return NULL;
}

/* ---- the reply ---- */

/* What has not come within the request's time comes no more. */
static WfHttpVerdict
verdict_of(const WfMocked *request)
{
	bool late = request->timeout_ms > 0 && request->mock->after != NULL &&
				request->arrives >= TimestampTzPlusMilliseconds(request->at, request->timeout_ms);

	return late ? WF_HTTP_TIMEOUT : request->mock->verdict;
}

void
wf_ask_answer(WfBatch *batch, WfVisit *visit, const WfMocked *request)
{
	const WfMock *mock = request->mock;
	WfHttpReply	  reply = {.verdict = verdict_of(request),
						   .status = mock->status,
						   .headers = mock->headers,
						   .nheaders = mock->nheaders,
						   .body = mock->body,
						   .body_len = mock->body_len,
						   .elapsed_us = batch->now - request->at};
	WfAnswer	  answer;

	if (reply.verdict == WF_HTTP_CONNECT)
		reply.message = "no connection: workflow.mock says so";
	else if (reply.verdict == WF_HTTP_TIMEOUT)
		reply.message = psprintf("no answer within %d ms: workflow.mock says so", request->timeout_ms);
	wf_http_answer(&reply, &answer);
	wf_engine_answer(batch, visit, &answer);
}

char *
wf_ask_tell(const WfMocked *request)
{
	switch (verdict_of(request))
	{
		case WF_HTTP_ANSWERED:
			return psprintf("%d", request->mock->status);
		case WF_HTTP_CONNECT:
			return pstrdup("connect");
		default:
			return pstrdup("timeout");
	}
}
