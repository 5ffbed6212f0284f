/*
 * exchange.c
 *		Between a visit and a request.
 */
#include "compat.h"

#include <limits.h>

#include "catalog/namespace.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "model/guard.h"
#include "worker/charset.h"
#include "worker/exchange.h"
#include "worker/media_type.h"

/* A service that wants to be left alone for longer is asked again after that. */
#define LONGEST_RETRY_AFTER_S 86400

typedef struct Builder
{
	WfVisit    *visit;
	WfHttpAction *http;
	WfScope		scope;
	List	   *headers; /* WfHttpHeader * */
	WfFault    *fault;
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
		if (!wf_template_text(b->http->headers[i].value, &b->scope, WF_TEXT_HEADER, &value,
							  b->fault))
			return false;
		add_header(b, pstrdup(b->http->headers[i].name), value.data);
	}
	return true;
}

/* name=value&…, both encoded */
static bool
append_pairs(Builder *b, WfPair *pairs, int n, StringInfo out, bool started)
{
	for (int i = 0; i < n; i++)
	{
		if (started)
			appendStringInfoChar(out, '&');
		started = true;
		wf_percent_encode(out, pairs[i].name, (int) strlen(pairs[i].name));
		appendStringInfoChar(out, '=');
		if (!wf_template_text(pairs[i].value, &b->scope, WF_TEXT_QUERY, out, b->fault))
			return false;
	}
	return true;
}

static bool
build_url(Builder *b, const WfServer *server, StringInfo url)
{
	bool		has_query;

	if (b->http->url != NULL)
	{
		if (!wf_template_text(b->http->url, &b->scope, WF_TEXT_URL, url, b->fault))
			return false;
	}
	else
	{
		appendStringInfoString(url, server->url);
		if (b->http->path != NULL)
		{
			StringInfoData path;

			initStringInfo(&path);
			if (!wf_template_text(b->http->path, &b->scope, WF_TEXT_PATH, &path, b->fault))
				return false;
			if (path.len > 0 && path.data[0] != '/' && path.data[0] != '?')
				appendStringInfoChar(url, '/');
			appendBinaryStringInfo(url, path.data, path.len);
		}
	}
	has_query = strchr(url->data, '?') != NULL;
	if (b->http->nquery > 0 && !has_query)
		appendStringInfoChar(url, '?');
	return append_pairs(b, b->http->query, b->http->nquery, url, has_query);
}

static bool
build_body(Builder *b, WfHttpRequest *request)
{
	StringInfoData body;
	const char *type;

	initStringInfo(&body);
	if (b->http->body != NULL)
	{
		type = "application/json";
		if (!wf_template_json(b->http->body, &b->scope, &body, b->fault))
			return false;
	}
	else if (b->http->text != NULL)
	{
		type = "text/plain; charset=utf-8";
		if (!wf_template_text(b->http->text, &b->scope, WF_TEXT_PLAIN, &body, b->fault))
			return false;
	}
	else if (b->http->has_form)
	{
		type = "application/x-www-form-urlencoded";
		if (!append_pairs(b, b->http->form, b->http->nform, &body, false))
			return false;
	}
	else
		return true;
	request->body = pg_server_to_any(body.data, body.len, PG_UTF8);
	request->body_len = request->body == body.data ? body.len : strlen(request->body);
	add_default_header(b, "Content-Type", type);
	return true;
}

static bool
duration_ms(WfVisit *visit, const WfDuration *duration, const WfScope *scope, int *ms, WfFault *fault)
{
	TimestampTz at;

	if (!duration->present)
		return true;
	if (!wf_clock_after(visit, duration, scope, 0, &at, fault))
		return false;
	*ms = (int) Max(1, Min(at / 1000, INT_MAX));
	return true;
}

