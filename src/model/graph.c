/*
 * graph.c
 *		The lists of steps, steps by name, and routes that lead nowhere.
 *
 * All arrays are in the context of the definition that is being read; after reading, only the index
 * by name is used.
 */
#include "postgres.h"

#include "model/graph.h"
#include "model/issue.h"
#include "model/process_handlers.h"

#define MAX_STEPS 5000

/* how deep lists may stand in each other */
#define MAX_NESTED_LISTS 20

static int
compare_names(const void *a, const void *b, void *arg)
{
	const WfStep *steps = arg;
	int			  left = *(const int *) a;
	int			  right = *(const int *) b;
	int			  order = strcmp(steps[left].name, steps[right].name);

	return order != 0 ? order : left - right;
}

static void
check_duplicate_names(const WfGraph *graph, WfIssues *issues)
{
	const WfStep *steps = graph->def.steps;
	int			  first = 0; /* the first of those with the same name */

	for (int i = 1; i < graph->nnamed; i++)
	{
		int index = graph->by_name[i];

		if (strcmp(steps[graph->by_name[first]].name, steps[index].name) != 0)
			first = i;
		else if (steps[index].name[0] != '\0')
			wf_json_issue(issues, wf_json_member(graph->nodes[index], "step"),
						  "Each step of a process needs a name of its own.", "the name \"%s\" is taken by %s",
						  wf_issue_clip(steps[index].name), wf_json_path(graph->nodes[graph->by_name[first]]));
	}
}

/* ---- lists ---- */

/* How many steps and lists there are, and whether there are too many. */
typedef struct Extent
{
	int	 nsteps;
	int	 nlists;
	bool too_deep;
} Extent;

/* The steps in `node`, a step or a definition, if they can be read. */
static const WfJson *
steps_within(const WfJson *node)
{
	const WfJson *steps = node->type == WF_JSON_OBJECT ? wf_json_member(node, "steps") : NULL;

	return steps != NULL && steps->type == WF_JSON_ARRAY && steps->n > 0 ? steps : NULL;
}

static bool
has_each(const WfJson *step)
{
	return step->type == WF_JSON_OBJECT && wf_json_member(step, "each") != NULL;
}

static void
measure(const WfJson *steps, int depth, Extent *size, WfIssues *issues)
{
	if (depth > MAX_NESTED_LISTS)
	{
		wf_json_issue(issues, steps, "Start an instance of another process for it.",
					  "lists of steps stand deeper in each other than %d", MAX_NESTED_LISTS);
		size->too_deep = true;
		return;
	}
	size->nlists++;
	size->nsteps += steps->n;
	for (int i = 0; i < steps->n; i++)
	{
		const WfJson *within = steps_within(steps->items[i]);

		if (within != NULL)
			measure(within, depth + 1, size, issues);
		if (has_each(steps->items[i]))
		{
			size->nlists++;
			size->nsteps++;
		}
	}
}

static int
add_list(WfGraph *graph, int parent)
{
	WfDefinition *def = &graph->def;
	WfStepList	 *list = &def->lists[def->nlists];

	list->parent = parent;
	list->first = list->start = def->nsteps;
	if (parent >= 0)
		def->steps[parent].inner = def->nlists;
	return def->nlists++;
}

static void
add_step(WfGraph *graph, int list, const WfJson *node, const char *name)
{
	WfDefinition *def = &graph->def;
	WfStep		 *step = &def->steps[def->nsteps];

	step->name = name;
	step->index = def->nsteps;
	step->list = list;
	graph->nodes[step->index] = node;
	def->lists[list].n++;
	def->nsteps++;
}

static void
add_named_step(WfGraph *graph, int list, const WfJson *node, const char *name)
{
	graph->by_name[graph->nnamed++] = graph->def.nsteps;
	add_step(graph, list, node, name);
}

/* The name of a step; "" if it has none that could be used. */
static const char *
name_in(const WfJson *node)
{
	const WfJson *name = wf_json_member(node, "step");

	if (name == NULL || name->type != WF_JSON_STRING || strcmp(name->text, WF_PROCESS_STEP) == 0)
		return "";
	return name->text;
}

