/*
 * route.c
 *		Where a step goes: one step, a fork, branches, or an end; and where tokens meet.
 */
#include "postgres.h"

#include "model/reader.h"

/* ---- steps by name ---- */

/* Tell of what names no step. */
static void
refuse_target(WfReader *reader, const WfJson *node, const char *wanted)
{
	static const char hint[] =
		"Branches with conditions stand in the \"next\" of a step, in a list: [{\"when\": ..., \"next\": ...}, ...].";

	wf_json_issue(reader->issues, node, node->type == WF_JSON_OBJECT ? hint : NULL, "must be %s, not %s", wanted,
				  wf_json_type_name(node->type));
	wf_reader_unread(reader);
}

/* Read a list of names; a name that leads nowhere has its issue, and is left out. */
static void
read_names(WfReader *reader, const WfJson *node, WfTargets *targets)
{
	bool *listed = palloc0((reader->graph->def.nsteps + 1) * sizeof(bool));

	if (node->n == 0)
	{
		wf_json_issue(reader->issues, node, "To end here, write \"end\": true instead.", "names no step");
		wf_reader_unread(reader);
	}
	targets->steps = palloc(Max(node->n, 1) * sizeof(int));
	targets->n = 0;
	for (int i = 0; i < node->n; i++)
	{
		int step = -1;

		if (node->items[i]->type == WF_JSON_STRING)
			wf_read_step_name(reader, node->items[i], &step);
		else
			refuse_target(reader, node->items[i], "a string");
		if (step < 0)
			continue;
		if (listed[step])
			wf_json_issue(reader->issues, node->items[i], "Each step gets one token.", "\"%s\" is listed already",
						  wf_issue_clip(node->items[i]->text));
		else
			targets->steps[targets->n++] = step;
		listed[step] = true;
	}
	pfree(listed);
}

void
wf_read_targets(WfReader *reader, const WfJson *node, void *target)
{
	WfTargets *targets = target;
	int		   step = -1;

	if (node->type == WF_JSON_ARRAY)
	{
		read_names(reader, node, targets);
		return;
	}
	if (node->type == WF_JSON_STRING)
		wf_read_step_name(reader, node, &step);
	else
		refuse_target(reader, node, "a string or a list");
	*targets = wf_graph_target(step);
}

/* ---- next ---- */

static const WfReaderField split_fields[] = {
	{"when", wf_read_predicate, &wf_shape_predicate, offsetof(WfBranch, when)},
	{"next", wf_read_targets, &wf_shape_targets, offsetof(WfBranch, next)},
	{"else", wf_read_targets, &wf_shape_targets, offsetof(WfBranch, next)},
};

static const char *const ways[] = {"next", "else"};
static const char *const alone[] = {"when", "else"};
static const WfKeys		 split_keys[] = {{WF_EXACTLY_ONE, FIELDS(ways)}, {WF_EXACTLY_ONE, FIELDS(alone)}};

static const WfJsonShape split_shape = {.name = "branch",
										.says = "The name of a step, or a branch with a condition.",
										.types = WF_TAKES_STRING | WF_TAKES_OBJECT,
										.what = "a branch",
										WF_FIELDS(split_fields),
										WF_KEYS(split_keys)};

const WfJsonShape wf_next_shape = {
	.name = "next",
	.says =
		"A step, or several: each gets a token. Branches with \"when\" get one if that is true, \"else\" if no other does.",
	.types = WF_TAKES_STRING | WF_TAKES_ARRAY,
	.items = &split_shape,
	.min_items = 1};

static void
read_conditional(WfReader *reader, const WfJson *node, WfBranch *branch)
{
	bool when = wf_json_member(node, "when") != NULL;
	bool next = wf_json_member(node, "next") != NULL;

	branch->otherwise = wf_json_member(node, "else") != NULL;
	wf_read_object(reader, node, &split_shape, branch);
	if (branch->otherwise && (when || next))
		wf_json_issue(reader->issues, node, "Write {\"else\": step}: it is taken if no other branch is.",
					  "\"else\" stands alone in its branch");
	else if (!branch->otherwise && !next)
	{
		wf_json_issue(reader->issues, node, "Write {\"when\": predicate, \"next\": step}.", "\"next\" is missing");
		wf_reader_unread(reader);
	}
	else if (!branch->otherwise && !when)
		wf_json_issue(reader->issues, node, "A branch that is always taken is the name of its step alone.",
					  "\"when\" is missing");
}

