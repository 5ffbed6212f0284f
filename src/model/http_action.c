/*
 * http_action.c
 *		The `http` of a step, and the `cancel` that asks its service to stop: requests whose parts
 *		must be sendable, as far as that can be seen without data.
 *
 * Whether the server exists and may be used is checked elsewhere, with the rights of the process
 * owner, from the references recorded here.
 */
#include "postgres.h"

#include "model/reader.h"
#include "model/template_build.h"
#include "model/url_path.h"

/*
 * Headers that definitions may not set: they belong to the connection, are made from the URL or
 * body, or are the engine's own. Another Host would lead past the server's url.
 */
static const char *const own_headers[] = {
	"Connection", "Content-Length",	   "Expect",  "Host", "Idempotency-Key", "Keep-Alive", "Proxy-Connection", "TE",
	"Trailer",	  "Transfer-Encoding", "Upgrade",
};

/* Is the text a token of RFC 9110, as methods and names of headers are? */
static bool
is_header_token(const char *text)
{
	return text[0] != '\0' &&
		   strspn(text, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") ==
			   strlen(text);
}

/* Known methods: those of RFC 9110 first, then what IANA has registered. */
static const char *const methods[] = {
	"GET",
	"HEAD",
	"POST",
	"PUT",
	"DELETE",
	"OPTIONS",
	"PATCH",
	"QUERY",
	"ACL",
	"BASELINE-CONTROL",
	"BIND",
	"CHECKIN",
	"CHECKOUT",
	"COPY",
	"LABEL",
	"LINK",
	"LOCK",
	"MERGE",
	"MKACTIVITY",
	"MKCALENDAR",
	"MKCOL",
	"MKREDIRECTREF",
	"MKWORKSPACE",
	"MOVE",
	"ORDERPATCH",
	"PROPFIND",
	"PROPPATCH",
	"REBIND",
	"REPORT",
	"SEARCH",
	"UNBIND",
	"UNCHECKOUT",
	"UNLINK",
	"UNLOCK",
	"UPDATE",
	"UPDATEREDIRECTREF",
	"VERSION-CONTROL",
};

/* Refused methods: a tunnel, and those that send credentials back to whoever reads the answer. */
static const char *const refused_methods[] = {"CONNECT", "TRACE", "TRACK"};

static const char methods_hint[] = "Methods are GET, POST, PUT, PATCH, DELETE and the like.";

static bool
is_method_of(const char *word, const char *const *words, int nwords)
{
	for (int i = 0; i < nwords; i++)
	{
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

static void
warn_of_method(WfReader *reader, const WfJson *node, const char *method)
{
	int near = wf_issue_nearest(method, methods, lengthof(methods), wf_issue_name_at);

	wf_json_warning(reader->issues, node, near >= 0 ? wf_issue_perhaps(methods[near], node->text) : methods_hint,
					"\"%s\" is a method that no standard knows", wf_issue_clip(node->text));
}

static void
read_method(WfReader *reader, const WfJson *node, void *target)
{
	char *method;

	if (!wf_reader_expect(reader, node, WF_JSON_STRING, NULL))
		return;
	method = pstrdup(node->text);
	for (char *p = method; *p; p++)
		*p = pg_ascii_toupper((unsigned char) *p);
	if (!is_header_token(method))
		wf_json_issue(reader->issues, node, methods_hint, "\"%s\" is not a method of a request",
					  wf_issue_clip(node->text));
	else if (is_method_of(method, FIELDS(refused_methods)))
		wf_json_issue(reader->issues, node, methods_hint, "%s requests are not sent", method);
	else
	{
		if (!is_method_of(method, FIELDS(methods)))
			warn_of_method(reader, node, method);
		*(const char **) target = method;
	}
}

/* Check the constant parts of a URL for characters that cannot stand there. */
static bool
check_url_characters(WfReader *reader, const WfJson *node, const WfTemplate *tmpl)
{
	const char *piece;

	for (int i = 0; (piece = wf_template_piece(tmpl, i)) != NULL; i++)
	{
		for (const char *p = piece; *p; p++)
		{
			unsigned char c = *p;

			if (c > ' ' && c < 0x7f && strchr("\"<>\\^`|", c) == NULL)
				continue;
			wf_json_issue(reader->issues, node, "Percent-encode it, or put it in by ${...}, which is encoded.",
						  "holds a character that cannot stand in a URL");
			return false;
		}
	}
	return true;
}

/*
 * Refuse a path that leads elsewhere than it says. What ${...} inserts is checked when it is known;
 * here it counts as some character.
 */
static void
check_url_path(WfReader *reader, const WfJson *node, const WfTemplate *tmpl, bool absolute)
{
	StringInfoData text;
	const char	  *path;
	const char	  *piece;
	const char	  *problem;

	initStringInfo(&text);
	for (int i = 0; (piece = wf_template_piece(tmpl, i)) != NULL; i++)
		appendStringInfoString(&text, *piece != '\0' ? piece : "x");
	path = text.data;
	if (absolute && (path = strstr(path, "://")) != NULL)
		path += strlen("://") + strcspn(path + strlen("://"), "/?#");
	problem = path != NULL ? wf_url_path_problem(path) : NULL;
	if (problem != NULL)
		wf_json_issue(reader->issues, node,
					  "Write the path that is meant: services and proxies do not agree about such ones.", "%s",
					  problem);
	pfree(text.data);
}

static void
read_url_path(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate *tmpl = NULL;

	wf_read_text(reader, node, &tmpl);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	if (!check_url_characters(reader, node, tmpl))
		return;
	if (node->text[0] != '\0' && node->text[0] != '/' && node->text[0] != '?')
		wf_json_issue(reader->issues, node, psprintf("Write \"/%s\".", wf_issue_clip(node->text)),
					  "a path begins with \"/\"");
	check_url_path(reader, node, tmpl, false);
}

static void
read_server_name(WfReader *reader, const WfJson *node, void *target)
{
	wf_read_string(reader, node, target);
	wf_reader_refer(reader, WF_REFERENCE_SERVER, node);
}

static void
read_absolute_url(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate *tmpl = NULL;
	const char *prefix;

	wf_read_text(reader, node, &tmpl);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	if (wf_template_is_value(tmpl))
		return;
	prefix = wf_template_piece(tmpl, 0);
	if (prefix == NULL || (pg_strncasecmp(prefix, "http://", 7) != 0 && pg_strncasecmp(prefix, "https://", 8) != 0))
		wf_json_issue(reader->issues, node, "Use \"path\" for what is appended to the server's url.",
					  "must be absolute: begin with http:// or https://, or be a single ${...}");
	if (check_url_characters(reader, node, tmpl))
		check_url_path(reader, node, tmpl, true);
}

static void
read_url(WfReader *reader, const WfJson *node, void *target)
{
	read_absolute_url(reader, node, target);
	wf_reader_refer(reader, WF_REFERENCE_URL, node);
}

static void
read_cancel_url(WfReader *reader, const WfJson *node, void *target)
{
	read_absolute_url(reader, node, target);
	wf_reader_refer(reader, WF_REFERENCE_CANCEL_URL, node);
}

static void
read_query(WfReader *reader, const WfJson *node, void *target)
{
	WfHttpAction *http = target;

	wf_read_pairs(reader, node, &http->query, &http->nquery);
}

static void
read_form(WfReader *reader, const WfJson *node, void *target)
{
	WfHttpAction *http = target;

	http->has_form = true;
	wf_read_pairs(reader, node, &http->form, &http->nform);
}

static void
check_header_name(WfReader *reader, const WfJson *object, int i)
{
	const WfJson *node = object->items[i];

	if (!is_header_token(node->key))
		wf_json_issue(reader->issues, node, "Letters, digits and - are allowed.", "is not the name of a header");
	for (int j = 0; j < lengthof(own_headers); j++)
	{
		if (pg_strcasecmp(node->key, own_headers[j]) == 0)
			wf_json_issue(reader->issues, node, psprintf("%s is set for each request.", own_headers[j]),
						  "this header cannot be given");
	}
	for (int j = 0; j < i; j++)
	{
		/* the very same spelling is an issue of the reader already */
		if (pg_strcasecmp(node->key, object->items[j]->key) == 0 && strcmp(node->key, object->items[j]->key) != 0)
			wf_json_issue(reader->issues, node, "The names of headers do not differ by case.",
						  "the header is given more than once");
	}
}

static void
read_headers(WfReader *reader, const WfJson *node, void *target)
{
	WfHttpAction *http = target;

	wf_read_pairs(reader, node, &http->headers, &http->nheaders);
	if (node->type != WF_JSON_OBJECT)
		return;
	if (node->n > 100)
	{
		wf_json_issue(reader->issues, node, NULL, "has more than 100 headers");
		return;
	}
	for (int i = 0; i < node->n; i++)
	{
		const WfJson *value = node->items[i];

		check_header_name(reader, node, i);
		if (value->type == WF_JSON_STRING && strpbrk(value->text, "\r\n"))
			wf_json_issue(reader->issues, value, "Write it on one line.", "a header's value may not hold CR or LF");
	}
}

static const WfJsonShape headers_shape = {.types = WF_TAKES_OBJECT, .members = &wf_shape_scalar};

static const WfReaderField http_fields[] = {
	{"server", read_server_name, &wf_shape_name, offsetof(WfHttpAction, server)},
	{"method", read_method, &wf_shape_string, offsetof(WfHttpAction, method)},
	{"path", read_url_path, &wf_shape_string, offsetof(WfHttpAction, path)},
	{"url", read_url, &wf_shape_string, offsetof(WfHttpAction, url)},
	{"query", read_query, &wf_shape_pairs, 0},
	{"headers", read_headers, &headers_shape, 0},
	{"body", wf_read_any, &wf_shape_any, offsetof(WfHttpAction, body)},
	{"text", wf_read_text, &wf_shape_string, offsetof(WfHttpAction, text)},
	{"form", read_form, &wf_shape_pairs, 0},
	{"multipart", wf_read_multipart, &wf_multipart_shape, 0},
	{"bytes", wf_read_bytes, &wf_shape_string, offsetof(WfHttpAction, bytes)},
	{"type", wf_read_media_type, &wf_shape_string, offsetof(WfHttpAction, type)},
	{"timeout", wf_read_attempt_timeout, &wf_shape_interval, offsetof(WfHttpAction, timeout)},
	{"connect_timeout", wf_read_attempt_timeout, &wf_shape_interval, offsetof(WfHttpAction, connect_timeout)},
};

static const char *const places[] = {"path", "url"};
static const char *const servers[] = {"server", "url"};
static const char *const bodies[] = {"body", "text", "form", "multipart", "bytes"};
static const WfBeside	 http_beside[] = {
	   {"type", "bytes", "Other bodies have a type; another one is said by the header Content-Type."}};
static const WfKeys http_keys[] = {{WF_AT_MOST_ONE, FIELDS(places)},
								   {WF_AT_MOST_ONE, FIELDS(bodies)},
								   {WF_AT_LEAST_ONE, FIELDS(servers)}};

const WfJsonShape wf_http_shape = {.name = "http",
								   .says = "An action: a request, to a foreign server of the wrapper workflow_http.",
								   .types = WF_TAKES_OBJECT,
								   .what = "\"http\"",
								   WF_FIELDS(http_fields),
								   WF_KEYS(http_keys),
								   WF_BESIDE(http_beside)};

/*
 * Warn of a body of a method for which the standard gives it no meaning: it may be dropped or
 * refused on the way, but some services want one.
 */
static void
warn_of_body(WfReader *reader, const WfJson *node, const char *method, const char *const *bodies, int nbodies)
{
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return;
	for (int i = 0; i < nbodies; i++)
	{
		const WfJson *member = wf_json_member(node, bodies[i]);

		if (member != NULL)
			wf_json_warning(reader->issues, member, "What is asked for is said by \"path\" and \"query\".",
							"%s requests have no body, as a rule", method);
	}
}

void
wf_read_http(WfReader *reader, const WfJson *node, void *target)
{
	WfHttpAction *http = palloc0(sizeof(WfHttpAction));

	if (!wf_read_object(reader, node, &wf_http_shape, http))
		return;
	*(WfHttpAction **) target = http;

	wf_reader_one_of(reader, node, FIELDS(places));
	wf_reader_one_of(reader, node, FIELDS(bodies));
	wf_reader_beside(reader, node, &wf_http_shape);
	wf_http_check_type(reader, node);
	if (!wf_json_has_one_of(node, FIELDS(servers)))
		wf_json_issue(
			reader->issues, node,
			"Name a foreign server of the wrapper workflow_http, or give an absolute \"url\" that one covers.",
			"\"server\" is missing");
	if (http->method == NULL)
		http->method = wf_json_has_one_of(node, FIELDS(bodies)) ? "POST" : "GET";
	else
		warn_of_body(reader, node, http->method, FIELDS(bodies));
}

/* ---- cancel ---- */

typedef struct CancelReading
{
	WfHttpAction http;
	WfDuration	 timeout;
} CancelReading;

static const WfReaderField cancel_fields[] = {
	{"path", read_url_path, &wf_shape_string, offsetof(CancelReading, http.path)},
	{"url", read_cancel_url, &wf_shape_string, offsetof(CancelReading, http.url)},
	{"method", read_method, &wf_shape_string, offsetof(CancelReading, http.method)},
	{"headers", read_headers, &headers_shape, offsetof(CancelReading, http)},
	{"body", wf_read_any, &wf_shape_any, offsetof(CancelReading, http.body)},
	{"text", wf_read_text, &wf_shape_string, offsetof(CancelReading, http.text)},
	/* zero: the callback is not waited for */
	{"timeout", wf_read_pause, &wf_shape_interval, offsetof(CancelReading, timeout)},
};

static const char *const cancel_bodies[] = {"body", "text"};
static const WfKeys		 cancel_keys[] = {{WF_EXACTLY_ONE, FIELDS(places)}, {WF_AT_MOST_ONE, FIELDS(cancel_bodies)}};

const WfJsonShape wf_cancel_shape = {.name = "cancel",
									 .says = "The request by which the service is asked to stop.",
									 .types = WF_TAKES_OBJECT,
									 .what = "\"cancel\"",
									 WF_FIELDS(cancel_fields),
									 WF_KEYS(cancel_keys)};

void
wf_read_cancel(WfReader *reader, const WfJson *node, void *target)
{
	CancelReading  *reading = palloc0(sizeof(CancelReading));
	WfCancelAction *cancel;

	if (!wf_read_object(reader, node, &wf_cancel_shape, reading))
		return;
	wf_reader_one_of(reader, node, FIELDS(places));
	wf_reader_one_of(reader, node, FIELDS(cancel_bodies));
	if (!wf_json_has_one_of(node, FIELDS(places)))
		wf_json_issue(reader->issues, node,
					  "Say where: \"path\" is appended to the url of the step's server, \"url\" is absolute.",
					  "\"path\" or \"url\" is missing");
	if (reading->http.method == NULL)
		reading->http.method = "POST";
	else
		warn_of_body(reader, node, reading->http.method, FIELDS(cancel_bodies));
	cancel = palloc0(sizeof(WfCancelAction));
	cancel->http = &reading->http;
	cancel->timeout = reading->timeout;
	*(WfCancelAction **) target = cancel;
}
