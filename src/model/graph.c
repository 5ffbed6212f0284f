/*
 * graph.c
 *		Steps by name, routes that lead nowhere, steps that nothing reaches, loops that nothing leaves.
 *
 * All arrays are in the context of the definition that is being read; after reading only the index by name is used.
 */
#include "postgres.h"

#include "model/graph.h"
#include "model/issue.h"

static int
compare_names(const void *a, const void *b, void *arg)
{
	const WfStep *steps = arg;
	int			left = *(const int *) a;
	int			right = *(const int *) b;
	int			order = strcmp(steps[left].name, steps[right].name);

	return order != 0 ? order : left - right;
}

static void
check_duplicate_names(const WfGraph *graph, const WfJson *nodes, WfIssues *issues)
{
	const WfStep *steps = graph->def.steps;
	int			first = 0;		/* of those with the same name */

	for (int i = 1; i < graph->def.nsteps; i++)
	{
		int			index = graph->by_name[i];

		if (strcmp(steps[graph->by_name[first]].name, steps[index].name) != 0)
			first = i;
		else if (steps[index].name[0] != '\0')
			wf_json_issue(issues, wf_json_member(nodes->items[index], "step"),
						  "Each step of a process needs a name of its own.",
						  "the name \"%s\" is taken by %s",
						  wf_issue_clip(steps[index].name), steps[graph->by_name[first]].json_path);
	}
}

void
wf_graph_index(WfGraph *graph, const WfJson *nodes, WfIssues *issues)
{
	WfStep	   *steps;

	graph->def.nsteps = nodes->n;
	graph->def.steps = steps = palloc0(Max(nodes->n, 1) * sizeof(WfStep));
	graph->by_name = palloc(Max(nodes->n, 1) * sizeof(int));
	for (int i = 0; i < nodes->n; i++)
	{
		const WfJson *node = nodes->items[i];
		const WfJson *name = wf_json_member(node, "step");

		steps[i].name = name && name->type == WF_JSON_STRING ? name->text : "";
		steps[i].index = i;
		steps[i].json_path = wf_json_path(node);
		graph->by_name[i] = i;
	}
	qsort_arg(graph->by_name, nodes->n, sizeof(int), compare_names, steps);
	check_duplicate_names(graph, nodes, issues);
}

int
wf_definition_step(const WfDefinition *def, const char *name)
{
	const WfGraph *graph = (const WfGraph *) def;
	int			low = 0;
	int			high = def->nsteps;

	/* the first that is not less */
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strcmp(def->steps[graph->by_name[middle]].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < def->nsteps && name[0] != '\0' && strcmp(def->steps[graph->by_name[low]].name, name) == 0)
		return graph->by_name[low];
	return -1;
}