/* Check that there is one "else" at most, and that it can be taken. */
static void
check_otherwise(WfReader *reader, const WfJson *node, const WfRoute *route)
{
	const WfJson *otherwise = NULL;
	const WfJson *always = NULL;
	bool		  when = false;

	for (int i = 0; i < node->n; i++)
	{
		if (node->items[i]->type == WF_JSON_STRING)
			always = node->items[i];
		else if (!route->branches[i].otherwise)
			when = true;
		else if (otherwise != NULL)
			wf_json_issue(reader->issues, node->items[i],
						  "One branch is taken if no other is; its steps may be several.",
						  "there is an \"else\" before it");
		else
			otherwise = node->items[i];
	}
	if (otherwise != NULL && always != NULL)
		wf_json_issue(reader->issues, otherwise, "It is taken if no other branch is.",
					  "is never taken, since \"%s\" always is", wf_issue_clip(always->text));
	else if (otherwise != NULL && !when)
		wf_json_issue(reader->issues, otherwise, "Without conditions, write the name of the step alone.",
					  "\"else\" without a branch that has \"when\"");
}

/* Refuse names that stand twice among those that are always taken. */
static void
check_names_once(WfReader *reader, const WfJson *node, const WfRoute *route)
{
	bool *listed = palloc0((reader->graph->def.nsteps + 1) * sizeof(bool));

	for (int i = 0; i < node->n; i++)
	{
		const WfTargets *next = &route->branches[i].next;

		if (node->items[i]->type != WF_JSON_STRING || next->n == 0)
			continue;
		if (listed[next->steps[0]])
			wf_json_issue(reader->issues, node->items[i], "Each step gets one token.", "\"%s\" is listed already",
						  wf_issue_clip(node->items[i]->text));
		listed[next->steps[0]] = true;
	}
	pfree(listed);
}

static void
read_split(WfReader *reader, const WfJson *node, WfRoute *route)
{
	route->kind = WF_ROUTE_SPLIT;
	route->next = wf_graph_target(-1);
	route->nbranches = node->n;
	route->branches = palloc0(Max(node->n, 1) * sizeof(WfBranch));
	for (int i = 0; i < node->n; i++)
	{
		if (node->items[i]->type == WF_JSON_OBJECT)
			read_conditional(reader, node->items[i], &route->branches[i]);
		else if (node->items[i]->type == WF_JSON_STRING)
			wf_read_targets(reader, node->items[i], &route->branches[i].next);
		else
		{
			wf_json_issue(reader->issues, node->items[i],
						  "Branches are names of steps, or {\"when\": predicate, \"next\": step}.",
						  "must be a string or an object, not %s", wf_json_type_name(node->items[i]->type));
			wf_reader_unread(reader);
		}
	}
	check_otherwise(reader, node, route);
	check_names_once(reader, node, route);
}

void
wf_read_next(WfReader *reader, const WfJson *node, void *target)
{
	WfRoute *route = target;

	for (int i = 0; node->type == WF_JSON_ARRAY && i < node->n; i++)
	{
		if (node->items[i]->type == WF_JSON_OBJECT)
		{
			read_split(reader, node, route);
			return;
		}
	}
	route->kind = WF_ROUTE_NEXT;
	wf_read_targets(reader, node, &route->next);
}

/* ---- choose ---- */

static const WfReaderField branch_fields[] = {
	{"when", wf_read_predicate, &wf_shape_predicate, offsetof(WfBranch, when)},
	{"next", wf_read_targets, &wf_shape_targets, offsetof(WfBranch, next), true},
};

static const WfJsonShape branch_shape =
	{.name = "choice",
	 .says = "The first branch whose \"when\" is true is taken; the last one may be without.",
	 .types = WF_TAKES_OBJECT,
	 .what = "a branch",
	 WF_FIELDS(branch_fields)};

const WfJsonShape wf_choose_shape = {.types = WF_TAKES_ARRAY, .items = &branch_shape, .min_items = 1};

void
wf_read_choose(WfReader *reader, const WfJson *node, void *target)
{
	WfRoute *route = target;

	route->kind = WF_ROUTE_CHOOSE;
	route->next = wf_graph_target(-1);
	if (!wf_reader_expect(reader, node, WF_JSON_ARRAY,
						  "Branches are a list: [{\"when\": ..., \"next\": ...}, {\"next\": ...}]."))
	{
		wf_reader_unread(reader);
		return;
	}
	if (node->n == 0)
	{
		wf_json_issue(reader->issues, node, NULL, "has no branches");
		wf_reader_unread(reader);
	}
	route->nbranches = node->n;
	route->branches = palloc0(Max(node->n, 1) * sizeof(WfBranch));
	for (int i = 0; i < node->n; i++)
	{
		const WfJson *branch = node->items[i];

		if (wf_read_object(reader, branch, &branch_shape, &route->branches[i]) && i < node->n - 1 &&
			!wf_json_member(branch, "when"))
			wf_json_issue(reader->issues, branch, "Only the last branch may be without \"when\".",
						  "the branches after it are never reached");
	}
}

/* ---- end ---- */

static void
read_error_code(WfReader *reader, const WfJson *node, void *target)
{
	WfRoute *route = target;

	route->kind = WF_ROUTE_ERROR;
	wf_read_string(reader, node, &route->error_code);
}

