/*
 * diagram_label.c
 *		What diagrams say of steps, ways and ends.
 *
 * Labels quote what was written, so they are made of the JSON, and are short: whoever wants to know more has the
 * definition.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "model/diagram_label.h"

#define MOST_CHARACTERS 60
#define MOST_IN_NAMES	200
/* What follows a dollar as another one. Two of them begin a formula, escaped or not, so a space without width comes between. */
#define SECOND_DOLLAR "#8203;$"

/* ---- text ---- */

/*
 * May the character stand as it is? What is not told here is not plain text everywhere: in Mermaid, in Markdown, which
 * labels are taken for, or in HTML. `letters`: a letter has come before it in the label, so that it begins no list.
 */
static bool
is_plain(const char *at, char before, bool letters)
{
	char next = at[1];

	if (IS_HIGHBIT_SET(*at) || isalnum((unsigned char) *at))
		return true;
	switch (*at)
	{
		case ' ':
		case ',':
		case '(':
		case '?':
		case '!':
		case '/':
		case '\'':
			return true;
		case '.':
		case ')':
		case '+':
		case '-':
		case '=':
			return letters;
		case '$':
			return before != '$';
		case '_':
			return isalnum((unsigned char) before) && isalnum((unsigned char) next);
		default:
			return false;
	}
}

/* Two sequences of characters with which Mermaid marks what it has escaped itself: the bytes that are to be written; 0: it is none. */
static int
escape_marks(StringInfo out, const char *text)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		return 0;
	if (strncmp(text, "\xef\xac\x82\xc2\xb0", 5) == 0) /* U+FB02, the ligature fl, before a sign of degrees */
	{
		appendStringInfoString(out, "fl");
		return 3;
	}
	if (strncmp(text, "\xc2\xb6\xc3\x9f", 4) == 0) /* a sign of paragraphs before a sharp s */
	{
		appendStringInfoString(out, "\xc2\xb6 ");
		return 2;
	}
	return 0;
}

static void
append_text(StringInfo out, const char *text, int most)
{
	int	 len = pg_mbcharcliplen(text, (int) strlen(text), most);
	bool letters = out->len > 0;
	char before = ' ';

	for (int i = 0; i < len; i++)
	{
		bool space = (unsigned char) text[i] <= ' ' || text[i] == 0x7f;
		int	 marks = IS_HIGHBIT_SET(text[i]) ? escape_marks(out, text + i) : 0;

		if (marks > 0)
			i += marks - 1;
		else if (space && before != ' ')
			appendStringInfoChar(out, ' ');
		else if (!space && is_plain(text + i, before, letters))
			appendStringInfoChar(out, text[i]);
		else if (text[i] == '$')
			appendStringInfoString(out, SECOND_DOLLAR);
		else if (!space)
			appendStringInfo(out, "#%d;", text[i]);
		before = space ? ' ' : text[i];
		letters |= IS_HIGHBIT_SET(text[i]) || isalpha((unsigned char) text[i]) || text[i] == '$';
	}
	if (text[len] != '\0')
		appendStringInfoString(out, "...");
}

void
wf_diagram_text(StringInfo out, const char *text)
{
	append_text(out, text, MOST_CHARACTERS);
}

void
wf_diagram_line(StringInfo out)
{
	appendStringInfoString(out, WF_DIAGRAM_BREAK);
}

/* Append what was written as a value: the text of a string, a number or a boolean. */
static void
append_value(StringInfo out, const WfJson *node)
{
	StringInfoData text;

	if (node == NULL || node->type == WF_JSON_ARRAY || node->type == WF_JSON_OBJECT)
		return;
	initStringInfo(&text);
	if (node->type == WF_JSON_STRING)
		appendStringInfoString(&text, node->text);
	else
		wf_json_append_scalar(&text, node);
	wf_diagram_text(out, text.data);
	pfree(text.data);
}

