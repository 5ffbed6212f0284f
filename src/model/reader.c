/*
 * reader.c
 *		Reading objects by tables of fields, and the single values in them.
 *
 * Readers add an issue for whatever is wrong and go on, so that all faults of a definition are
 * reported at once. What they allocate is in CurrentMemoryContext, that of the definition.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "model/guard.h"
#include "model/reader.h"
#include "model/template_build.h"

static const char interval_hint[] = "An interval is written like \"30 s\", \"10 minutes\" or \"2 days\".";

static const Interval no_time = {0, 0, 0};
static const Interval longest_time = {0, 0, 1000 * MONTHS_PER_YEAR};
static const Interval longest_attempt = {0, 24, 0};

bool
wf_reader_expect(WfReader *reader, const WfJson *node, WfJsonType type, const char *hint)
{
	if (node->type == type)
		return true;
	wf_json_issue(reader->issues, node, hint, "must be %s, not %s", wf_json_type_name(type),
				  wf_json_type_name(node->type));
	return false;
}

void
wf_reader_unread(WfReader *reader)
{
	wf_graph_unread(reader->graph, reader->step != NULL ? reader->step->index : -1);
}

void
wf_reader_not_yet(WfReader *reader, const WfJson *node, const char *what)
{
	wf_json_issue(reader->issues, node, NULL, "%s is not supported yet", what);
}

void
wf_reader_refer(WfReader *reader, WfReferenceKind kind, const WfJson *node)
{
	wf_reference_add(reader->references, kind, reader->step->index, node);
}

/* ---- objects ---- */

static const char *
field_key_at(const void *fields, int i)
{
	return ((const WfReaderField *) fields)[i].key;
}

/* Words of other systems for our keys. */
static const struct
{
	const char *word;
	const char *key;
} other_words[] = {
	{"then", "next"},	  {"goto", "next"},		 {"to", "next"},		{"else", "next"},	 {"default", "next"},
	{"if", "when"},		  {"condition", "when"}, {"name", "step"},		{"id", "step"},		 {"retries", "retry"},
	{"attempts", "max"},  {"count", "max"},		 {"interval", "delay"}, {"params", "query"}, {"json", "body"},
	{"data", "body"},	  {"payload", "body"},	 {"uri", "url"},		{"verb", "method"},	 {"on_error", "catch"},
	{"error", "catch"},	  {"query", "sql"},		 {"request", "http"},	{"output", "save"},	 {"result", "save"},
	{"code", "error"},	  {"reason", "message"}, {"base64", "bytes"},	{"value", "text"},	 {"content_type", "type"},
	{"file", "filename"},
};

/* Keys that belong elsewhere: what to write instead. */
static const struct
{
	const char *key;
	const char *what; /* the object in which they are not known */
	const char *hint;
} misplaced[] = {
	{"every", "\"wait\"", "A handler in \"catch\" begins again and again; a wait ends with its first event."},
	{"every", "a \"first_of\" entry",
	 "A handler in \"catch\" begins again and again; a wait ends with its first event."},
	{"escalation", "\"wait\"",
	 "Escalations are caught by \"catch\" of a step with \"steps\" or \"call\", or of the process."},
	{"escalation", "a \"first_of\" entry",
	 "Escalations are caught by \"catch\" of a step with \"steps\" or \"call\", or of the process."},
	{"next", "\"wait\"",
	 "Where the step goes stands beside \"wait\"; several events with a \"next\" each are \"first_of\"."},
	{"save", "\"wait\"", "It stands beside \"wait\"."},
	{"interrupt", "\"wait\"", "It is for handlers in \"catch\"."},
	{"interrupt", "a \"first_of\" entry", "It is for handlers in \"catch\"; here the first event ends the wait."},
	{"on", "a \"first_of\" entry", "Outcomes and error codes are caught by \"catch\"."},
	{"when", "a \"catch\" entry",
	 "A handler has no condition of its own: branch in the step that it leads to, with \"choose\"."},
};

static const char *
misplaced_hint(const char *key, const char *what)
{
	for (int i = 0; i < lengthof(misplaced); i++)
	{
		if (strcmp(misplaced[i].key, key) == 0 && strcmp(misplaced[i].what, what) == 0)
			return misplaced[i].hint;
	}
	return NULL;
}

