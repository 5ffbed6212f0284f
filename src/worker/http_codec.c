/*
 * http_codec.c
 *		The HTTP codec: makes the request of a visit, and reads a reply as the answer to its action.
 *
 * What services send is not trusted: whatever bytes a reply has, the answer is valid jsonb in the database's encoding.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "engine/request.h"
#include "model/bytes.h"
#include "model/guard.h"
#include "store/played.h"
#include "worker/charset.h"
#include "worker/http_codec.h"
#include "worker/media_type.h"

/* A service that asks for a longer pause is called again after so long. */
#define LONGEST_RETRY_AFTER_S 86400

/*
 * Add the header of the call on whose behalf the request is due, if the user mapping wants that. What the step says itself
 * stands.
 */
static bool
pass_on(const WfVisit *visit, const WfServer *server, Oid owner, List **headers, WfFault *fault)
{
	const char	 *name = wf_server_header_passed_on(server, owner);
	Jsonb		 *kept = visit->kept.request;
	char		 *value;
	WfHttpHeader *header;

	if (name == NULL || wf_server_has_header(*headers, name))
		return true;
	value = kept != NULL ? wf_jsonb_get_text(kept, asc_tolower(name, strlen(name))) : NULL;
	if (value == NULL)
		return wf_fault(
			fault, WF_CODE_REQUEST,
			"there is no header \"%s\" to be passed on to server \"%s\": the request is not due on behalf of a call that had one",
			name, server->name);
	header = palloc(sizeof(WfHttpHeader));
	*header = (WfHttpHeader){pstrdup(name), value};
	*headers = lappend(*headers, header);
	return true;
}

bool
wf_http_request(WfVisit *visit, const WfServer *server, Oid owner, WfHttpRequest *request, WfFault *fault)
{
	List		 *list = NIL;
	WfHttpHeader *headers;
	ListCell	 *lc;

	if (!wf_request_make(visit, server, request, &list, fault) ||
		!wf_server_prepare(server, owner, request, &list, fault) || !pass_on(visit, server, owner, &list, fault))
		return false;
	headers = palloc(sizeof(WfHttpHeader) * Max(list_length(list), 1));
	foreach (lc, list)
		headers[foreach_current_index(lc)] = *(WfHttpHeader *) lfirst(lc);
	request->headers = headers;
	request->nheaders = list_length(list);
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
	JsonbValue value = {.type = jbvString, .val.string = {len, unconstify(char *, text)}};

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

/* Convert text to the database's encoding: by way of UTF-8 if there is no direct conversion. */
static char *
to_server(char *text, int len, int encoding)
{
	int	  server = GetDatabaseEncoding();
	char *utf8;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || server == PG_SQL_ASCII ||
		OidIsValid(FindDefaultConversionProc(encoding, server)))
		return pg_any_to_server(text, len, encoding);
	utf8 = (char *) pg_do_encoding_conversion((unsigned char *) text, len, encoding, PG_UTF8);
	return pg_any_to_server(utf8, (int) strlen(utf8), PG_UTF8);
}

/* Convert and parse a body, for wf_guard_run: what is thrown here becomes a message. */
static void
parse(void *arg)
{
	Parse *p = arg;
	char  *text = (char *) p->body;

	if (p->encoding != GetDatabaseEncoding())
		text = to_server(text, (int) p->len, p->encoding);
	if (text == p->body)
		text = pnstrdup(p->body, p->len);
	if (p->json)
		p->result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	else
		p->result = string_jsonb(text, (int) strlen(text));
}

/*
 * Parse a body as JSON or text. Returns NULL with *message if it is not valid in its encoding, or should
 * be JSON and is not.
 */
static Jsonb *
parse_body(const char *body, size_t len, int encoding, bool json, const char **message)
{
	Parse p = {.body = body, .len = len, .encoding = encoding, .json = json};

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
	int	  n;
	char *encoded = wf_bytes_encode(body, len, &n);

	return string_jsonb(encoded, n);
}

/*
 * The value of a header, if it can be text in this database: valid UTF-8, and nothing but ASCII if the database has
 * another encoding. Otherwise NULL.
 */
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

/*
 * Why a body could not be decoded as its Content-Encoding says, for a message; NULL: it is decoded, or was not
 * encoded.
 */
