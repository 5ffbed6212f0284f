/*
 * request.c
 *		The request of a visit, but for what its server adds.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "engine/body.h"
#include "engine/request.h"
#include "shmem/wakeups.h"
#include "store/trace.h"

typedef struct Builder
{
	WfVisit		 *visit;
	WfHttpAction *http;
	WfVariables	  variables;
	List		 *headers; /* List of WfHttpHeader * */
	WfFault		 *fault;
} Builder;

static void
add_header(Builder *b, const char *name, const char *value)
{
	WfHttpHeader *header = palloc(sizeof(WfHttpHeader));

	header->name = name;
	header->value = value;
	b->headers = lappend(b->headers, header);
}

static void
add_default_header(Builder *b, const char *name, const char *value)
{
	if (!wf_server_has_header(b->headers, name))
		add_header(b, name, value);
}

static bool
add_own_headers(Builder *b)
{
	for (int i = 0; i < b->http->nheaders; i++)
	{
		StringInfoData value;

		initStringInfo(&value);
		if (!wf_template_text(b->http->headers[i].value, &b->variables, WF_TEXT_HEADER, &value, b->fault))
			return false;
		add_header(b, pstrdup(b->http->headers[i].name), value.data);
	}
	return true;
}

static bool
build_url(Builder *b, const WfServer *server, StringInfo url)
{
	bool has_query;

	if (b->http->url != NULL)
	{
		if (!wf_template_text(b->http->url, &b->variables, WF_TEXT_URL, url, b->fault))
			return false;
	}
	else
	{
		appendStringInfoString(url, server->url);
		if (b->http->path != NULL)
		{
			StringInfoData path;

			initStringInfo(&path);
			if (!wf_template_text(b->http->path, &b->variables, WF_TEXT_PATH, &path, b->fault))
				return false;
			if (path.len > 0 && path.data[0] != '/' && path.data[0] != '?')
				appendStringInfoChar(url, '/');
			appendBinaryStringInfo(url, path.data, path.len);
		}
	}
	has_query = strchr(url->data, '?') != NULL;
	if (b->http->nquery > 0 && !has_query)
		appendStringInfoChar(url, '?');
	return wf_body_pairs(b->http->query, b->http->nquery, &b->variables, url, has_query, b->fault);
}

static bool
build_body(Builder *b, WfHttpRequest *request)
{
	WfBody body;

	if (!wf_body_make(b->http, &b->variables, &b->visit->key, &body, b->fault))
		return false;
	request->body = body.data;
	request->body_len = body.len;
	if (body.data != NULL)
		add_default_header(b, "Content-Type", body.type);
	return true;
}

static bool
duration_ms(WfVisit *visit, const WfDuration *duration, const WfVariables *variables, int *ms, WfFault *fault)
{
	TimestampTz at;

	if (!duration->present)
		return true;
	if (!wf_clock_after(visit, duration, variables, 0, &at, fault))
		return false;
	*ms = (int) Max(1, Min(at / 1000, INT_MAX));
	return true;
}

/* Add the cookies that the instance has got from this server. */
static void
add_cookies(Builder *b, const WfServer *server, WfHttpRequest *request)
{
	Jsonb			  *all = b->visit->instance->cookies;
	Jsonb			  *jar = all != NULL ? wf_jsonb_get(all, server->name) : NULL;
	const char		 **lines;
	JsonbIterator	  *it;
	JsonbIteratorToken token;
	JsonbValue		   value;

	request->want_cookies = true;
	if (jar == NULL || !JB_ROOT_IS_ARRAY(jar))
		return;
	lines = palloc(sizeof(char *) * Max(JB_ROOT_COUNT(jar), 1));
	it = JsonbIteratorInit(&jar->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_ELEM && value.type == jbvString)
			lines[request->ncookies++] = pnstrdup(value.val.string.val, value.val.string.len);
	request->cookies = lines;
}

/* Is this the cancel request? It is sent to the service that has to stop, if the step says how. */
static bool
sends_cancel(const WfVisit *visit)
{
	return visit->state == WF_STATE_CANCELLING && visit->def->cancel != NULL;
}

static WfHttpAction *
action_of(const WfVisit *visit)
{
	return sends_cancel(visit) ? visit->def->cancel->http : visit->def->http;
}