/* Are there routes in objects with these fields? */
static bool
has_routes(const WfJsonShape *shape)
{
	for (int i = 0; i < shape->nfields; i++)
	{
		if (strcmp(shape->fields[i].key, "next") == 0)
			return true;
	}
	return false;
}

/* Does the key, as it was meant, say where a token goes? NULL: it is not known what was meant. */
static bool
is_route(const char *meant, const WfJsonShape *shape)
{
	static const char *const keys[] = {"next", "else", "choose", "catch", "start"};

	if (meant == NULL)
		return has_routes(shape);
	for (int i = 0; i < lengthof(keys); i++)
	{
		if (strcmp(keys[i], meant) == 0)
			return true;
	}
	return false;
}

/*
 * The field that the word means, as a word of another system or a misspelt key; -1 if there is
 * none.
 */
static int
field_meant(const char *word, const WfJsonShape *shape)
{
	for (int i = 0; i < lengthof(other_words); i++)
	{
		if (pg_strcasecmp(other_words[i].word, word) != 0)
			continue;
		for (int f = 0; f < shape->nfields; f++)
		{
			if (strcmp(shape->fields[f].key, other_words[i].key) == 0 && shape->fields[f].read != NULL)
				return f;
		}
	}
	return wf_issue_nearest(word, shape->fields, shape->nfields, field_key_at);
}

static const char *
known_keys_hint(const WfJsonShape *shape)
{
	StringInfoData known;

	initStringInfo(&known);
	for (int i = 0; i < shape->nfields; i++)
	{
		if (shape->fields[i].read != NULL)
			appendStringInfo(&known, "%s%s", known.len > 0 ? ", " : "", shape->fields[i].key);
	}
	return psprintf("The keys of %s are: %s.", shape->what, known.data);
}

static void
add_unknown_key(WfReader *reader, const WfJson *member, const WfJsonShape *shape)
{
	int			near = -1;
	const char *hint = misplaced_hint(member->key, shape->what);

	if (hint == NULL && !wf_issues_full(reader->issues))
	{
		near = field_meant(member->key, shape);
		hint = near >= 0 ? wf_issue_perhaps(shape->fields[near].key, member->key) : known_keys_hint(shape);
	}
	wf_json_issue(reader->issues, member, hint, "unknown key");
	if (is_route(near >= 0 ? shape->fields[near].key : NULL, shape))
		wf_reader_unread(reader);
}

static void
read_object_member(WfReader *reader, const WfJson *member, const WfJsonShape *shape, void *target)
{
	for (int i = 0; i < shape->nfields; i++)
	{
		if (strcmp(member->key, shape->fields[i].key) != 0)
			continue;
		if (shape->fields[i].read)
		{
			WfMoment around = reader->moment;
			bool	 of_whole = reader->of_whole;

			if (shape->fields[i].moment != WF_ANY_TIME)
				reader->moment = shape->fields[i].moment;
			reader->of_whole |= shape->fields[i].of_whole;
			shape->fields[i].read(reader, member, (char *) target + shape->fields[i].offset);
			reader->moment = around;
			reader->of_whole = of_whole;
		}
		else
			wf_reader_not_yet(reader, member, psprintf("\"%s\"", shape->fields[i].key));
		return;
	}
	add_unknown_key(reader, member, shape);
}

bool
wf_read_object(WfReader *reader, const WfJson *node, const WfJsonShape *shape, void *target)
{
	if (!wf_reader_expect(reader, node, WF_JSON_OBJECT, NULL))
	{
		if (has_routes(shape))
			wf_reader_unread(reader);
		return false;
	}
	for (int i = 0; i < node->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!node->items[i]->overridden)
			read_object_member(reader, node->items[i], shape, target);
	}
	for (int i = 0; i < shape->nfields; i++)
	{
		if (!shape->fields[i].required || wf_json_member(node, shape->fields[i].key) != NULL)
			continue;
		if (strcmp(shape->fields[i].key, "next") == 0)
			wf_reader_unread(reader);
		wf_json_issue(reader->issues, node,
					  psprintf("The key \"%s\" of %s is required.", shape->fields[i].key, shape->what),
					  "\"%s\" is missing", shape->fields[i].key);
	}
	return true;
}

void
wf_reader_one_of(WfReader *reader, const WfJson *node, const char *const *keys, int nkeys)
{
	const char *first = NULL;

	for (int i = 0; i < nkeys; i++)
	{
		const WfJson *member = wf_json_member(node, keys[i]);

		if (member == NULL)
			continue;
		if (first)
			wf_json_issue(reader->issues, member, NULL, "\"%s\" cannot be given together with \"%s\"", keys[i], first);
		else
			first = keys[i];
	}
}