static const char *
packing_problem(const WfHttpReply *reply)
{
	static const char *const problems[] = {[WF_HTTP_UNPACKED] = NULL,
										   [WF_HTTP_PACKED] = "is not known here, or is not so",
										   [WF_HTTP_CUT_OFF] = "is cut off",
										   [WF_HTTP_BROKEN] = "is broken"};
	const char				*coding = header_value(reply, "content-encoding");

	if (reply->packing == WF_HTTP_UNPACKED)
		return NULL;
	coding = header_text(coding) != NULL ? coding : "?";
	return psprintf("its Content-Encoding \"%.*s\" %s", pg_mbcliplen(coding, (int) strlen(coding), 64), coding,
					problems[reply->packing]);
}

/* Set the encoding of the bytes. Returns why they cannot be JSON or text, or NULL if they may be. */
static const char *
unreadable(const WfMediaType *type, WfBytes *bytes)
{
	if (!wf_charset_read(type->charset, bytes))
		return "it is not valid in its encoding";
	if (memchr(bytes->data, '\0', bytes->len) != NULL)
		return "it contains a NUL byte";
	return NULL;
}

/* Has the body control characters that no text has? Then it may be encoded in a way that is unknown here. */
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
		*message =
			psprintf("the answer says that it is JSON, but it cannot be read: %s", packing != NULL ? packing : why);
	return body;
}

/*
 * The body as JSON, as a string of text, or as a string of base64 with *encoded set; NULL if there is no body. *message
 * is set if it was damaged on its way, or says that it is JSON and is not; it is then read as text or base64.
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

/* Make $reply: {status, headers, body, encoding}. A header that cannot be text in this database is null. */
static Jsonb *
make_http_reply(const WfHttpReply *reply, Jsonb *body, bool encoded)
{
	WfField *headers = palloc0(sizeof(WfField) * Max(reply->nheaders, 1));
	WfField	 fields[4];

	for (int i = 0; i < reply->nheaders; i++)
		headers[i] = (WfField){.key = reply->headers[i].name,
							   .kind = WF_FIELD_TEXT,
							   .text = header_text(reply->headers[i].value),
							   .omit = header_text(reply->headers[i].name) == NULL};
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "status", .kind = WF_FIELD_INT, .number = reply->status};
	fields[1] = (WfField){.key = "headers", .jsonb = wf_jsonb_object(headers, reply->nheaders)};
	fields[2] = (WfField){.key = "body", .jsonb = body};
	fields[3] = (WfField){.key = "encoding", .kind = WF_FIELD_TEXT, .text = "base64", .omit = !encoded};
	return wf_jsonb_object(fields, lengthof(fields));
}

/*
 * The pause that Retry-After asks for, in milliseconds; 0: none. Its value is a number of seconds or a date. If a proxy
 * has added a second one, both are joined by a comma, and the longer one counts.
 */
int
wf_http_retry_after_ms(const WfHttpReply *reply)
{
	const char *value = header_value(reply, "retry-after");
	char	   *at = value != NULL ? pstrdup(value) : NULL;
	double		longest = 0;

	while (at != NULL)
	{
		char  *next;
		double seconds = strtol(at, &next, 10);
		bool   is_number = next != at && (*next == ',' || *next == '\0');

		next = strchr(at, ',');
		if (!is_number && next != NULL)
			next = strchr(next + 1, ','); /* the first comma is the one behind the weekday of a date */
		if (next != NULL)
			*next++ = '\0';
		if (!is_number)
			seconds = wf_http_seconds_until(at);
		longest = Max(longest, seconds);
		at = next;
	}
	return (int) (Min(longest, LONGEST_RETRY_AFTER_S) * 1000);
}