/* Set what the templates see. An incident is shown as it would begin again, without its reply. */
static void
set_scope(Builder *b)
{
	wf_engine_variables(b->visit, &b->variables);
	if (b->visit->state != WF_STATE_INCIDENT)
		return;
	b->variables.attempt = 1;
	b->variables.reply = b->variables.result = b->variables.error = NULL;
}

/* Tell the service to which trace the request belongs, unless the step does, or the server wants to hear of none. */
static void
add_trace(Builder *b, const WfServer *server)
{
	char *value;

	if (!server->trace || wf_server_has_header(b->headers, WF_TRACE_HEADER))
		return;
	value = wf_trace_parent(b->visit, sends_cancel(b->visit) ? WF_ATTEMPT_CANCEL : b->variables.attempt);
	if (value != NULL)
		add_header(b, WF_TRACE_HEADER, value);
}

bool
wf_request_make(WfVisit *visit, const WfServer *server, WfHttpRequest *request, List **headers, WfFault *fault)
{
	Builder		   b = {.visit = visit, .http = action_of(visit), .fault = fault};
	char		  *key = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&visit->key)));
	StringInfoData url;

	memset(request, 0, sizeof(*request));
	request->tag = (uint64) visit->id;
	/* copied, since the definition may be gone when the request is sent */
	request->method = pstrdup(b.http->method);
	set_scope(&b);
	initStringInfo(&url);
	if (!build_url(&b, server, &url) || !add_own_headers(&b) || !build_body(&b, request) ||
		!duration_ms(visit, &b.http->timeout, &b.variables, &request->timeout_ms, fault) ||
		!duration_ms(visit, &b.http->connect_timeout, &b.variables, &request->connect_timeout_ms, fault))
		return false;
	request->url = url.data;
	add_default_header(&b, "Accept", "application/json, */*;q=0.5");
	add_default_header(&b, "User-Agent", "workflow/" WORKFLOW_VERSION);
	add_default_header(&b, "Idempotency-Key", sends_cancel(visit) ? psprintf("%s-cancel", key) : key);
	add_trace(&b, server);
	add_cookies(&b, server, request);
	*headers = b.headers;
	return true;
}

const char *
wf_request_server(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	const char *queue = visit->queue;

	if (queue == NULL || strncmp(queue, WF_QUEUE_HTTP, strlen(WF_QUEUE_HTTP)) != 0)
		queue = wf_action_http_queue(batch, visit, action_of(visit), fault);
	return queue != NULL ? queue + strlen(WF_QUEUE_HTTP) : NULL;
}

/* ---- shown by workflow.request ---- */

/*
 * Is this header a credential? Definitions may have some in their headers, though they belong into
 * user mappings.
 */
static bool
is_credential(const WfHttpHeader *header)
{
	static const char *const names[] = {"authorization", "proxy-authorization", "cookie"};

	for (int i = 0; i < lengthof(names); i++)
		if (pg_strcasecmp(header->name, names[i]) == 0)
			return true;
	return false;
}

static Jsonb *
headers_jsonb(List *headers)
{
	WfField	 *fields = palloc0(sizeof(WfField) * Max(list_length(headers), 1));
	ListCell *lc;

	foreach (lc, headers)
	{
		const WfHttpHeader *header = lfirst(lc);

		fields[foreach_current_index(lc)] =
			(WfField){.key = header->name, .kind = WF_FIELD_TEXT, .text = header->value, .omit = is_credential(header)};
	}
	return wf_jsonb_object(fields, list_length(headers));
}

Jsonb *
wf_request_jsonb(const WfVisit *visit, const WfHttpRequest *request, List *headers)
{
	WfField fields[5];
	bool	encoded = false;

	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "method", .kind = WF_FIELD_TEXT, .text = request->method};
	fields[1] = (WfField){.key = "url", .kind = WF_FIELD_TEXT, .text = request->url};
	fields[2] = (WfField){.key = "headers", .jsonb = headers_jsonb(headers)};
	fields[3] = (WfField){.key = "body"};
	if (request->body != NULL)
		fields[3].jsonb = wf_body_jsonb(action_of(visit), request->body, request->body_len, &encoded);
	fields[4] = (WfField){.key = "encoding", .kind = WF_FIELD_TEXT, .text = "base64", .omit = !encoded};
	return wf_jsonb_object(fields, lengthof(fields));
}