void
wf_reader_beside(WfReader *reader, const WfJson *node, const WfJsonShape *shape)
{
	for (int i = 0; i < shape->nbeside; i++)
	{
		const WfBeside *beside = &shape->beside[i];
		const WfJson   *member = wf_json_member(node, beside->key);

		if (wf_shape_stands(shape, beside, node))
			continue;
		if (beside->not_false != NULL)
			wf_json_issue(reader->issues, member, beside->hint, "%s", beside->not_false);
		else
			wf_json_issue(reader->issues, member, beside->hint, "goes with \"%s\" only", beside->with);
	}
}

/* ---- single values ---- */

static bool
is_blank_text(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

void
wf_read_string(WfReader *reader, const WfJson *node, void *target)
{
	if (!wf_reader_expect(reader, node, WF_JSON_STRING, NULL))
		return;
	if (is_blank_text(node->text))
		wf_json_issue(reader->issues, node, NULL, "is empty");
	else
		*(const char **) target = node->text;
}

void
wf_read_bool(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_BOOL, "Write true or false."))
		*(bool *) target = node->truth;
}

WfTemplate *
wf_reader_template(WfReader *reader, const WfJson *node)
{
	return wf_template_build(node, reader->issues, wf_vocabulary_expression, reader);
}

void
wf_read_any(WfReader *reader, const WfJson *node, void *target)
{
	*(WfTemplate **) target = wf_reader_template(reader, node);
}

void
wf_read_text(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_STRING, NULL))
		wf_read_any(reader, node, target);
}

void
wf_read_changes(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_OBJECT,
						 "Changes of the data are written {\"field\": value}, the value a template."))
		wf_read_any(reader, node, target);
}

void
wf_read_pairs(WfReader *reader, const WfJson *node, WfPair **pairs, int *npairs)
{
	if (!wf_reader_expect(reader, node, WF_JSON_OBJECT, NULL))
		return;
	*npairs = 0;
	*pairs = palloc0(Max(node->n, 1) * sizeof(WfPair));
	for (int i = 0; i < node->n; i++)
	{
		const WfJson *member = node->items[i];

		if (member->type == WF_JSON_NULL || member->type == WF_JSON_ARRAY || member->type == WF_JSON_OBJECT)
		{
			wf_json_issue(reader->issues, member, "One name, one value; a string may hold ${...}.",
						  "must be a string, a number or a boolean, not %s", wf_json_type_name(member->type));
			continue;
		}
		(*pairs)[*npairs].name = member->key;
		(*pairs)[*npairs].value = wf_reader_template(reader, member);
		(*npairs)++;
	}
}

void
wf_read_predicate(WfReader *reader, const WfJson *node, void *target)
{
	const char	*message;
	const char	*hint;
	WfPredicate *predicate;

	if (!wf_reader_expect(reader, node, WF_JSON_STRING,
						  "A predicate is a jsonpath in a string: \"$reply.status == 202\"."))
		return;
	predicate = wf_predicate_compile(node->text, &message, &hint);
	if (predicate)
	{
		*(WfPredicate **) target = predicate;
		wf_vocabulary_predicate(reader, node, predicate);
	}
	else if (strstr(node->text, "${"))
		wf_json_issue(reader->issues, node, "A predicate is a jsonpath itself and is written without ${ }.",
					  "\"${\" in a predicate");
	else
		wf_json_issue(reader->issues, node, hint, "%s", message);
}

void
wf_read_step_name(WfReader *reader, const WfJson *node, void *target)
{
	*(int *) target = -1;
	if (!wf_reader_expect(reader, node, WF_JSON_STRING, NULL))
		wf_reader_unread(reader);
	else
		*(int *) target = wf_graph_route(reader->graph, reader->step ? reader->step->index : -1, node, reader->issues);
}

/* ---- times ---- */

typedef struct TimeText
{
	const char *text;
	Interval	interval;
	TimestampTz timestamp;
} TimeText;