static const char *
step_name_at(const void *steps, int i)
{
	const char *name = ((const WfStep *) steps)[i].name;

	return name[0] == '\0' ? NULL : name;
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

int
wf_graph_route(WfGraph *graph, int from, const WfJson *node, WfIssues *issues)
{
	int			to = wf_definition_step(&graph->def, node->text);
	const char *hint = NULL;

	if (to >= 0)
		return to;
	if (!wf_issues_full(issues))
	{
		int			near = wf_issue_nearest(node->text, graph->def.steps, graph->def.nsteps, step_name_at);

		if (near >= 0)
		{
			hint = wf_issue_perhaps(graph->def.steps[near].name, node->text);
			/* so that the step that was meant is not called unreachable too */
			wf_graph_add_edge(graph, from, near);
		}
		else if (pg_strcasecmp(node->text, "end") == 0)
			hint = "A path ends with \"end\": true instead of \"next\".";
	}
	wf_json_issue(issues, node, hint, "there is no step \"%s\"", wf_issue_clip(node->text));
	return -1;
}

/* ---- what is reached ---- */

typedef struct Walk
{
	bool	   *reached;
	int		   *pending;
	int			npending;
} Walk;

static void
reach(Walk *walk, int step)
{
	if (step < 0 || walk->reached[step])
		return;
	walk->reached[step] = true;
	walk->pending[walk->npending++] = step;
}

static void
reach_from(const WfGraph *graph, Walk *walk, int index)
{
	const WfStep *step = &graph->def.steps[index];

	if (step->route.kind == WF_ROUTE_NEXT)
		reach(walk, step->route.next);
	for (int i = 0; i < step->route.nbranches; i++)
		reach(walk, step->route.branches[i].next);
	for (int i = 0; i < step->ncatches; i++)
		reach(walk, step->catches[i].next);
	for (int i = 0; i < graph->nedges; i++)
	{
		if (graph->edges[i].from == index)
			reach(walk, graph->edges[i].to);
	}
}

static bool *
find_reached(const WfGraph *graph)
{
	int			n = graph->def.nsteps;
	Walk		walk;

	walk.reached = palloc0(n * sizeof(bool));
	walk.pending = palloc(n * sizeof(int));
	walk.npending = 0;
	reach(&walk, graph->def.start);
	while (walk.npending > 0)
		reach_from(graph, &walk, walk.pending[--walk.npending]);
	pfree(walk.pending);
	return walk.reached;
}

/* ---- what is left again ---- */

/* Does a token pass through it within one transaction, whatever happens? */
static bool
is_pure(const WfStep *step)
{
	return (step->action == WF_ACTION_NONE || step->action == WF_ACTION_SET) &&
		step->wait.kind == WF_EVENT_NONE && !step->async && step->success == NULL;
}

static bool
leaves(const WfStep *step, const bool *left)
{
	const WfRoute *route = &step->route;

	if (!is_pure(step))
		return true;
	switch (route->kind)
	{
		case WF_ROUTE_NEXT:
			return route->next < 0 || left[route->next];
		case WF_ROUTE_CHOOSE:
			/* where no branch is true the visit fails */
			if (route->nbranches == 0 || route->branches[route->nbranches - 1].when != NULL)
				return true;
			for (int i = 0; i < route->nbranches; i++)
			{
				if (route->branches[i].next < 0 || left[route->branches[i].next])
					return true;
			}
			return false;
		default:
			return true;
	}
}

/* From which steps can a token come to something that is not pure, or to an end? */
static bool *
find_left(const WfGraph *graph)
{
	int			n = graph->def.nsteps;
	bool	   *left = palloc0(n * sizeof(bool));
	bool		changed = true;

	for (int i = 0; i < graph->nedges; i++)
		left[graph->edges[i].from] = true;
	while (changed)
	{
		changed = false;
		for (int i = n - 1; i >= 0; i--)
		{
			if (!left[i] && leaves(&graph->def.steps[i], left))
				left[i] = changed = true;
		}
	}
	return left;
}

static int
first_target(const WfStep *step)
{
	return step->route.kind == WF_ROUTE_CHOOSE ? step->route.branches[0].next : step->route.next;
}

void
wf_graph_check(WfGraph *graph, WfIssues *issues)
{
	const WfStep *steps = graph->def.steps;
	int			n = graph->def.nsteps;
	bool	   *reached = find_reached(graph);
	bool	   *left = find_left(graph);
	int			stuck = -1;

	for (int i = 0; i < n; i++)
	{
		/* one without a name of its own cannot be reached, and has its issue */
		if (!reached[i] && wf_definition_step(&graph->def, steps[i].name) == i)
			wf_issue_add(issues, steps[i].json_path,
						 "Lead to it with \"next\", \"choose\" or \"catch\", or leave it out.",
						 "nothing leads to the step \"%s\"", wf_issue_clip(steps[i].name));
		else if (reached[i] && !left[i] && stuck < 0)
			stuck = i;
	}
	if (stuck >= 0)
	{
		/* n steps on, it is in the loop itself */
		for (int i = 0; i < n; i++)
			stuck = first_target(&steps[stuck]);
		wf_issue_add(issues, steps[stuck].json_path,
					 "In a loop some step has to wait, to call out, or to lead out of it.",
					 "the step \"%s\" is in a loop that never ends", wf_issue_clip(steps[stuck].name));
	}
	pfree(reached);
	pfree(left);
}