bool
wf_http_is_retryable(int status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

static Jsonb *
cookies_jsonb(const WfHttpReply *reply)
{
	WfJsonbState state = {0};
	JsonbValue	*array;

	if (reply->ncookies == 0)
		return NULL;
	wf_jsonb_push(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < reply->ncookies; i++)
	{
		JsonbValue value = {.type = jbvString};

		if (header_text(reply->cookies[i]) == NULL)
			continue;
		value.val.string.val = reply->cookies[i];
		value.val.string.len = (int) strlen(reply->cookies[i]);
		wf_jsonb_push(&state, WJB_ELEM, &value);
	}
	array = wf_jsonb_push(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(array);
}

/* Make $reply of a reply; *message is as in read_body. */
static Jsonb *
read_reply(const WfHttpReply *reply, const char **message)
{
	MemoryContext context = wf_jsonb_begin();
	bool		  encoded;
	Jsonb		 *body = read_body(reply, &encoded, message);
	Jsonb		 *result;

	if (*message != NULL)
		*message = MemoryContextStrdup(context, *message);
	body = wf_jsonb_end(context, body);
	result = make_http_reply(reply, body, encoded);
	if (body != NULL)
		pfree(body);
	return result;
}

/* Why an answer that leads elsewhere is not followed; NULL: it leads nowhere. */
static const char *
why_not_followed(const WfHttpReply *reply)
{
	bool is_redirect = (reply->status >= 301 && reply->status <= 303) || reply->status == 307 || reply->status == 308;

	if (reply->message != NULL)
		return reply->message;
	return is_redirect && header_value(reply, "location") != NULL ? "option \"follow_redirects\" of its server is off"
																  : NULL;
}

static void
read_answered(const WfHttpReply *reply, WfAnswer *answer)
{
	const char *message = NULL;
	const char *not_followed;

	answer->reply = read_reply(reply, &message);
	if (reply->status / 100 != 2)
	{
		not_followed = why_not_followed(reply);
		wf_fault(&answer->fault, psprintf("%d", reply->status), "the service answered %d%s%s", reply->status,
				 not_followed != NULL ? ", a redirect that is not followed: " : "",
				 not_followed != NULL ? not_followed : "");
		answer->fault.http_status = reply->status;
		answer->retryable = wf_http_is_retryable(reply->status);
		answer->retry_after_ms = wf_http_retry_after_ms(reply);
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
wf_http_answer(const WfHttpReply *reply, WfAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->started_at = wf_now() - reply->elapsed_us;
	switch (reply->verdict)
	{
		case WF_HTTP_ANSWERED:
			read_answered(reply, answer);
			break;
		case WF_HTTP_CONNECT:
		case WF_HTTP_NO_MEMORY: /* never comes here: replies_and_timers.c has the request sent again */
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

/* ---- an answer as a delivery holds it ---- */

Jsonb *
wf_http_encode(const WfAnswer *answer)
{
	const WfFault *fault = &answer->fault;
	WfField		   fields[9];

	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "reply", .jsonb = answer->reply};
	fields[1] = (WfField){.key = "code", .kind = WF_FIELD_TEXT, .text = fault->code};
	fields[2] = (WfField){.key = "message", .kind = WF_FIELD_TEXT, .text = fault->message};
	fields[3] = (WfField){.key = "http_status", .kind = WF_FIELD_INT, .number = fault->http_status};
	fields[4] = (WfField){.key = "sqlstate", .kind = WF_FIELD_TEXT, .text = fault->sqlstate};
	fields[5] = (WfField){.key = "retryable", .kind = WF_FIELD_INT, .number = answer->retryable};
	fields[6] = (WfField){.key = "retry_after_ms", .kind = WF_FIELD_INT, .number = answer->retry_after_ms};
	fields[7] = (WfField){.key = "cookies", .jsonb = answer->cookies};
	fields[8] = (WfField){.key = "held", .kind = WF_FIELD_INT, .number = answer->held};
	return wf_jsonb_object(fields, lengthof(fields));
}

void
wf_http_decode(Jsonb *packed, WfAnswer *answer)
{
	char *sqlstate = wf_jsonb_get_text(packed, "sqlstate");

	memset(answer, 0, sizeof(*answer));
	answer->reply = wf_jsonb_get(packed, "reply");
	answer->cookies = wf_jsonb_get(packed, "cookies");
	answer->fault.code = wf_jsonb_get_text(packed, "code");
	answer->fault.message = wf_jsonb_get_text(packed, "message");
	answer->fault.http_status = (int) wf_jsonb_get_int64(packed, "http_status");
	if (sqlstate != NULL)
		strlcpy(answer->fault.sqlstate, sqlstate, sizeof(answer->fault.sqlstate));
	answer->retryable = (int) wf_jsonb_get_int64(packed, "retryable") != 0;
	answer->retry_after_ms = (int) wf_jsonb_get_int64(packed, "retry_after_ms");
	answer->held = (int) wf_jsonb_get_int64(packed, "held") != 0;
}
