/*
 * vocabulary.c
 *		Which variables may be used where: those that can never exist there are refused.
 *
 * A visit learns as it goes: its reply after its action, its result at its end. $caught and $error
 * of a handler exist in all steps behind it, so their uses are noted, and judged once all routes
 * are known.
 */
#include "postgres.h"

#include "model/expression.h"
#include "model/reader.h"
#include "model/variable.h"

static const char keep_hint[] =
	"What an earlier step was answered stands in the data, if that step has a \"save_reply\" or \"save\" for it.";

static const uint32 webhook_variables = WF_VAR_BIT(WF_VAR_CALLBACK_URL) | WF_VAR_BIT(WF_VAR_HEARTBEAT_URL);

bool
wf_vocabulary_has_reply(const WfJson *step)
{
	static const char *const keys[] = {"http", "sql", "call", "send"};

	return wf_json_has_one_of(step, FIELDS(keys));
}

bool
wf_vocabulary_has_attempts(const WfJson *step)
{
	static const char *const keys[] = {"http", "sql", "notify", "call", "steps", "each"};

	return wf_json_has_one_of(step, FIELDS(keys));
}

/* Is it the jsonpath of the list of "each"? */
static bool
is_list(const WfReader *reader, const WfJson *node)
{
	const WfJson *each = wf_json_member(reader->node, "each");

	return node == each || (each->type == WF_JSON_OBJECT && node == wf_json_member(each, "in"));
}

static const char *
hint_for_list(int variable)
{
	if (variable == WF_VAR_ITEM || variable == WF_VAR_INDEX)
		return "A list of lists: a step with \"each\" and \"steps\", and in these one with \"each\": \"$item...\".";
	return keep_hint;
}

/* Of which the whole of a step with "each" has nothing: only its items have. Returns whether that was told. */
static bool
is_of_items(WfReader *reader, const WfJson *node, int variable)
{
	bool of_whole = reader->of_whole && wf_json_member(reader->node, "each") != NULL;

	if (of_whole && is_list(reader, node))
		wf_json_issue(reader->issues, node, hint_for_list(variable),
					  "\"$%s\" is never there: the list is looked up before any of its items begins",
					  wf_variable_name(variable));
	else if (of_whole)
		wf_json_issue(
			reader->issues, node,
			"\"timeout\", \"catch\" and where the step goes are of the whole; \"collect\" keeps what the items gave.",
			"\"$%s\" is never there: each item has one of its own", wf_variable_name(variable));
	return of_whole;
}

static void
check_reply(WfReader *reader, const WfJson *node)
{
	if (is_of_items(reader, node, WF_VAR_REPLY))
		return;
	if (!wf_vocabulary_has_reply(reader->node))
		wf_json_issue(
			reader->issues, node, keep_hint,
			"\"$reply\" is never there: the step has no \"http\", \"sql\", \"send\" or \"call\" that is answered");
	else if (reader->moment == WF_AT_ENTRY)
		wf_json_issue(reader->issues, node, keep_hint, "\"$reply\" is never there: the action is yet to be answered");
}

static void
check_result(WfReader *reader, const WfJson *node)
{
	if (reader->moment == WF_BY_HANDLER && reader->interrupts)
		return;
	if (is_of_items(reader, node, WF_VAR_RESULT) || reader->moment == WF_AT_END)
		return;
	wf_json_issue(reader->issues, node, reader->moment == WF_AT_ENTRY ? keep_hint : "Before the end there is $reply.",
				  "\"$result\" is never there: the visit has not ended yet");
}

static void
check_event(WfReader *reader, const WfJson *node)
{
	static const char *const waits[] = {"wait", "first_of"};
	static const char		 hint[] =
		"It is there at the end of a step that waits, in \"success\", \"save\" and the route, and in the \"save\" of a handler; the steps of a handler see it as $caught.event.";

	bool waiting = wf_json_has_one_of(reader->node, FIELDS(waits));

	if (reader->moment == WF_BY_HANDLER || is_of_items(reader, node, WF_VAR_EVENT))
		return;
	if (waiting && reader->moment == WF_AT_END)
		return;
	if (waiting || (reader->moment != WF_AT_END && wf_json_member(reader->node, "catch") != NULL))
		wf_json_issue(reader->issues, node, hint, "\"$event\" is never there: nothing has happened yet");
	else
		wf_json_issue(reader->issues, node, hint, "\"$event\" is never there: the step waits for nothing");
}

/* Is the step, or one around it, what is done for an item? */
static bool
is_in_item(const WfDefinition *def, int step)
{
	for (; step >= 0; step = def->lists[def->steps[step].list].parent)
	{
		if (def->steps[step].is_item)
			return true;
	}
	return false;
}

static void
check_item(WfReader *reader, const WfJson *node, int variable)
{
	bool own = wf_json_member(reader->node, "each") != NULL;

	if ((own && !reader->of_whole) || is_in_item(&reader->graph->def, reader->step->index))
		return;
	if (!is_of_items(reader, node, variable))
		wf_json_issue(
			reader->issues, node,
			"It is what a step with \"each\" is done for, and what all steps within such a step are done for.",
			"\"$%s\" is never there: neither the step nor one around it has \"each\"", wf_variable_name(variable));
}

