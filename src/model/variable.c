/*
 * variable.c
 *		The variables of templates and predicates: their names, and their values.
 *
 * No state; values are made in CurrentMemoryContext, or point into the WfVariables.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "model/issue.h"
#include "model/json.h"
#include "model/variable.h"

static const char *const names[] = {
	[WF_VAR_SERIAL_NUMBER] = "serial_number",
	[WF_VAR_INSTANCE] = "instance",
	[WF_VAR_BUSINESS_KEY] = "business_key",
	[WF_VAR_PROCESS] = "process",
	[WF_VAR_STEP] = "step",
	[WF_VAR_ATTEMPT] = "attempt",
	[WF_VAR_CALLBACK_URL] = "callback_url",
	[WF_VAR_HEARTBEAT_URL] = "heartbeat_url",
	[WF_VAR_REPLY] = "reply",
	[WF_VAR_RESULT] = "result",
	[WF_VAR_EVENT] = "event",
	[WF_VAR_ERROR] = "error",
	[WF_VAR_CAUGHT] = "caught",
	[WF_VAR_ITEM] = "item",
	[WF_VAR_INDEX] = "index",
};

StaticAssertDecl(lengthof(names) == WF_NVARIABLES, "a variable has no name");

#define MOST_PARTS 9

/* Of those whose parts are always of these names; the reply's depend on the kind of the step. */
static const char *const parts[WF_NVARIABLES][MOST_PARTS + 1] = {
	[WF_VAR_RESULT] = {"status", "initial_response", "callback_response", "response", "cancel_response", "error",
					   "event"},
	[WF_VAR_EVENT] = {"kind", "name", "key", "data", "role", "at", "person"},
	[WF_VAR_ERROR] = {"code", "message", "http_status", "sqlstate", "attempt"},
	[WF_VAR_CAUGHT] = {"serial_number", "step", "result", "error", "event", "item", "index"},
};

/* Words that people try who do not know our variables yet, and the variables that they mean. */
static const struct
{
	const char *word;
	const char *hint;
} meant[] = {
	{"data", "The instance's data is $ itself: a field of it is written $.field."},
	{"response", "The response is $result.response: what the callback brought, else the body of the reply."},
	{"body", "The body of a reply is $reply.body."},
	{"status", "The status of a reply is $reply.status, that of a visit $result.status."},
	{"headers", "The headers of a reply are $reply.headers."},
	{"row", "The first row that SQL gave is $reply.row."},
	{"rows", "The rows that SQL gave are $reply.rows."},
	{"sn", "The serial number is $serial_number."},
	{"visit", "Outside of SQL the serial number is $serial_number, and the data are $."},
};

const char *
wf_variable_name(int variable)
{
	return names[variable];
}

int
wf_variable_by_name(const char *name, int len)
{
	for (int i = 0; i < WF_NVARIABLES; i++)
	{
		if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
			return i;
	}
	return -1;
}

/* Names for suggestions, without variables that never exist in this version. */
static const char *
offered_name_at(const void *all, int i)
{
	return i == WF_VAR_ITEM || i == WF_VAR_INDEX ? NULL : wf_issue_name_at(all, i);
}

static const char *
hint_for(const char *word)
{
	for (int i = 0; i < lengthof(meant); i++)
	{
		if (pg_strcasecmp(word, meant[i].word) == 0)
			return meant[i].hint;
	}
	return NULL;
}

const char *
wf_variable_hint(const char *name)
{
	const char *hint = hint_for(name);
	int			near;

	if (hint != NULL)
		return hint;
	near = wf_issue_nearest(name, names, WF_NVARIABLES, offered_name_at);
	if (near >= 0)
		return psprintf("Perhaps you meant $%s instead of $%s.", names[near], wf_issue_clip(name));
	return psprintf("A field of the instance's data is written $.%s.", wf_issue_clip(name));
}

static int
count_parts(int variable)
{
	int n = 0;

	while (parts[variable][n] != NULL)
		n++;
	return n;
}

static const char *
names_of_parts(int variable)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; parts[variable][i] != NULL; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", parts[variable][i]);
	return list.data;
}

const char *
wf_variable_part_warning(int variable, const char *part, const char **hint)
{
	int n = count_parts(variable);
	int near;

	for (int i = 0; i < n; i++)
	{
		if (strcmp(parts[variable][i], part) == 0)
			return NULL;
	}
	if (n == 0)
		return NULL;
	near = wf_issue_nearest(part, parts[variable], n, wf_issue_name_at);
	*hint = near >= 0 ? psprintf("Perhaps you meant $%s.%s.", names[variable], parts[variable][near])
					  : psprintf("It has %s.", names_of_parts(variable));
	return psprintf("\"$%s\" never has a part \"%s\"", names[variable], wf_issue_clip(part));
}