/* Append a word of ours and the value of a key, if the object has that. */
static bool
append_member(StringInfo out, const char *before, const WfJson *object, const char *key)
{
	const WfJson *member = object != NULL && object->type == WF_JSON_OBJECT ? wf_json_member(object, key) : NULL;

	if (member == NULL)
		return false;
	appendStringInfoString(out, before);
	append_value(out, member);
	return true;
}

/* ---- events ---- */

static void
append_task(StringInfo out, const WfJson *task)
{
	const WfJson *roles = wf_json_member(task, "roles");

	append_member(out, "task ", task, "title");
	append_member(out, ", for ", task, "assignee");
	if (roles == NULL)
		return;
	appendStringInfoString(out, ", for ");
	append_value(out, roles);
	for (int i = 0; roles->type == WF_JSON_ARRAY && i < roles->n; i++)
	{
		appendStringInfoString(out, i > 0 ? " or " : "");
		append_value(out, roles->items[i]);
	}
}

/* What happens, as an object says: {"message": name, "key": template} and the like; `waits`: a step waits for that. */
static void
append_event(StringInfo out, const WfJson *node, bool waits)
{
	static const struct
	{
		const char *key;
		const char *word;
		const char *waiting;
		const char *beside; /* a key that belongs to it */
		const char *between;
		const char *behind;
	} events[] = {
		{"after", "after ", "waits "},
		{"until", "at ", "waits until "},
		{"every", "every ", "", "times", ", ", " times"},
		{"message", "message ", "waits for message ", "key", " (", ")"},
		{"signal", "signal ", "waits for signal "},
		{"condition", "when ", "waits until "},
		{"escalation", "escalation ", ""},
		{"topic", "topic ", "waits for topic "},
	};
	const WfJson *task = wf_json_member(node, "task");

	if (wf_json_member(node, "callback") != NULL)
		appendStringInfoString(out, waits ? "waits for a callback" : "callback");
	if (task != NULL)
		append_task(out, task);
	for (int i = 0; i < lengthof(events); i++)
	{
		if (append_member(out, waits ? events[i].waiting : events[i].word, node, events[i].key) &&
			events[i].beside != NULL && append_member(out, events[i].between, node, events[i].beside))
			appendStringInfoString(out, events[i].behind);
	}
	append_member(out, ", if ", node, "when");
}

void
wf_diagram_entry(StringInfo out, const WfEntry *entry, const WfJson *node)
{
	const WfJson *on = wf_json_member(node, "on");

	append_event(out, node, false);
	append_value(out, on);
	for (int i = 0; on != NULL && on->type == WF_JSON_ARRAY && i < on->n; i++)
	{
		appendStringInfoString(out, i > 0 ? ", " : "");
		append_value(out, on->items[i]);
	}
	if (entry->event.kind != WF_EVENT_NONE && !entry->interrupt && wf_json_member(node, "interrupt") != NULL)
		appendStringInfoString(out, ", beside");
}

void
wf_diagram_start(StringInfo out, const WfStartOn *start)
{
	appendStringInfoString(out, start->message != NULL ? "message " : "webhook ");
	wf_diagram_text(out, start->message != NULL ? start->message : start->webhook);
	if (start->key == NULL)
		return;
	appendStringInfoString(out, " (");
	wf_diagram_text(out, start->key);
	appendStringInfoChar(out, ')');
}

void
wf_diagram_bad_end(StringInfo out, const WfRoute *route, const WfJson *node)
{
	const WfJson *end = wf_json_member(node, "end");

	appendStringInfoString(out, route->kind == WF_ROUTE_ERROR ? "error" : "abort");
	append_member(out, " ", end, "error");
	append_member(out, ", ", end, "abort");
	append_member(out, ", ", end, "message");
}

/* ---- steps ---- */

static void
describe_http(StringInfo out, const WfStep *step, const WfJson *http)
{
	wf_diagram_text(out, step->http->method);
	append_member(out, " ", http, "server");
	append_member(out, " ", http, "path");
	append_member(out, " ", http, "url");
}