static void
check_variable(WfReader *reader, const WfJson *node, int variable)
{
	switch (variable)
	{
		case WF_VAR_REPLY:
			check_reply(reader, node);
			break;
		case WF_VAR_RESULT:
			check_result(reader, node);
			break;
		case WF_VAR_CAUGHT:
			if (reader->moment != WF_BY_HANDLER)
				wf_graph_add_use(reader->graph, reader->step->index, node, variable);
			break;
		case WF_VAR_ERROR:
			if (reader->moment != WF_BY_HANDLER && !wf_vocabulary_has_attempts(reader->node))
				wf_graph_add_use(reader->graph, reader->step->index, node, variable);
			break;
		case WF_VAR_ITEM:
		case WF_VAR_INDEX:
			check_item(reader, node, variable);
			break;
		case WF_VAR_EVENT:
			check_event(reader, node);
			break;
		default:
			break;
	}
}

static void
check_variables(WfReader *reader, const WfJson *node, uint32 variables)
{
	if (reader->step == NULL)
		return;
	reader->mentioned |= variables;
	if (reader->moment != WF_AT_REPLY)
		reader->late |= variables;
	if ((variables & webhook_variables) != 0)
		wf_reference_add(reader->references, WF_REFERENCE_WEBHOOK, reader->step->index, node);
	for (int i = 0; variables >> i != 0; i++)
	{
		if ((variables & WF_VAR_BIT(i)) != 0)
			check_variable(reader, node, i);
	}
}

static void
warn(WfReader *reader, const WfJson *node, const char *warning, const char *hint)
{
	if (warning != NULL)
		wf_json_warning(reader->issues, node, hint, "%s", warning);
}

void
wf_vocabulary_expression(void *arg, const WfJson *node, const WfExpression *expression)
{
	WfReader   *reader = arg;
	const char *hint;
	const char *warning = wf_expression_warning(expression, &hint);

	check_variables(reader, node, wf_expression_variables(expression));
	warn(reader, node, warning, hint);
}

void
wf_vocabulary_start(void *arg, const WfJson *node, const WfExpression *expression)
{
	static const uint32 known = WF_VAR_BIT(WF_VAR_EVENT) | WF_VAR_BIT(WF_VAR_PROCESS);
	WfReader		   *reader = arg;
	uint32				variables = wf_expression_variables(expression) & ~known;
	const char		   *hint;
	const char		   *warning = wf_expression_warning(expression, &hint);

	for (int i = 0; variables >> i != 0; i++)
	{
		if ((variables & WF_VAR_BIT(i)) != 0)
			wf_json_issue(reader->issues, node, "What the message brought is $event.data, its key $event.key.",
						  "\"$%s\" is never there: no instance has started yet", wf_variable_name(i));
	}
	warn(reader, node, warning, hint);
}

/* ---- data that are named like a part of a variable ---- */

/* The length of the name at `text`. */
static int
name_length(const char *text)
{
	return (int) strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

/* Does the variable of that name have a part of that one? */
static bool
is_variable_part(const char *name, int len, const char *part, int part_len)
{
	static const char *const of_reply[] = {"status", "headers", "body", "row", "rows", "count"};
	int						 variable = wf_variable_by_name(name, len);
	char					*known = pnstrdup(part, part_len);
	const char				*hint;

	if (variable == WF_VAR_RESULT || variable == WF_VAR_EVENT || variable == WF_VAR_ERROR || variable == WF_VAR_CAUGHT)
		return wf_variable_part_warning(variable, known, &hint) == NULL;
	for (int i = 0; variable == WF_VAR_REPLY && i < lengthof(of_reply); i++)
		if (strcmp(known, of_reply[i]) == 0)
			return true;
	return false;
}

/* The position behind a string of jsonpath. */
static const char *
behind_string(const char *p)
{
	for (p++; *p != '\0' && *p != '"'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	return *p == '"' ? p + 1 : p;
}

/*
 * `$.result.status` is the data's, and nothing says so at run time: what is missing is unknown. Data may be named so, and
 * this is no fault.
 */
static void
warn_of_data_like_variable(WfReader *reader, const WfJson *node)
{
	const char *p = node->text;

	while (*p != '\0')
	{
		int len = strncmp(p, "$.", 2) == 0 ? name_length(p + 2) : 0;
		int part = len > 0 && p[2 + len] == '.' ? name_length(p + 3 + len) : 0;

		if (part > 0 && is_variable_part(p + 2, len, p + 3 + len, part))
		{
			const char *path = pnstrdup(p + 2, len + 1 + part);

			warn(reader, node, psprintf("\"$.%s\" is a field of the data", path),
				 psprintf("Perhaps you meant $%s.", path));
			return;
		}
		p = *p == '"' ? behind_string(p) : p + 1;
	}
}

void
wf_vocabulary_predicate(WfReader *reader, const WfJson *node, const WfPredicate *predicate)
{
	const char *hint;
	const char *warning = wf_predicate_warning(predicate, &hint);

	check_variables(reader, node, wf_predicate_variables(predicate));
	warn(reader, node, warning, hint);
	if (node->key != NULL && (strcmp(node->key, "success") == 0 || strcmp(node->key, "when") == 0))
		warn_of_data_like_variable(reader, node);
}
