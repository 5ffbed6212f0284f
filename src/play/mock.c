/*
 * mock.c
 *		workflow.mock, workflow.mocked_requests, workflow.now: what a transaction that plays is told, and tells.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"
#include "utils/tuplestore.h"

#include "api/arguments.h"
#include "http/server.h"
#include "model/issue.h"
#include "model/template.h"
#include "play/ask.h"
#include "play/script.h"
#include "store/access.h"
#include "store/played.h"
#include "store/version.h"

WF_FUNCTION(workflow_mock);
WF_FUNCTION(workflow_mocked_requests);
WF_FUNCTION(workflow_now);

/* ---- mock ---- */

static void
refuse_reply(const char *problem)
{
	ereport(
		ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("this is no reply: %s", problem),
		errhint(
			"A reply is {\"status\": 200, \"headers\": {\"name\": \"value\"}, \"body\": ..., \"after\": \"2 s\"}, or "
			"{\"error\": \"connect\"}, or \"timeout\"."));
}

static void
require_keys(Jsonb *reply)
{
	static const char *const known[] = {"status", "headers", "body", "after", "error"};
	JsonbIterator			*it = JsonbIteratorInit(&reply->root);
	JsonbValue				 value;
	JsonbIteratorToken		 token;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		bool found = token != WJB_KEY;

		for (int i = 0; i < lengthof(known) && !found; i++)
			found = value.val.string.len == strlen(known[i]) &&
					strncmp(value.val.string.val, known[i], strlen(known[i])) == 0;
		if (!found)
			refuse_reply(psprintf("\"%.*s\" is none of its keys", value.val.string.len, value.val.string.val));
	}
}

static bool
has(Jsonb *object, const char *key)
{
	JsonbValue value;

	return getKeyJsonValueFromContainer(&object->root, key, strlen(key), &value) != NULL;
}

static void
read_status(Jsonb *reply, WfMock *mock)
{
	int64 status = has(reply, "status") ? wf_jsonb_get_int64(reply, "status") : 200;

	if (status < 200 || status > 599)
		refuse_reply("its \"status\" is no number from 200 to 599");
	mock->status = (int) status;
}

static void
read_error(Jsonb *reply, WfMock *mock)
{
	const char *error = wf_jsonb_get_text(reply, "error");

	mock->verdict = WF_HTTP_ANSWERED;
	if (!has(reply, "error"))
		return;
	if (has(reply, "status") || has(reply, "headers") || has(reply, "body"))
		refuse_reply("with an \"error\", nothing is answered");
	if (error != NULL && strcmp(error, "connect") == 0)
		mock->verdict = WF_HTTP_CONNECT;
	else if (error != NULL && strcmp(error, "timeout") == 0)
		mock->verdict = WF_HTTP_TIMEOUT;
	else
		refuse_reply("its \"error\" is neither \"connect\" nor \"timeout\"");
}

/* Services send UTF-8, whatever the encoding of the database. */
static char *
as_sent(const char *text)
{
	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

/* Names in lower case, as in those that come from services. */
static void
read_headers(Jsonb *reply, WfMock *mock)
{
	Jsonb			  *headers = wf_jsonb_get(reply, "headers");
	JsonbIterator	  *it;
	JsonbValue		   value;
	JsonbIteratorToken token;

	mock->headers = palloc(sizeof(WfHttpHeader) * (headers != NULL ? JB_ROOT_COUNT(headers) + 1 : 1));
	if (headers == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(headers))
		refuse_reply("its \"headers\" are no object");
	it = JsonbIteratorInit(&headers->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			mock->headers[mock->nheaders].name = asc_tolower(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
		{
			const char *text = wf_jsonb_scalar_text(&value);

			if (text == NULL)
				refuse_reply("one of its \"headers\" is no text");
			mock->headers[mock->nheaders++].value = as_sent(text);
		}
	}
}

static const char *
header_of(const WfMock *mock, const char *name)
{
	for (int i = 0; i < mock->nheaders; i++)
		if (strcmp(mock->headers[i].name, name) == 0)
			return mock->headers[i].value;
	return NULL;
}

/* A text under a type that is not JSON is sent as it is; all else as JSON. */
static void
read_body(Jsonb *reply, WfMock *mock)
{
	Jsonb	   *body = wf_jsonb_get(reply, "body");
	const char *type = header_of(mock, "content-type");
	char	   *text = wf_jsonb_get_text(reply, "body");

	if (!has(reply, "body"))
		return;
	if (type == NULL)
		mock->headers[mock->nheaders++] = (WfHttpHeader){"content-type", "application/json"};
	if (text == NULL || type == NULL || strstr(type, "json") != NULL)
		text = body != NULL ? JsonbToCString(NULL, &body->root, VARSIZE(body)) : pstrdup("null");
	mock->body = as_sent(text);
	mock->body_len = strlen(mock->body);
}

static void
read_after(Jsonb *reply, WfMock *mock)
{
	const char *after = wf_jsonb_get_text(reply, "after");
	Interval	none = {0};

	if (!has(reply, "after"))
		return;
	if (after == NULL)
		refuse_reply("its \"after\" is no interval");
	mock->after = DatumGetIntervalP(
		DirectFunctionCall3(interval_in, CStringGetDatum(after), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (DatumGetBool(DirectFunctionCall2(interval_lt, IntervalPGetDatum(mock->after), IntervalPGetDatum(&none))))
		refuse_reply("its \"after\" is negative");
}

static const WfServer *
require_server(const char *name)
{
	const WfServer *server = wf_server_by_name(name);

	if (server == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no server \"%s\"", name),
				errhint("Create one with the foreign data wrapper workflow_http."));
	return server;
}

/* Methods are in upper case. What cannot be one would fit no request. */
static const char *
read_method(const char *method)
{
	if (method == NULL)
		return NULL;
	if (method[0] == '\0' || strpbrk(method, "/* ") != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"%s\" is not a method of a request", wf_issue_clip(method)),
				errhint("A method is such as 'POST', and NULL is any; the path comes after it."));
	return asc_toupper(method, strlen(method));
}

/* As it is behind the url of the server in requests, which has a slash at its begin. */
static const char *
read_path(const WfServer *server, const char *path)
{
	const char *scheme_end = path + strcspn(path, ":/?");
	const char *star = strchr(path, '*');

	if (star != NULL && star[1] != '\0')
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"%s\" is no path of a reply: * may only be at its end", wf_issue_clip(path)),
				errhint("'/bookings/*' fits what begins so, and of several replies the first that fits counts."));
	if (strncmp(scheme_end, "://", 3) == 0)
		return wf_ask_path(server, path);
	return path[0] == '/' || path[0] == '*' ? path : psprintf("/%s", path);
}