/* Add those of the steps that are, or are not, among `some`; NULL: all. */
static void
add_steps(WfGraph *graph, int list, const WfJson *steps, const bool *some, bool among)
{
	for (int i = 0; i < steps->n; i++)
	{
		if (some == NULL || some[i] == among)
			add_named_step(graph, list, steps->items[i], name_in(steps->items[i]));
	}
}

/* Add the steps of the process, below one that stands for the process if that catches anything. */
static void
add_top(WfGraph *graph, const WfJson *root, const WfJson *steps, WfIssues *issues)
{
	bool *handled;

	if (steps->n == 0 || (wf_json_member(root, "timeout") == NULL && wf_json_member(root, "catch") == NULL))
	{
		add_steps(graph, add_list(graph, -1), steps, NULL, true);
		return;
	}
	handled = wf_process_handlers_find(root, steps, issues);
	graph->def.process_step = 0;
	add_named_step(graph, add_list(graph, -1), root, WF_PROCESS_STEP);
	add_steps(graph, 0, steps, handled, true);
	add_steps(graph, add_list(graph, graph->def.process_step), steps, handled, false);
	pfree(handled);
}

/*
 * Add what is in a step: the steps of the list under "steps"; below one that is done for each item, if it
 * has "each".
 */
static void
add_inner(WfGraph *graph, int index)
{
	const WfDefinition *def = &graph->def;
	const WfJson	   *node = graph->nodes[index];
	const WfJson	   *within = steps_within(node);

	if (index == def->process_step)
		return;
	if (has_each(node) && !def->steps[index].is_item)
	{
		add_step(graph, add_list(graph, index), node, def->steps[index].name);
		def->steps[def->nsteps - 1].is_item = true;
	}
	else if (within != NULL)
		add_steps(graph, add_list(graph, index), within, NULL, true);
}

bool
wf_graph_index(WfGraph *graph, const WfJson *root, WfIssues *issues)
{
	WfDefinition *def = &graph->def;
	const WfJson *steps = wf_json_member(root, "steps");
	Extent		  size = {0};

	measure(steps, 1, &size, issues);
	if (size.nsteps > MAX_STEPS)
		wf_json_issue(issues, steps, NULL, "has more than %d steps", MAX_STEPS);
	if (size.nsteps > MAX_STEPS || size.too_deep)
		return false;
	def->steps = palloc0((size.nsteps + 1) * sizeof(WfStep));
	def->lists = palloc0((size.nlists + 1) * sizeof(WfStepList));
	graph->unread = palloc0((size.nlists + 1) * sizeof(bool));
	graph->nodes = palloc((size.nsteps + 1) * sizeof(WfJson *));
	graph->by_name = palloc((size.nsteps + 1) * sizeof(int));
	add_top(graph, root, steps, issues);
	/* more steps come while this goes on, one list after the other */
	for (int i = 0; i < def->nsteps; i++)
		add_inner(graph, i);
	qsort_arg(graph->by_name, graph->nnamed, sizeof(int), compare_names, def->steps);
	check_duplicate_names(graph, issues);
	return true;
}

int
wf_graph_top_list(const WfGraph *graph)
{
	return graph->def.process_step >= 0 ? graph->def.steps[graph->def.process_step].inner : 0;
}

int
wf_graph_following(const WfGraph *graph, int step)
{
	const WfStepList *list = &graph->def.lists[graph->def.steps[step].list];

	if (step == graph->def.process_step || step + 1 >= list->first + list->n)
		return -1;
	/* what is listed next may be in another list, since handlers of the process lead to it */
	return graph->nodes[step + 1]->index == graph->nodes[step]->index + 1 ? step + 1 : -1;
}

/* ---- steps by name ---- */

WfTargets
wf_graph_target(int step)
{
	WfTargets targets = {0};

	if (step < 0)
		return targets;
	targets.steps = palloc(sizeof(int));
	targets.steps[0] = step;
	targets.n = 1;
	return targets;
}

