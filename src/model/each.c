/*
 * each.c
 *		`each`: a step that is done for each item of a list.
 *
 * It is read as one step, as it is written, and then made two: the whole, to which routes lead, and what is
 * done for each item.
 */
#include "postgres.h"

#include <limits.h>

#include "model/each.h"
#include "model/reader.h"
#include "model/template_build.h"
#include "model/variable.h"

/* ---- reading ---- */

/*
 * The begin of a jsonpath, up to where it looks for values in what it has found: a list that is not there
 * would be passed over like an empty one, if nobody looked.
 */
static WfExpression *
place_of(const char *text)
{
	const char	 *ignored;
	const char	 *p = text;
	WfExpression *place;

	for (; *p; p++)
	{
		p = wf_expression_skip_quoted(p);
		if (*p == '[' || *p == '?' || (p[0] == '.' && p[1] == '*'))
			break;
	}
	if (*p == '\0' || strstr(text, "??") != NULL)
		return NULL;
	place = wf_expression_compile(text, (int) (p - text), &ignored, &ignored);
	return place;
}

static void
read_in(WfReader *reader, const WfJson *node, void *target)
{
	WfEach		 *each = target;
	const char	 *message;
	const char	 *hint;
	WfExpression *in;

	if (!wf_reader_expect(reader, node, WF_JSON_STRING, "A list is a jsonpath in a string: \"$.lines[*]\"."))
		return;
	in = wf_expression_compile(node->text, (int) strlen(node->text), &message, &hint);
	if (in == NULL && strstr(node->text, "${") != NULL)
		wf_json_issue(reader->issues, node, "The list is a jsonpath itself and is written without ${ }.",
					  "\"${\" in a jsonpath");
	else if (in == NULL)
		wf_json_issue(reader->issues, node, hint, "%s", message);
	else
	{
		each->in = in;
		each->place = place_of(node->text);
		wf_vocabulary_expression(reader, node, in);
	}
}

static void
read_parallel(WfReader *reader, const WfJson *node, void *target)
{
	static const char hint[] = "How many items at most are under way; all at once, if it is left out.";
	char			 *end;
	long			  number;

	if (!wf_reader_expect(reader, node, WF_JSON_NUMBER, hint))
		return;
	errno = 0;
	number = strtol(node->text, &end, 10);
	if (*end != '\0' || errno != 0 || number < 1 || number > INT_MAX)
		wf_json_issue(reader->issues, node, hint, "must be a whole number from 1 on");
	else
		*(int *) target = (int) number;
}

static void
read_collect(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_STRING,
						 "It is the name of the field that gets the $result.response of all items, in a list."))
		wf_read_string(reader, node, target);
}

static const WfJsonShape parallel_shape = {.types = WF_TAKES_NUMBER, .whole = true, .minimum = 1, .maximum = INT_MAX};

static const WfReaderField each_fields[] = {
	{"in", read_in, &wf_shape_name, 0, true, WF_AT_ENTRY, true},
	{"parallel", read_parallel, &parallel_shape, offsetof(WfEach, parallel)},
	{"until", wf_read_predicate, &wf_shape_predicate, offsetof(WfEach, until), false, WF_AT_END},
	{"collect", read_collect, &wf_shape_name, offsetof(WfEach, collect)},
};

const WfJsonShape wf_each_shape =
	{.name = "each",
	 .says = "The step is done for each item of a list: its jsonpath, such as \"$.lines[*]\".",
	 .types = WF_TAKES_STRING | WF_TAKES_OBJECT,
	 .not_blank = true,
	 .what = "\"each\"",
	 WF_FIELDS(each_fields)};

void
wf_read_each(WfReader *reader, const WfJson *node, void *target)
{
	WfStep	*step = target;
	WfMoment around = reader->moment;

	step->each = palloc0(sizeof(WfEach));
	if (node->type == WF_JSON_OBJECT)
	{
		wf_read_object(reader, node, &wf_each_shape, step->each);
		return;
	}
	if (node->type != WF_JSON_STRING)
	{
		wf_json_issue(reader->issues, node, "Write \"$.lines[*]\", or {\"in\": \"$.lines[*]\", \"parallel\": 10}.",
					  "must be a jsonpath or an object, not %s", wf_json_type_name(node->type));
		return;
	}
	reader->moment = WF_AT_ENTRY;
	reader->of_whole = true;
	read_in(reader, node, step->each);
	reader->moment = around;
	reader->of_whole = false;
}

/* ---- what fits together ---- */

/* Has an item anything to give? */
static bool
gives(const WfJson *node)
{
	static const char *const keys[] = {"wait", "local"};

	return wf_vocabulary_has_reply(node) || wf_json_has_one_of(node, FIELDS(keys));
}

void
wf_each_check(WfReader *reader, const WfJson *node)
{
	static const char *const keys[] = {"collect"};
	const WfJson			*first_of = wf_json_member(node, "first_of");
	const WfJson			*each = wf_json_member(node, "each");

	if (first_of != NULL)
		wf_json_issue(reader->issues, first_of,
					  "Put the step that waits into \"steps\", and those that it leads to beside it.",
					  "the items of \"each\" cannot go different ways");
	if (reader->step->each->collect != NULL && wf_json_has_one_of(each, FIELDS(keys)) && !gives(node))
		wf_json_warning(reader->issues, wf_json_member(each, "collect"),
						wf_json_member(node, "steps") != NULL
							? "What an item that is a sub-process gives are the fields of its \"local\"."
							: "An item gives what it is answered, or what a callback brings.",
						"the list will be all null: the items give nothing");
}

/* ---- two steps of one ---- */

void
wf_each_split(WfDefinition *def, WfStep *whole)
{
	WfStep *item = wf_step_of_item(def, whole);
	WfStep	written = *whole;
	WfStep	place = *item;

	*item = written;
	item->index = place.index;
	item->list = place.list;
	item->inner = place.inner;
	item->is_item = true;
	item->each = NULL;
	item->timeout = (WfDuration){0};
	item->nentries = written.nwaits;
	item->ignore_cancel = false;
	item->async = false;
	item->join = (WfJoin){0};
	item->route = (WfRoute){.kind = WF_ROUTE_END};

	*whole = (WfStep){.name = written.name,
					  .index = written.index,
					  .list = written.list,
					  .action = WF_ACTION_EACH,
					  .inner = written.inner,
					  .each = written.each,
					  .timeout = written.timeout,
					  .entries = written.entries + written.nwaits,
					  .nentries = written.nentries - written.nwaits,
					  .ignore_cancel = written.ignore_cancel,
					  .async = written.async,
					  .join = written.join,
					  .route = written.route};
	whole->retry.backoff = 1;
}

/* ---- evaluating ---- */

/* Is there something at the place? */
static bool
is_there(const WfExpression *place, const WfVariables *variables)
{
	WfFault ignored = {0};
	Jsonb  *found;

	return wf_expression_list(place, variables, &found, &ignored);
}

bool
wf_each_list(const WfEach *each, const WfVariables *variables, Jsonb **list, WfFault *fault)
{
	if (!wf_expression_list(each->in, variables, list, fault))
		return false;
	if (JB_ROOT_COUNT(*list) > 0 || each->place == NULL || is_there(each->place, variables))
		return true;
	return wf_fault(fault, WF_CODE_TEMPLATE, "\"%s\" has no value", wf_expression_text(each->place));
}