/*
 * workflow.mock(server text, method text, path text, reply jsonb, times integer)
 *
 * Errors: 42704 for an unknown server, 22023 for what is no reply, method or path, 22004 for NULL but for method and times, 55000 in workers.
 */
Datum
workflow_mock(PG_FUNCTION_ARGS)
{
	WfMock	 mock = {.server = wf_argument_text_required(fcinfo, 0, "server"),
					 .method = read_method(wf_argument_text(fcinfo, 1)),
					 .path = wf_argument_text_required(fcinfo, 2, "path")};
	Jsonb	*reply;
	WfAccess access;

	wf_argument_require(fcinfo, 3, "reply");
	reply = wf_argument_jsonb(fcinfo, 3);
	if (!JB_ROOT_IS_OBJECT(reply))
		refuse_reply("it is no object");
	mock.times = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4);
	if (!PG_ARGISNULL(4) && mock.times < 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a reply is given once or more often, not %d times", mock.times));
	require_keys(reply);
	read_error(reply, &mock);
	read_status(reply, &mock);
	read_headers(reply, &mock);
	read_body(reply, &mock);
	read_after(reply, &mock);
	wf_store_enter(&access); /* for its errors: not installed, not preloaded */
	wf_store_leave(&access);
	mock.path = read_path(require_server(mock.server), mock.path);
	wf_play_begin();
	wf_script_mock(&mock);
	PG_RETURN_VOID();
}

/* ---- what was asked for ---- */

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text != NULL ? CStringGetTextDatum(text) : (Datum) 0;
}

static Datum
jsonb_or_null(Jsonb *jsonb, bool *isnull)
{
	*isnull = jsonb == NULL;
	return JsonbPGetDatum(jsonb);
}

static void
put_request(ReturnSetInfo *rsinfo, const WfMocked *request)
{
	Datum values[9];
	bool  nulls[9] = {false};

	values[0] = TimestampTzGetDatum(request->at);
	values[1] = CStringGetTextDatum(psprintf(INT64_FORMAT "_" INT64_FORMAT, request->instance, request->visit));
	values[2] = Int64GetDatum(request->instance);
	values[3] = CStringGetTextDatum(request->step);
	values[4] = CStringGetTextDatum(request->server);
	values[5] = CStringGetTextDatum(request->method);
	values[6] = text_or_null(request->path, &nulls[6]);
	values[7] = jsonb_or_null(wf_jsonb_get(request->request, "headers"), &nulls[7]);
	values[8] = jsonb_or_null(wf_jsonb_get(request->request, "body"), &nulls[8]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* workflow.mocked_requests() → setof (at, serial_number, instance, step, server, method, path, headers, body) */
Datum
workflow_mocked_requests(PG_FUNCTION_ARGS)
{
	ListCell *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach (lc, wf_script_requests())
		put_request((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	return (Datum) 0;
}

/* workflow.now() → timestamptz */
Datum
workflow_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(wf_now());
}