/* What this instance has got from this server so far. */
static void
add_cookies(Builder *b, const WfServer *server, WfHttpRequest *request)
{
	Jsonb	   *all = b->visit->instance->cookies;
	Jsonb	   *jar = all != NULL ? wf_jsonb_get(all, server->name) : NULL;
	const char **lines;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;

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

bool
wf_exchange_request(WfVisit *visit, const WfServer *server, Oid owner, WfHttpRequest *request,
					WfFault *fault)
{
	bool		cancels = visit->state == WF_STATE_CANCELLING;
	Builder		b = {.visit = visit, .fault = fault,
		.http = cancels ? visit->def->cancel->http : visit->def->http};
	char	   *key = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&visit->key)));
	StringInfoData url;
	ListCell   *lc;
	WfHttpHeader *headers;

	memset(request, 0, sizeof(*request));
	request->tag = (uint64) visit->id;
	request->method = pstrdup(b.http->method); /* the definition may be gone when it is sent */
	wf_engine_scope(visit, &b.scope);
	initStringInfo(&url);
	if (!build_url(&b, server, &url) || !add_own_headers(&b) || !build_body(&b, request) ||
		!duration_ms(visit, &b.http->timeout, &b.scope, &request->timeout_ms, fault) ||
		!duration_ms(visit, &b.http->connect_timeout, &b.scope, &request->connect_timeout_ms, fault))
		return false;
	request->url = url.data;
	add_default_header(&b, "Accept", "application/json, */*;q=0.5");
	add_default_header(&b, "User-Agent", "workflow/" WORKFLOW_VERSION);
	add_default_header(&b, "Idempotency-Key", cancels ? psprintf("%s-cancel", key) : key);
	add_cookies(&b, server, request);
	if (!wf_server_prepare(server, owner, request, &b.headers, fault))
		return false;

	headers = palloc(sizeof(WfHttpHeader) * Max(list_length(b.headers), 1));
	foreach (lc, b.headers)
		headers[foreach_current_index(lc)] = *(WfHttpHeader *) lfirst(lc);
	request->headers = headers;
	request->nheaders = list_length(b.headers);
	return true;
}

/* ---- replies ---- */

static const char *
header_value(const WfHttpReply *reply, const char *name)
{
	for (int i = 0; i < reply->nheaders; i++)
		if (strcmp(reply->headers[i].name, name) == 0)
			return reply->headers[i].value;
	return NULL;
}

static Jsonb *
string_jsonb(const char *text, int len)
{
	JsonbValue	value = {.type = jbvString, .val.string = {len, unconstify(char *, text)}};

	return JsonbValueToJsonb(&value);
}

typedef struct Parse
{
	const char *body;
	size_t		len;
	int			encoding;
	bool		json;
	Jsonb	   *result;
} Parse;

/* Not every encoding can be converted into every other one, but by way of UTF-8. */
static char *
to_server(char *text, int len, int encoding)
{
	int			server = GetDatabaseEncoding();
	char	   *utf8;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || server == PG_SQL_ASCII ||
		OidIsValid(FindDefaultConversionProc(encoding, server)))
		return pg_any_to_server(text, len, encoding);
	utf8 = (char *) pg_do_encoding_conversion((unsigned char *) text, len, encoding, PG_UTF8);
	return pg_any_to_server(utf8, (int) strlen(utf8), PG_UTF8);
}

static void
parse(void *arg)
{
	Parse	   *p = arg;
	char	   *text = (char *) p->body;

	if (p->encoding != GetDatabaseEncoding())
		text = to_server(text, (int) p->len, p->encoding);
	if (text == p->body)
		text = pnstrdup(p->body, p->len);
	if (p->json)
		p->result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	else
		p->result = string_jsonb(text, (int) strlen(text));
}

/* NULL with *message set if the bytes are not what they say. */
static Jsonb *
parse_body(const char *body, size_t len, int encoding, bool json, const char **message)
{
	Parse		p = {.body = body, .len = len, .encoding = encoding, .json = json};

	if (encoding == GetDatabaseEncoding() && !pg_verify_mbstr(encoding, body, (int) len, true))
	{
		*message = "it is not valid in its encoding";
		return NULL;
	}
	return wf_guard_run(parse, &p, message) ? p.result : NULL;
}

static Jsonb *
base64_jsonb(const char *body, size_t len)
{
	int			size = pg_b64_enc_len((int) len);
	char	   *encoded = palloc(size + 1);
	int			n = pg_b64_encode((const void *) body, (int) len, encoded, size);

	return string_jsonb(encoded, n);
}

