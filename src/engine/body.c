/*
 * body.c
 *		The body of a request: JSON, text, a form, bytes, or parts of these.
 *
 * A service may know a request by its idempotency key, and refuse one that comes again with other bytes. So nothing in
 * a body is made anew for each attempt, not even what stands between its parts.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "engine/body.h"
#include "model/bytes.h"
#include "model/guard.h"
#include "model/issue.h"

#define BYTES_TYPE "application/octet-stream"
#define JSON_TYPE  "application/json"
#define TEXT_TYPE  "text/plain; charset=utf-8"

/* ---- pairs ---- */

bool
wf_body_pairs(const WfPair *pairs, int n, const WfVariables *variables, StringInfo out, bool started, WfFault *fault)
{
	for (int i = 0; i < n; i++)
	{
		if (started)
			appendStringInfoChar(out, '&');
		started = true;
		wf_percent_encode(out, pairs[i].name, (int) strlen(pairs[i].name));
		appendStringInfoChar(out, '=');
		if (!wf_template_text(pairs[i].value, variables, WF_TEXT_QUERY, out, fault))
			return false;
	}
	return true;
}

/* ---- pieces ---- */

typedef struct Making
{
	const WfHttpAction *http;
	const WfVariables  *variables;
	const pg_uuid_t	   *key;
	WfBody			   *body;
	WfFault			   *fault;
	bool				failed; /* *fault says why */
} Making;

static void
to_utf8(StringInfo text)
{
	char *utf8 = pg_server_to_any(text->data, text->len, PG_UTF8);

	if (utf8 == text->data)
		return;
	text->data = utf8;
	text->len = (int) strlen(utf8);
	text->maxlen = text->len + 1;
}

/* Append the bytes that a template gives as text. `what` names it for a fault. */
static bool
append_bytes(const Making *making, const WfTemplate *tmpl, const char *what, StringInfo out)
{
	Jsonb	  *text = wf_template_jsonb(tmpl, making->variables, making->fault);
	JsonbValue value;

	if (text == NULL)
		return false;
	if (!JsonbExtractScalar(&text->root, &value) || value.type != jbvString ||
		!wf_bytes_decode(out, value.val.string.val, value.val.string.len))
		return wf_fault(making->fault, WF_CODE_TEMPLATE, "%s is neither base64 nor hexadecimal", what);
	return true;
}

/* The type that a template gives, or else `otherwise`. NULL: *fault says why there is none. */
static const char *
type_of(const Making *making, const WfTemplate *tmpl, const char *what, const char *otherwise)
{
	StringInfoData type;

	if (tmpl == NULL)
		return otherwise;
	initStringInfo(&type);
	if (!wf_template_text(tmpl, making->variables, WF_TEXT_HEADER, &type, making->fault))
		return NULL;
	for (int i = 0; i < type.len; i++)
		if ((unsigned char) type.data[i] < ' ' || type.data[i] == 0x7f)
		{
			(void) wf_fault(making->fault, WF_CODE_TEMPLATE, "the type of %s holds a control character", what);
			return NULL;
		}
	return type.data;
}

static void
make_bytes(void *arg)
{
	Making		  *making = arg;
	StringInfoData bytes;

	initStringInfo(&bytes);
	making->body->type = type_of(making, making->http->type, "\"bytes\"", BYTES_TYPE);
	making->failed = making->body->type == NULL || !append_bytes(making, making->http->bytes, "\"bytes\"", &bytes);
	making->body->data = bytes.data;
	making->body->len = bytes.len;
}

/* ---- parts ---- */

typedef struct Piece
{
	StringInfoData head;
	StringInfoData content;
} Piece;

/*
 * Append a name in quotes as browsers do (RFC 7578 and the HTML standard): what would end it, or its line, is
 * percent-encoded, and everything else is as it is, in UTF-8.
 */
static void
append_name(StringInfo out, const char *text, int len)
{
	const char *utf8 = pg_server_to_any(text, len, PG_UTF8);

	if (utf8 != text)
		len = (int) strlen(utf8);
	appendStringInfoChar(out, '"');
	for (int i = 0; i < len; i++)
	{
		if (utf8[i] == '"' || utf8[i] == '\r' || utf8[i] == '\n')
			appendStringInfo(out, "%%%02X", utf8[i]);
		else
			appendStringInfoCharMacro(out, utf8[i]);
	}
	appendStringInfoChar(out, '"');
}

static bool
append_filename(const Making *making, const WfPart *part, StringInfo head)
{
	StringInfoData name;

	initStringInfo(&name);
	if (!wf_template_text(part->filename, making->variables, WF_TEXT_KEY, &name, making->fault))
		return false;
	appendStringInfoString(head, "; filename=");
	append_name(head, name.data, name.len);
	pfree(name.data);
	return true;
}

/* What a part is of, unless it says so. A field has no type, as in browsers, and is text then. */
static const char *
usual_type(const WfPart *part)
{
	if (part->body != NULL)
		return JSON_TYPE;
	if (part->bytes != NULL)
		return BYTES_TYPE;
	return part->filename != NULL ? TEXT_TYPE : "";
}

static bool
make_head(const Making *making, const WfPart *part, const char *what, StringInfo head)
{
	const char *type = type_of(making, part->type, what, usual_type(part));

	if (type == NULL)
		return false;
	appendStringInfoString(head, "Content-Disposition: form-data; name=");
	append_name(head, part->name, (int) strlen(part->name));
	if (part->filename != NULL && !append_filename(making, part, head))
		return false;
	if (*type != '\0')
		appendStringInfo(head, "\r\nContent-Type: %s", type);
	appendStringInfoString(head, "\r\n\r\n");
	return true;
}