static void
parse_interval(void *arg)
{
	TimeText *time = arg;

	time->interval = *DatumGetIntervalP(
		DirectFunctionCall3(interval_in, CStringGetDatum(time->text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
parse_timestamp(void *arg)
{
	TimeText *time = arg;

	time->timestamp = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(time->text),
															  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

int
wf_interval_compare(const Interval *a, const Interval *b)
{
	return DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(a), IntervalPGetDatum(b)));
}

static bool
read_constant_interval(WfReader *reader, const WfJson *node, bool positive, const Interval *longest, Interval *interval)
{
	TimeText	time = {node->text};
	const char *message;
	int			sign;

	if (!wf_guard_run(parse_interval, &time, &message))
	{
		wf_json_issue(reader->issues, node, interval_hint, "\"%s\" is not an interval", wf_issue_clip(node->text));
		return false;
	}
	sign = wf_interval_compare(&time.interval, &no_time);
	if (INTERVAL_NOT_FINITE(&time.interval) || wf_interval_compare(&time.interval, longest) > 0)
		wf_json_issue(reader->issues, node,
					  longest == &longest_attempt ? "An attempt may take up to 24 days." : "It is up to 1000 years.",
					  "\"%s\" is too long", wf_issue_clip(node->text));
	else if (sign < 0)
		wf_json_issue(reader->issues, node, "An interval of zero or more, such as \"30 s\" or \"2 days\".",
					  "the interval \"%s\" is negative", wf_issue_clip(node->text));
	else if (sign == 0 && positive)
		wf_json_issue(reader->issues, node, "Without a limit, leave it out.", "the interval must be more than zero");
	else
	{
		*interval = time.interval;
		return true;
	}
	return false;
}

static bool
expect_interval(WfReader *reader, const WfJson *node)
{
	const char *hint = NULL;

	if (node->type == WF_JSON_NUMBER && strspn(node->text, "0123456789.") == strlen(node->text))
		hint = psprintf("Write an interval with its unit: \"%s ms\" or \"%s s\".", wf_issue_clip(node->text),
						wf_issue_clip(node->text));
	else if (node->type == WF_JSON_NUMBER)
		hint = interval_hint;
	return wf_reader_expect(reader, node, WF_JSON_STRING, hint);
}

static void
read_duration(WfReader *reader, const WfJson *node, bool positive, const Interval *longest, WfDuration *duration)
{
	WfTemplate *tmpl;

	if (!expect_interval(reader, node))
		return;
	tmpl = wf_reader_template(reader, node);
	if (tmpl == NULL)
		return;
	duration->present = true;
	if (!wf_template_is_constant(tmpl))
		duration->tmpl = tmpl;
	else
		duration->present = read_constant_interval(reader, node, positive, longest, &duration->interval);
}

bool
wf_read_interval_checked(WfReader *reader, const WfJson *node, Interval *interval)
{
	if (!expect_interval(reader, node))
		return false;
	if (strstr(node->text, "${") == NULL)
		return read_constant_interval(reader, node, false, &longest_time, interval);
	wf_json_issue(reader->issues, node, NULL, "must be an interval, not a template");
	return false;
}

void
wf_read_interval(WfReader *reader, const WfJson *node, void *target)
{
	(void) wf_read_interval_checked(reader, node, target);
}

void
wf_read_pause(WfReader *reader, const WfJson *node, void *target)
{
	read_duration(reader, node, false, &longest_time, target);
}

void
wf_read_timeout(WfReader *reader, const WfJson *node, void *target)
{
	read_duration(reader, node, true, &longest_time, target);
}

void
wf_read_attempt_timeout(WfReader *reader, const WfJson *node, void *target)
{
	read_duration(reader, node, true, &longest_attempt, target);
}

void
wf_read_until(WfReader *reader, const WfJson *node, void *target)
{
	TimeText	time = {node->text};
	WfTemplate *tmpl;
	const char *message;

	if (!wf_reader_expect(reader, node, WF_JSON_STRING, NULL))
		return;
	tmpl = wf_reader_template(reader, node);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	if (!wf_template_is_constant(tmpl))
		return;
	if (!wf_guard_run(parse_timestamp, &time, &message))
		wf_json_issue(reader->issues, node, "A time is written like \"2030-01-31 12:00:00+01\".",
					  "\"%s\" is not a timestamp", wf_issue_clip(node->text));
	else if (TIMESTAMP_NOT_FINITE(time.timestamp))
		wf_json_issue(reader->issues, node, "To wait for ever, wait for a callback without a timeout.",
					  "the timestamp must be finite");
}