const char *
wf_variable_word_hint(const char *word)
{
	int variable = wf_variable_by_name(word, strlen(word));

	return variable >= 0 ? psprintf("The variable is written $%s.", names[variable]) : hint_for(word);
}

/* ---- values ---- */

static void
set_text_value(JsonbValue *value, const char *text)
{
	if (text == NULL)
	{
		value->type = jbvNull;
		return;
	}
	value->type = jbvString;
	value->val.string.val = unconstify(char *, text);
	value->val.string.len = strlen(text);
}

static void
set_number(JsonbValue *value, bool known, int64 number)
{
	value->type = jbvNull;
	if (known)
	{
		value->type = jbvNumeric;
		value->val.numeric = int64_to_numeric(number);
	}
}

static void
set_jsonb(JsonbValue *value, Jsonb *jsonb)
{
	if (jsonb == NULL)
		value->type = jbvNull;
	else
		wf_jsonb_value(jsonb, value);
}

static void
set_serial_number(JsonbValue *value, const WfVariables *variables)
{
	char *text;
	int	  len;

	if (variables->visit == 0)
	{
		value->type = jbvNull;
		return;
	}
	text = palloc(2 * MAXINT8LEN + 2);
	len = pg_lltoa(variables->instance, text);
	text[len++] = '_';
	len += pg_lltoa(variables->visit, text + len);
	value->type = jbvString;
	value->val.string.val = text;
	value->val.string.len = len;
}

static void
set_url(JsonbValue *value, const WfVariables *variables, bool heartbeat)
{
	set_text_value(value, variables->url != NULL ? variables->url(variables, heartbeat) : NULL);
}

Jsonb *
wf_variable_data(const WfVariables *variables)
{
	return variables->data != NULL ? variables->data : variables->seen_whole(variables);
}

void
wf_variable_value(const WfVariables *variables, int variable, JsonbValue *value)
{
	switch (variable)
	{
		case WF_VAR_SERIAL_NUMBER:
			set_serial_number(value, variables);
			break;
		case WF_VAR_INSTANCE:
			set_number(value, variables->instance != 0, variables->instance);
			break;
		case WF_VAR_BUSINESS_KEY:
			set_text_value(value, variables->business_key);
			break;
		case WF_VAR_PROCESS:
			set_text_value(value, variables->process);
			break;
		case WF_VAR_STEP:
			set_text_value(value, variables->step);
			break;
		case WF_VAR_ATTEMPT:
			set_number(value, true, variables->attempt);
			break;
		case WF_VAR_CALLBACK_URL:
			set_url(value, variables, false);
			break;
		case WF_VAR_HEARTBEAT_URL:
			set_url(value, variables, true);
			break;
		case WF_VAR_REPLY:
			set_jsonb(value, variables->reply);
			break;
		case WF_VAR_RESULT:
			set_jsonb(value, variables->result);
			break;
		case WF_VAR_EVENT:
			set_jsonb(value, variables->event);
			break;
		case WF_VAR_ERROR:
			set_jsonb(value, variables->error);
			break;
		case WF_VAR_CAUGHT:
			set_jsonb(value, variables->caught);
			break;
		case WF_VAR_ITEM:
			set_jsonb(value, variables->item);
			break;
		case WF_VAR_INDEX:
			set_number(value, variables->index >= 0, variables->index);
			break;
		default:
			set_jsonb(value, wf_variable_data(variables));
			break;
	}
}

Jsonb *
wf_variable_object(uint32 wanted, const WfVariables *variables)
{
	MemoryContext old = wf_jsonb_begin();
	WfJsonbState  state = {0};
	JsonbValue	  value;

	wf_jsonb_push(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < WF_NVARIABLES; i++)
	{
		if ((wanted & WF_VAR_BIT(i)) == 0)
			continue;
		set_text_value(&value, names[i]);
		wf_jsonb_push(&state, WJB_KEY, &value);
		wf_variable_value(variables, i, &value);
		wf_jsonb_push(&state, WJB_VALUE, &value);
	}
	return wf_jsonb_end(old, JsonbValueToJsonb(wf_jsonb_push(&state, WJB_END_OBJECT, NULL)));
}