int
wf_definition_step(const WfDefinition *def, const char *name)
{
	const WfGraph *graph = (const WfGraph *) def;
	int			   low = 0;
	int			   high = graph->nnamed;

	/* find the first that is not less */
	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (strcmp(def->steps[graph->by_name[middle]].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < graph->nnamed && name[0] != '\0' && strcmp(def->steps[graph->by_name[low]].name, name) == 0)
		return graph->by_name[low];
	return -1;
}

static const char *
step_name_by_number(const void *steps, int i)
{
	const char *name = ((const WfStep *) steps)[i].name;

	return name[0] == '\0' || strcmp(name, WF_PROCESS_STEP) == 0 ? NULL : name;
}

void
wf_graph_add_edge(WfGraph *graph, int from, int to)
{
	if (from < 0 || to < 0)
		return;
	if (graph->nedges == graph->edges_allocated)
	{
		graph->edges_allocated = Max(8, graph->edges_allocated * 2);
		if (graph->edges)
			graph->edges = repalloc(graph->edges, graph->edges_allocated * sizeof(WfEdge));
		else
			graph->edges = palloc(graph->edges_allocated * sizeof(WfEdge));
	}
	graph->edges[graph->nedges].from = from;
	graph->edges[graph->nedges].to = to;
	graph->nedges++;
}

/* The number of a list as a user sees it: that of the process is one. */
static int
written_list(const WfGraph *graph, int list)
{
	return list == wf_graph_top_list(graph) ? 0 : list;
}

/* The list in which the step is, as a user sees it; -1: that of the process. */
static int
written_list_of(const WfGraph *graph, int step)
{
	return step >= 0 ? written_list(graph, graph->def.steps[step].list) : 0;
}

/* The step around this one, as a user sees it; -1: none. */
static int
step_around(const WfGraph *graph, int step)
{
	return written_list_of(graph, step) == 0 ? -1 : graph->def.lists[graph->def.steps[step].list].parent;
}

void
wf_graph_unread(WfGraph *graph, int from)
{
	graph->has_bad_routes = true;
	if (graph->unread != NULL)
		graph->unread[written_list_of(graph, from)] = true;
}

bool
wf_graph_is_unread(const WfGraph *graph, int step)
{
	return graph->unread[written_list_of(graph, step)];
}

/* Find the step that was meant, in the list from which the route leads. */
static const char *
guess_step(WfGraph *graph, int from, const WfJson *node)
{
	const WfDefinition *def = &graph->def;
	int					number = from >= 0 ? def->steps[from].list : 0;
	WfStepList			list = def->lists[number];
	int					near;

	/* the lists of the process lie one after the other */
	if (written_list(graph, number) == 0)
	{
		list.first = 0;
		list.n = def->lists[0].n + (def->process_step >= 0 ? def->lists[wf_graph_top_list(graph)].n : 0);
	}
	near = wf_issue_nearest(node->text, def->steps + list.first, list.n, step_name_by_number);
	if (near >= 0)
	{
		/* so that the step that was meant is not called unreachable as well */
		wf_graph_add_edge(graph, from, list.first + near);
		return wf_issue_perhaps(def->steps[list.first + near].name, node->text);
	}
	return pg_strcasecmp(node->text, "end") == 0 ? "A path ends with \"end\": true instead of \"next\"." : NULL;
}

/* ---- routes into other lists ---- */

/* How deep the list of the step stands in others. */
static int
depth_of(const WfGraph *graph, int step)
{
	int depth = 0;

	while ((step = step_around(graph, step)) >= 0)
		depth++;
	return depth;
}

/* Find the steps in one list that are, or have in them, those two. `from` -1: all of the process. */
static void
find_common_list(const WfGraph *graph, int *from, int *to)
{
	int above = depth_of(graph, *to) - depth_of(graph, *from);

	for (; above > 0; above--)
		*to = step_around(graph, *to);
	for (; above < 0; above++)
		*from = step_around(graph, *from);
	while (written_list_of(graph, *from) != written_list_of(graph, *to))
	{
		*from = step_around(graph, *from);
		*to = step_around(graph, *to);
	}
}

/* Does the route stand in a part of its step: in a handler, or an event of "first_of"? */
static bool
is_in(const WfJson *node, const char *part)
{
	for (; node != NULL; node = node->parent)
	{
		/* a step is an item of a list, without a key */
		if (node->key != NULL && strcmp(node->key, part) == 0)
			return true;
		if (node->key != NULL && strcmp(node->key, "steps") == 0)
			return false;
	}
	return false;
}

/* What to write instead of a route to a step of another list. */
static const char *
other_list_hint(const WfGraph *graph, int from, int to, const WfJson *node)
{
	const WfStep *steps = graph->def.steps;
	bool		  handler = is_in(node, "catch");
	const char	 *end = is_in(node, "first_of") ? "Lead to a step with \"end\": true" : "Write \"end\": true here";
	int			  left = from;
	int			  entered = to;
	const char	 *left_name;
	const char	 *entered_name;

	find_common_list(graph, &left, &entered);
	entered_name = wf_issue_clip(steps[entered].name);
	if (from < 0 || from == graph->def.process_step)
		return psprintf("Name step \"%s\", whose first step is entered.", entered_name);
	left_name = wf_issue_clip(steps[left].name);
	if (left == from && left == entered)
		return psprintf("%s \"%s\" stands beside it: move step \"%s\" to %s.",
						handler ? "What handles failures of" : "What follows on", left_name,
						wf_issue_clip(steps[to].name), wf_json_path(graph->nodes[left]->parent));
	if (left == from)
		return psprintf("Lead to step \"%s\", whose first step is entered.", entered_name);
	if (handler)
		return psprintf("Give the handler to step \"%s\", whose \"catch\" can lead to \"%s\".", left_name,
						entered_name);
	if (left == entered)
		return psprintf("%s, and \"next\": \"%s\" in that step: it begins anew when all in it has ended.", end,
						left_name);
	return psprintf("%s, and \"next\": \"%s\" in step \"%s\", which goes there when all in it has ended.", end,
					entered_name, left_name);
}

int
wf_graph_route(WfGraph *graph, int from, const WfJson *node, WfIssues *issues)
{
	const WfDefinition *def = &graph->def;
	int					to = wf_definition_step(def, node->text);

	if (to >= 0 && to != def->process_step && written_list_of(graph, to) == written_list_of(graph, from))
	{
		/* of the two lists of the process, only if both lead there, which has its issue */
		if (from >= 0 && def->steps[to].list != def->steps[from].list)
			graph->has_bad_routes = true;
		return to;
	}
	if (to < 0 || to == def->process_step)
	{
		wf_graph_unread(graph, from);
		wf_json_issue(issues, node, wf_issues_full(issues) || def->nlists == 0 ? NULL : guess_step(graph, from, node),
					  "there is no step \"%s\"", wf_issue_clip(node->text));
		return -1;
	}
	graph->has_bad_routes = true;
	wf_graph_add_edge(graph, from, to);
	wf_json_issue(issues, node, wf_issues_full(issues) ? NULL : other_list_hint(graph, from, to, node),
				  "step \"%s\" is in another list: %s", wf_issue_clip(node->text),
				  wf_json_path(graph->nodes[to]->parent));
	return -1;
}

void
wf_graph_add_use(WfGraph *graph, int step, const WfJson *node, int variable)
{
	if (graph->nuses == graph->uses_allocated)
	{
		graph->uses_allocated = Max(8, graph->uses_allocated * 2);
		if (graph->uses)
			graph->uses = repalloc(graph->uses, graph->uses_allocated * sizeof(WfUse));
		else
			graph->uses = palloc(graph->uses_allocated * sizeof(WfUse));
	}
	graph->uses[graph->nuses].node = node;
	graph->uses[graph->nuses].step = step;
	graph->uses[graph->nuses].variable = variable;
	graph->nuses++;
}