/* A header as text of this database, whatever bytes it has. */
static const char *
header_text(const char *value)
{
	if (!pg_verify_mbstr(PG_UTF8, value, (int) strlen(value), true))
		return NULL;
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		for (const char *p = value; *p; p++)
			if (IS_HIGHBIT_SET(*p))
				return NULL;
	}
	return value;
}

/* What keeps a body packed that says how it is; NULL: nothing. */
static const char *
packing_problem(const WfHttpReply *reply)
{
	static const char *const problems[] = {[WF_HTTP_UNPACKED] = NULL, [WF_HTTP_PACKED] = "is not known here, or is not so",
		[WF_HTTP_CUT_OFF] = "is cut off", [WF_HTTP_BROKEN] = "is broken"};
	const char *coding = header_value(reply, "content-encoding");

	if (reply->packing == WF_HTTP_UNPACKED)
		return NULL;
	coding = header_text(coding) != NULL ? coding : "?";
	return psprintf("its Content-Encoding \"%.*s\" %s", pg_mbcliplen(coding, (int) strlen(coding), 64), coding,
					problems[reply->packing]);
}

/* Why these bytes cannot be JSON or text; NULL: they can. */
static const char *
unreadable(const WfMediaType *type, WfBytes *bytes)
{
	if (!wf_charset_read(type->charset, bytes))
		return "it is not valid in its encoding";
	if (memchr(bytes->data, '\0', bytes->len) != NULL)
		return "it contains a NUL byte";
	return NULL;
}

/* Control characters that no text has: it may be packed in a way that is not known here. */
static bool
has_controls(const WfBytes *bytes)
{
	for (size_t i = 0; i < bytes->len; i++)
		if ((unsigned char) bytes->data[i] < 0x20 && strchr("\t\n\r\f", bytes->data[i]) == NULL)
			return true;
	return false;
}

static Jsonb *
read_json(const WfHttpReply *reply, const WfBytes *bytes, const char *problem, const char **message)
{
	const char *packing = packing_problem(reply);
	const char *why = problem;
	Jsonb	   *body = NULL;

	if (problem == NULL)
		body = parse_body(bytes->data, bytes->len, bytes->encoding >= 0 ? bytes->encoding : PG_UTF8, true, &why);
	if (body == NULL)
		*message = psprintf("the answer says that it is JSON, but it cannot be read: %s", packing != NULL ? packing : why);
	return body;
}

/*
 * The body as JSON, text, or base64 with *encoded set. NULL for none; *message for one that was damaged on its way, and for JSON
 * that is none, which is read as text.
 */
static Jsonb *
read_body(const WfHttpReply *reply, bool *encoded, const char **message)
{
	WfBytes		bytes = {.data = reply->body, .len = reply->body_len, .encoding = -1};
	WfMediaType type;
	const char *problem;
	const char *ignored = NULL;
	Jsonb	   *body = NULL;

	*encoded = false;
	if (reply->body_len == 0)
		return NULL;
	wf_media_type_read(header_value(reply, "content-type"), &type);
	problem = unreadable(&type, &bytes);
	if (reply->packing == WF_HTTP_CUT_OFF || reply->packing == WF_HTTP_BROKEN)
		*message = psprintf("the answer cannot be read: %s", packing_problem(reply));
	else if (type.json)
		body = read_json(reply, &bytes, problem, message);
	if (body == NULL && problem == NULL && bytes.encoding >= 0 &&
		!(reply->packing != WF_HTTP_UNPACKED && has_controls(&bytes)) &&
		pg_verify_mbstr(bytes.encoding, bytes.data, (int) bytes.len, true))
		body = parse_body(bytes.data, bytes.len, bytes.encoding, false, &ignored);
	if (body != NULL)
		return body;
	*encoded = true;
	return base64_jsonb(reply->body, reply->body_len);
}