static bool
make_content(const Making *making, const WfPart *part, const char *what, StringInfo content)
{
	bool made;

	if (part->bytes != NULL)
		return append_bytes(making, part->bytes, what, content);
	made = part->body != NULL ? wf_template_json(part->body, making->variables, content, making->fault)
							  : wf_template_text(part->text, making->variables, WF_TEXT_KEY, content, making->fault);
	if (made)
		to_utf8(content);
	return made;
}

static bool
make_piece(const Making *making, const WfPart *part, Piece *piece)
{
	const char *what = psprintf("part \"%s\"", wf_issue_clip(part->name));

	initStringInfo(&piece->head);
	initStringInfo(&piece->content);
	return make_head(making, part, what, &piece->head) && make_content(making, part, what, &piece->content);
}

static bool
contains(const StringInfoData *text, const char *word, int len)
{
	const char *at = text->data;
	const char *end = text->data + text->len;

	while (end - at >= len && (at = memchr(at, word[0], (end - at) - len + 1)) != NULL)
	{
		if (memcmp(at, word, len) == 0)
			return true;
		at++;
	}
	return false;
}

/* What stands between the parts, and in none of them: made of the key, which is random, and the same for all attempts. */
static char *
boundary_of(const Making *making, const Piece *pieces)
{
	char *key = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(making->key)));
	char *boundary = psprintf("workflow-%s", key);
	int	  n = making->http->nparts;

	for (int i = 0, more = 0; i < n; i++)
	{
		int len = (int) strlen(boundary);

		if (!contains(&pieces[i].content, boundary, len) && !contains(&pieces[i].head, boundary, len))
			continue;
		boundary = psprintf("workflow-%s-%d", key, ++more);
		i = -1;
	}
	return boundary;
}

static void
make_parts(void *arg)
{
	Making		  *making = arg;
	int			   n = making->http->nparts;
	Piece		  *pieces = palloc0(sizeof(Piece) * n);
	StringInfoData all;
	char		  *boundary;

	for (int i = 0; i < n; i++)
		if (!make_piece(making, &making->http->parts[i], &pieces[i]))
		{
			making->failed = true;
			return;
		}
	boundary = boundary_of(making, pieces);
	initStringInfo(&all);
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(&all, "--%s\r\n", boundary);
		appendBinaryStringInfo(&all, pieces[i].head.data, pieces[i].head.len);
		appendBinaryStringInfo(&all, pieces[i].content.data, pieces[i].content.len);
		appendStringInfoString(&all, "\r\n");
		pfree(pieces[i].content.data);
	}
	appendStringInfo(&all, "--%s--\r\n", boundary);
	making->body->data = all.data;
	making->body->len = all.len;
	making->body->type = psprintf("multipart/form-data; boundary=%s", boundary);
}

/* Make a body of bytes; what is thrown, since it would be too large, becomes a fault. */
static bool
make_guarded(WfGuarded how, Making *making)
{
	const char *message;

	if (!wf_guard_run(how, making, &message))
		return wf_fault(making->fault, WF_CODE_TEMPLATE, "the body cannot be made: %s", message);
	return !making->failed;
}

/* ---- all ---- */

static bool
make_text(const WfHttpAction *http, const WfVariables *variables, WfBody *body, WfFault *fault)
{
	StringInfoData text;
	bool		   made;

	initStringInfo(&text);
	if (http->body != NULL)
	{
		body->type = JSON_TYPE;
		made = wf_template_json(http->body, variables, &text, fault);
	}
	else if (http->text != NULL)
	{
		body->type = TEXT_TYPE;
		made = wf_template_text(http->text, variables, WF_TEXT_PLAIN, &text, fault);
	}
	else
	{
		body->type = "application/x-www-form-urlencoded";
		made = wf_body_pairs(http->form, http->nform, variables, &text, false, fault);
	}
	if (!made)
		return false;
	to_utf8(&text);
	body->data = text.data;
	body->len = text.len;
	return true;
}

bool
wf_body_make(const WfHttpAction *http, const WfVariables *variables, const pg_uuid_t *key, WfBody *body, WfFault *fault)
{
	Making making = {.http = http, .variables = variables, .key = key, .body = body, .fault = fault};

	*body = (WfBody){0};
	if (http->body != NULL || http->text != NULL || http->has_form)
		return make_text(http, variables, body, fault);
	if (http->bytes != NULL)
		return make_guarded(make_bytes, &making);
	return http->nparts == 0 || make_guarded(make_parts, &making);
}

/* ---- to be looked at ---- */

/* Can the bytes be text in this database? */
static bool
is_text(const char *data, size_t len)
{
	if (memchr(data, '\0', len) != NULL || !pg_verify_mbstr(PG_UTF8, data, (int) len, true))
		return false;
	for (size_t i = 0; GetDatabaseEncoding() != PG_UTF8 && i < len; i++)
		if (IS_HIGHBIT_SET(data[i]))
			return false;
	return true;
}

Jsonb *
wf_body_jsonb(const WfHttpAction *http, const char *data, size_t len, bool *encoded)
{
	bool	   is_bytes = http->bytes != NULL || http->nparts > 0;
	JsonbValue value = {.type = jbvString};

	*encoded = is_bytes && !is_text(data, len);
	if (*encoded)
	{
		int n;

		value.val.string.val = wf_bytes_encode(data, len, &n);
		value.val.string.len = n;
		return JsonbValueToJsonb(&value);
	}
	value.val.string.val = pg_any_to_server(unconstify(char *, data), (int) len, PG_UTF8);
	if (http->body != NULL)
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(value.val.string.val)));
	value.val.string.len = (int) strlen(value.val.string.val);
	return JsonbValueToJsonb(&value);
}