static void
describe_set(StringInfo out, const WfJson *set)
{
	appendStringInfoString(out, "sets ");
	for (int i = 0; i < set->n; i++)
	{
		if (i > 0)
			appendStringInfoString(out, ", ");
		if (i == 5)
		{
			appendStringInfoString(out, "...");
			break;
		}
		wf_diagram_text(out, set->items[i]->key);
	}
}

static void
describe_send(StringInfo out, const WfJson *send)
{
	append_member(out, "sends message ", send, "message");
	append_member(out, "sends signal ", send, "signal");
	append_member(out, "sends escalation ", send, "escalation");
	if (append_member(out, " (", send, "key"))
		appendStringInfoChar(out, ')');
}

static void
describe_each(StringInfo out, const WfJson *each)
{
	appendStringInfoString(out, "for each of ");
	append_value(out, each);
	append_member(out, "", each, "in");
	if (append_member(out, ", ", each, "parallel"))
		appendStringInfoString(out, " at a time");
	append_member(out, ", until ", each, "until");
}

static void
describe_action(StringInfo out, const WfStep *step, const WfJson *node)
{
	static const char *const keys[] = {
		[WF_ACTION_HTTP] = "http", [WF_ACTION_SQL] = "sql",	  [WF_ACTION_NOTIFY] = "notify", [WF_ACTION_SET] = "set",
		[WF_ACTION_SEND] = "send", [WF_ACTION_EACH] = "each", [WF_ACTION_CALL] = "call",
	};
	const WfJson *action = step->action != WF_ACTION_NONE && step->action != WF_ACTION_STEPS
							   ? wf_json_member(node, keys[step->action])
							   : NULL;

	if (action == NULL)
		return;
	wf_diagram_line(out);
	if (step->action == WF_ACTION_HTTP)
		describe_http(out, step, action);
	else if (step->action == WF_ACTION_SQL)
		append_value(out, action);
	else if (step->action == WF_ACTION_NOTIFY)
		append_member(out, "notifies ", action, "channel");
	else if (step->action == WF_ACTION_SET)
		describe_set(out, action);
	else if (step->action == WF_ACTION_SEND)
		describe_send(out, action);
	else if (step->action == WF_ACTION_EACH)
		describe_each(out, action);
	else
	{
		appendStringInfoString(out, "calls ");
		wf_diagram_text(out, step->call->process);
		append_member(out, ", version ", action, "version");
	}
}

/* Of several events each has its way, which says which it is. */
static void
describe_wait(StringInfo out, const WfStep *step, const WfJson *node)
{
	const WfJson *wait = wf_json_member(node, "wait");

	if (step->nwaits == 0)
		return;
	wf_diagram_line(out);
	if (wait == NULL)
		appendStringInfoString(out, "waits for the first of several");
	else if (wait->type == WF_JSON_OBJECT)
		append_event(out, wait, true);
	else
		appendStringInfoString(out, "waits for a callback");
}

static void
describe_join(StringInfo out, const WfJoin *join)
{
	if (join->kind == WF_JOIN_NONE)
		return;
	wf_diagram_line(out);
	if (join->kind == WF_JOIN_ALL)
		appendStringInfoString(out, "joins all");
	else if (join->n == 1)
		appendStringInfoString(out, "joins the first");
	else
		appendStringInfo(out, "joins %d", join->n);
}

void
wf_diagram_step(StringInfo out, const WfStep *step, const WfJson *node)
{
	if (strcmp(step->name, WF_PROCESS_STEP) == 0)
		appendStringInfoString(out, "the process");
	else
		append_text(out, step->name, MOST_IN_NAMES);
	describe_join(out, &step->join);
	describe_action(out, step, node);
	describe_wait(out, step, node);
	if (step->timeout.present)
	{
		wf_diagram_line(out);
		append_member(out, "timeout ", node, "timeout");
	}
}