/* {status, headers, body, encoding} */
static Jsonb *
make_reply(const WfHttpReply *reply, Jsonb *body, bool encoded)
{
	WfField    *headers = palloc0(sizeof(WfField) * Max(reply->nheaders, 1));
	WfField		fields[4];

	for (int i = 0; i < reply->nheaders; i++)
		headers[i] = (WfField){.key = reply->headers[i].name, .kind = WF_FIELD_TEXT,
			.text = header_text(reply->headers[i].value),
			.omit = header_text(reply->headers[i].name) == NULL};
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "status", .kind = WF_FIELD_INT, .number = reply->status};
	fields[1] = (WfField){.key = "headers", .jsonb = wf_jsonb_object(headers, reply->nheaders)};
	fields[2] = (WfField){.key = "body", .jsonb = body};
	fields[3] = (WfField){.key = "encoding", .kind = WF_FIELD_TEXT, .text = "base64",
		.omit = !encoded};
	return wf_jsonb_object(fields, lengthof(fields));
}

/*
 * Seconds or a date; anything else is no wish. If a proxy has added its own to the service's, they are joined by a comma, and
 * the longest is that of all.
 */
static int
retry_after_ms(const WfHttpReply *reply)
{
	const char *value = header_value(reply, "retry-after");
	char	   *at = value != NULL ? pstrdup(value) : NULL;
	double		longest = 0;

	while (at != NULL)
	{
		char	   *next;
		double		seconds = strtol(at, &next, 10);
		bool		is_number = next != at && (*next == ',' || *next == '\0');

		next = strchr(at, ',');
		if (!is_number && next != NULL)
			next = strchr(next + 1, ',');	/* a date has one behind its weekday */
		if (next != NULL)
			*next++ = '\0';
		if (!is_number)
			seconds = wf_http_seconds_until(at);
		longest = Max(longest, seconds);
		at = next;
	}
	return (int) (Min(longest, LONGEST_RETRY_AFTER_S) * 1000);
}

static bool
is_retryable_status(int status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

static Jsonb *
cookies_jsonb(const WfHttpReply *reply)
{
	WfJsonbState state = {0};
	JsonbValue *array;

	if (reply->ncookies == 0)
		return NULL;
	wf_jsonb_push(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < reply->ncookies; i++)
	{
		JsonbValue	value = {.type = jbvString};

		if (header_text(reply->cookies[i]) == NULL)
			continue;
		value.val.string.val = reply->cookies[i];
		value.val.string.len = (int) strlen(reply->cookies[i]);
		wf_jsonb_push(&state, WJB_ELEM, &value);
	}
	array = wf_jsonb_push(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(array);
}

/* Copy it out of a scratch context to that one's parent; all else there is garbage. */
static Jsonb *
keep(Jsonb *jsonb, MemoryContext scratch)
{
	Jsonb	   *kept = NULL;

	if (jsonb != NULL)
	{
		kept = MemoryContextAlloc(MemoryContextGetParent(scratch), VARSIZE(jsonb));
		memcpy(kept, jsonb, VARSIZE(jsonb));
	}
	MemoryContextReset(scratch);
	return kept;
}

/*
 * The reply as jsonb, with *message for a body that cannot be read as what it is said to be. Parsing a body, and again putting it into the
 * reply, takes many times its size, so that each is done in a context of its own.
 */
static Jsonb *
read_reply(const WfHttpReply *reply, const char **message)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch =
		AllocSetContextCreate(context, "workflow reply", ALLOCSET_DEFAULT_SIZES);
	bool		encoded;
	Jsonb	   *body;
	Jsonb	   *result;

	MemoryContextSwitchTo(scratch);
	body = read_body(reply, &encoded, message);
	if (*message != NULL)
		*message = MemoryContextStrdup(context, *message);
	body = keep(body, scratch);
	result = keep(make_reply(reply, body, encoded), scratch);
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);
	if (body != NULL)
		pfree(body);
	return result;
}

static void
read_answered(const WfHttpReply *reply, WfAnswer *answer)
{
	const char *message = NULL;

	answer->reply = read_reply(reply, &message);
	if (reply->status / 100 != 2)
	{
		wf_fault(&answer->fault, psprintf("%d", reply->status), "the service answered %d",
				 reply->status);
		answer->fault.http_status = reply->status;
		answer->retryable = is_retryable_status(reply->status);
		answer->retry_after_ms = retry_after_ms(reply);
		return;
	}
	if (message != NULL)
	{
		wf_fault(&answer->fault, WF_CODE_REPLY, "%s", message);
		answer->fault.http_status = reply->status;
		return;
	}
	answer->cookies = cookies_jsonb(reply);
}