static void
read_abort(WfReader *reader, const WfJson *node, void *target)
{
	WfRoute *route = target;

	route->kind = WF_ROUTE_ABORT;
	wf_read_text(reader, node, &route->message);
}

static const WfReaderField end_fields[] = {
	{"error", read_error_code, &wf_shape_name, 0},
	{"message", wf_read_text, &wf_shape_string, offsetof(WfRoute, message)},
	{"abort", read_abort, &wf_shape_string, 0},
};

static const char *const end_words[] = {"scope"};
static const char *const ends[] = {"error", "abort"};
static const WfKeys		 one_end = {WF_EXACTLY_ONE, FIELDS(ends)};
static const WfBeside	 end_beside[] = {{"message", "error", "The reason is what stands behind \"abort\"."}};

const WfJsonShape wf_end_shape =
	{.name = "end",
	 .says = "The token ends here: true; \"scope\": at once, with all others of its scope; an object: badly.",
	 .types = WF_TAKES_BOOL | WF_TAKES_STRING | WF_TAKES_OBJECT,
	 .only_true = true,
	 WF_WORDS(end_words),
	 .what = "\"end\"",
	 WF_FIELDS(end_fields),
	 .keys = &one_end,
	 .nkeys = 1,
	 WF_BESIDE(end_beside)};

static const char end_hint[] = "Write true, \"scope\", {\"error\": code, \"message\": text} or {\"abort\": reason}.";

/* Tell of what is neither true nor an object. */
static void
refuse_end(WfReader *reader, const WfJson *node)
{
	if (node->type == WF_JSON_STRING && wf_issue_nearest(node->text, FIELDS(end_words), wf_issue_name_at) == 0)
		wf_json_issue(reader->issues, node, wf_issue_perhaps(end_words[0], node->text),
					  "must be true, \"scope\" or an object");
	else if (node->type == WF_JSON_STRING)
		wf_json_issue(reader->issues, node, end_hint, "must be true, \"scope\" or an object");
	else
		wf_json_issue(reader->issues, node, end_hint, "must be true, \"scope\" or an object, not %s",
					  wf_json_type_name(node->type));
}

void
wf_read_end(WfReader *reader, const WfJson *node, void *target)
{
	WfRoute *route = target;
	bool	 error;
	bool	 abort;

	route->kind = WF_ROUTE_END;
	route->next = wf_graph_target(-1);
	if (node->type == WF_JSON_BOOL)
	{
		if (!node->truth)
			wf_json_issue(reader->issues, node, "Not to end here, leave it out.", "must be true, not false");
		return;
	}
	if (node->type == WF_JSON_STRING && strcmp(node->text, end_words[0]) == 0)
	{
		route->kind = WF_ROUTE_END_SCOPE;
		return;
	}
	if (node->type != WF_JSON_OBJECT)
	{
		refuse_end(reader, node);
		return;
	}
	wf_read_object(reader, node, &wf_end_shape, route);
	error = wf_json_member(node, "error") != NULL;
	abort = wf_json_member(node, "abort") != NULL;
	if (error && abort)
		wf_json_issue(reader->issues, node, end_hint, "\"error\" and \"abort\" cannot be given together");
	else if (!error && !abort)
		wf_json_issue(reader->issues, node, end_hint, "\"error\" or \"abort\" is missing");
	else if (abort && wf_json_member(node, "message"))
		wf_json_issue(reader->issues, node, "The reason is what stands behind \"abort\".",
					  "\"message\" goes with \"error\" only");
}

/* ---- join ---- */

static const char *const join_words[] = {"all", "any"};

const WfJsonShape wf_join_shape =
	{.name = "join",
	 .says = "Tokens meet here: \"all\" that can still come, \"any\" for the first, or so many.",
	 .types = WF_TAKES_STRING | WF_TAKES_NUMBER,
	 WF_WORDS(join_words),
	 .whole = true,
	 .minimum = 1,
	 .maximum = 999999999};

void
wf_read_join(WfReader *reader, const WfJson *node, void *target)
{
	static const char hint[] =
		"\"all\": it goes on when no other token can come; \"any\": with the first; a number: when so many have come.";
	WfJoin *join = target;

	if (node->type == WF_JSON_STRING && strcmp(node->text, "all") == 0)
		join->kind = WF_JOIN_ALL;
	else if (node->type == WF_JSON_STRING && strcmp(node->text, "any") == 0)
		*join = (WfJoin){.kind = WF_JOIN_COUNT, .n = 1};
	else if (node->type == WF_JSON_NUMBER && strspn(node->text, "0123456789") == strlen(node->text) &&
			 strlen(node->text) <= 9 && atoi(node->text) > 0)
		*join = (WfJoin){.kind = WF_JOIN_COUNT, .n = atoi(node->text)};
	else
		wf_json_issue(reader->issues, node, hint, "must be \"all\", \"any\" or a whole number from 1 to 999999999");
}
