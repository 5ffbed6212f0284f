/*
 * call_headers.c
 *		The headers of the call that a session makes: read from its settings, and never told.
 *
 * They are secrets, so no error shows any of them, nor does the JSON parser say with what it cannot do anything.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"
#include "utils/guc.h"

#include "model/guard.h"
#include "model/template.h"
#include "shmem/settings.h"
#include "store/call_headers.h"

#define MOST_BYTES 8192

/* The setting of PostgREST. */
#define REQUEST_HEADERS "request.headers"

typedef struct Reading
{
	const char *text;
	Jsonb	   *parsed;
} Reading;

static void
parse(void *arg)
{
	Reading *reading = arg;

	reading->parsed = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(reading->text)));
}

/* Why the value cannot be that of a header; NULL: it can. */
static const char *
problem_of(const JsonbValue *value)
{
	if (value->type != jbvString)
		return "A value is no string.";
	if (value->val.string.len > MOST_BYTES)
		return "A value has more than 8 kB.";
	for (int i = 0; i < value->val.string.len; i++)
		if ((unsigned char) value->val.string.val[i] < 0x20 || value->val.string.val[i] == 0x7f)
			return "A value has characters that an HTTP header cannot carry.";
	return NULL;
}

/* Read an object. Returns what is wrong with it, or else NULL; what can be used is in *headers. */
static const char *
read_object(Jsonb *object, Jsonb **headers)
{
	WfField			  *fields = palloc0(sizeof(WfField) * Max(JB_ROOT_COUNT(object), 1));
	const char		  *problem = NULL;
	JsonbIterator	  *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue		   key;
	JsonbValue		   value;
	int				   n = 0;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		const char *why;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&it, &value, true);
		why = problem_of(&value);
		if (why != NULL)
			problem = why;
		else if (value.val.string.len > 0)
			fields[n++] = (WfField){.key = asc_tolower(key.val.string.val, key.val.string.len),
									.kind = WF_FIELD_TEXT,
									.text = pnstrdup(value.val.string.val, value.val.string.len)};
	}
	*headers = n > 0 ? wf_jsonb_object(fields, n) : NULL;
	return problem;
}

/* The same for text. */
static const char *
read_text(const char *text, Jsonb **headers)
{
	Reading		reading = {.text = text};
	const char *ignored;

	*headers = NULL;
	if (!wf_guard_run(parse, &reading, &ignored))
		return "It is no JSON.";
	if (!JB_ROOT_IS_OBJECT(reading.parsed))
		return "It is no JSON object.";
	return read_object(reading.parsed, headers);
}

Jsonb *
wf_call_headers(void)
{
	const char *own = wf_setting_on_behalf;
	const char *request;
	const char *problem;
	Jsonb	   *headers;

	if (own != NULL && *own != '\0')
	{
		problem = read_text(own, &headers);
		if (problem != NULL)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the setting \"%s\" holds no headers", "workflow.on_behalf"), errdetail("%s", problem),
					errhint("It is an object of names and values, as in '{\"Authorization\": \"Bearer ...\"}'."));
		return headers;
	}
	request = GetConfigOption(REQUEST_HEADERS, true, false);
	if (request == NULL || *request == '\0')
		return NULL;
	(void) read_text(request, &headers);
	return headers;
}