void
wf_exchange_answer(const WfHttpReply *reply, WfAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->started_at = GetCurrentTimestamp() - reply->elapsed_us;
	switch (reply->verdict)
	{
		case WF_HTTP_ANSWERED:
			read_answered(reply, answer);
			break;
		case WF_HTTP_CONNECT:
		case WF_HTTP_NO_MEMORY: /* does not come here: arrivals.c sends it again */
			wf_fault(&answer->fault, WF_CODE_CONNECT, "%s", reply->message);
			answer->retryable = true;
			break;
		case WF_HTTP_TIMEOUT:
			wf_fault(&answer->fault, WF_CODE_TIMEOUT, "%s", reply->message);
			answer->retryable = true;
			break;
		case WF_HTTP_TOO_LARGE:
			wf_fault(&answer->fault, WF_CODE_REPLY, "%s", reply->message);
			break;
		case WF_HTTP_CROWDED_OUT:
			wf_fault(&answer->fault, WF_CODE_REPLY, "%s", reply->message);
			answer->retryable = true;
			break;
		case WF_HTTP_REFUSED:
			wf_fault(&answer->fault, WF_CODE_REQUEST, "%s", reply->message);
			break;
	}
}

/* ---- an answer as a row holds it ---- */

Jsonb *
wf_exchange_pack(const WfAnswer *answer)
{
	const WfFault *fault = &answer->fault;
	WfField		fields[8];

	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "reply", .jsonb = answer->reply};
	fields[1] = (WfField){.key = "code", .kind = WF_FIELD_TEXT, .text = fault->code};
	fields[2] = (WfField){.key = "message", .kind = WF_FIELD_TEXT, .text = fault->message};
	fields[3] = (WfField){.key = "http_status", .kind = WF_FIELD_INT, .number = fault->http_status};
	fields[4] = (WfField){.key = "sqlstate", .kind = WF_FIELD_TEXT, .text = fault->sqlstate};
	fields[5] = (WfField){.key = "retryable", .kind = WF_FIELD_INT, .number = answer->retryable};
	fields[6] = (WfField){.key = "retry_after_ms", .kind = WF_FIELD_INT,
		.number = answer->retry_after_ms};
	fields[7] = (WfField){.key = "cookies", .jsonb = answer->cookies};
	return wf_jsonb_object(fields, lengthof(fields));
}

static bool
get_scalar(Jsonb *object, const char *key, JsonbValue *value)
{
	Jsonb	   *field = wf_jsonb_get(object, key);

	return field != NULL && JsonbExtractScalar(&field->root, value);
}

static char *
get_text(Jsonb *object, const char *key)
{
	JsonbValue	value;

	if (!get_scalar(object, key, &value) || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static int
get_int(Jsonb *object, const char *key)
{
	JsonbValue	value;

	if (!get_scalar(object, key, &value) || value.type != jbvNumeric)
		return 0;
	return DatumGetInt32(
		DirectFunctionCall1(numeric_int4, NumericGetDatum(value.val.numeric)));
}

void
wf_exchange_unpack(Jsonb *packed, WfAnswer *answer)
{
	char	   *sqlstate = get_text(packed, "sqlstate");

	memset(answer, 0, sizeof(*answer));
	answer->reply = wf_jsonb_get(packed, "reply");
	answer->cookies = wf_jsonb_get(packed, "cookies");
	answer->fault.code = get_text(packed, "code");
	answer->fault.message = get_text(packed, "message");
	answer->fault.http_status = get_int(packed, "http_status");
	if (sqlstate != NULL)
		strlcpy(answer->fault.sqlstate, sqlstate, sizeof(answer->fault.sqlstate));
	answer->retryable = get_int(packed, "retryable") != 0;
	answer->retry_after_ms = get_int(packed, "retry_after_ms");
}
