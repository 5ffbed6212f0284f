/*
 * graph.c
 *		Steps by name, routes that lead nowhere, steps that nothing reaches, loops that nothing
 *		leaves.
 *
 * All arrays are in the context of the definition that is being read; after reading, only the index
 * by name is used.
 */
#include "postgres.h"

#include "model/graph.h"
#include "model/issue.h"
#include "model/variable.h"

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

	for (int i = 1; i < graph->def.nsteps; i++)
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

static void
add_step(WfGraph *graph, int list, const WfJson *node)
{
	WfDefinition *def = &graph->def;
	WfStep		 *step = &def->steps[def->nsteps];
	const WfJson *name = wf_json_member(node, "step");

	step->name = name && name->type == WF_JSON_STRING ? name->text : "";
	step->index = def->nsteps;
	step->list = list;
	graph->nodes[step->index] = node;
	graph->by_name[step->index] = step->index;
	def->lists[list].n++;
	def->nsteps++;
}

void
wf_graph_index(WfGraph *graph, const WfJson *nodes, WfIssues *issues)
{
	WfDefinition *def = &graph->def;
	int			  room = Max(nodes->n, 1);

	def->steps = palloc0(room * sizeof(WfStep));
	def->lists = palloc0(sizeof(WfStepList));
	def->lists[0].parent = -1;
	def->nlists = 1;
	def->process_step = -1;
	graph->nodes = palloc(room * sizeof(WfJson *));
	graph->by_name = palloc(room * sizeof(int));
	for (int i = 0; i < nodes->n; i++)
		add_step(graph, 0, nodes->items[i]);
	qsort_arg(graph->by_name, def->nsteps, sizeof(int), compare_names, def->steps);
	check_duplicate_names(graph, issues);
}

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
	int			   high = def->nsteps;

	/* find the first that is not less */
	while (low < high)
	{
		int middle = low + (high - low) / 2;

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
step_name_by_number(const void *steps, int i)
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
		int near = wf_issue_nearest(node->text, graph->def.steps, graph->def.nsteps, step_name_by_number);

		if (near >= 0)
		{
			hint = wf_issue_perhaps(graph->def.steps[near].name, node->text);
			/* so that the step that was meant is not called unreachable as well */
			wf_graph_add_edge(graph, from, near);
		}
		else if (pg_strcasecmp(node->text, "end") == 0)
			hint = "A path ends with \"end\": true instead of \"next\".";
	}
	wf_json_issue(issues, node, hint, "there is no step \"%s\"", wf_issue_clip(node->text));
	return -1;
}

/* ---- ways ---- */

/* Ways, sorted by the step from which they lead: those of step i begin at edges[first[i]]. */
typedef struct Ways
{
	WfEdge *edges;
	int		n;
	int		allocated;
	int	   *first;
} Ways;

static void
add_way(Ways *ways, int from, int to)
{
	if (from < 0 || to < 0)
		return;
	if (ways->n == ways->allocated)
	{
		ways->allocated = Max(64, ways->allocated * 2);
		if (ways->edges)
			ways->edges = repalloc(ways->edges, ways->allocated * sizeof(WfEdge));
		else
			ways->edges = palloc(ways->allocated * sizeof(WfEdge));
	}
	ways->edges[ways->n].from = from;
	ways->edges[ways->n].to = to;
	ways->n++;
}

static void
add_ways(Ways *ways, int from, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
		add_way(ways, from, targets->steps[i]);
}

static void
add_ways_back(Ways *ways, int from, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
		add_way(ways, targets->steps[i], from);
}

static int
compare_ways(const void *a, const void *b)
{
	return ((const WfEdge *) a)->from - ((const WfEdge *) b)->from;
}

static void
sort_ways(Ways *ways, int nsteps)
{
	int at = 0;

	if (ways->n > 1)
		qsort(ways->edges, ways->n, sizeof(WfEdge), compare_ways);
	ways->first = palloc((nsteps + 1) * sizeof(int));
	for (int i = 0; i <= nsteps; i++)
	{
		while (at < ways->n && ways->edges[at].from < i)
			at++;
		ways->first[i] = at;
	}
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

/* Find all ways: routes, handlers, and those that the structs do not hold. */
static Ways
find_ways(const WfGraph *graph)
{
	Ways ways = {0};

	for (int i = 0; i < graph->def.nsteps; i++)
	{
		const WfStep *step = &graph->def.steps[i];

		if (step->route.kind == WF_ROUTE_NEXT)
			add_ways(&ways, i, &step->route.next);
		for (int b = 0; b < step->route.nbranches; b++)
			add_ways(&ways, i, &step->route.branches[b].next);
		for (int e = step->nwaits; e < step->nentries; e++)
			add_ways(&ways, i, &step->entries[e].next);
	}
	for (int i = 0; i < graph->nedges; i++)
		add_way(&ways, graph->edges[i].from, graph->edges[i].to);
	sort_ways(&ways, graph->def.nsteps);
	return ways;
}

/* Does every token pass the step within one transaction? */
static bool
is_pure(const WfStep *step)
{
	return (step->action == WF_ACTION_NONE || step->action == WF_ACTION_SET) &&
		   wf_step_waits_for(step) == WF_EVENT_NONE && !step->async && step->success == NULL;
}

/* Find the ways of pure steps, reversed. */
static Ways
find_ways_back(const WfGraph *graph)
{
	Ways ways = {0};

	for (int i = 0; i < graph->def.nsteps; i++)
	{
		const WfRoute *route = &graph->def.steps[i].route;

		if (!is_pure(&graph->def.steps[i]))
			continue;
		if (route->kind == WF_ROUTE_NEXT)
			add_ways_back(&ways, i, &route->next);
		for (int b = 0; b < route->nbranches; b++)
			add_ways_back(&ways, i, &route->branches[b].next);
	}
	sort_ways(&ways, graph->def.nsteps);
	return ways;
}

typedef struct Walk
{
	bool *reached;
	int	 *pending;
	int	  npending;
} Walk;

static Walk
begin_walk(const WfGraph *graph)
{
	Walk walk = {.reached = palloc0(graph->def.nsteps * sizeof(bool)),
				 .pending = palloc(graph->def.nsteps * sizeof(int))};

	return walk;
}

static void
reach(Walk *walk, int step)
{
	if (step < 0 || walk->reached[step])
		return;
	walk->reached[step] = true;
	walk->pending[walk->npending++] = step;
}

static void
reach_all(Walk *walk, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
		reach(walk, targets->steps[i]);
}

/* Reach all steps to which ways lead from those where the walk began. */
static bool *
walk_on(Walk *walk, const Ways *ways)
{
	while (walk->npending > 0)
	{
		int step = walk->pending[--walk->npending];

		for (int i = ways->first[step]; i < ways->first[step + 1]; i++)
			reach(walk, ways->edges[i].to);
	}
	pfree(walk->pending);
	return walk->reached;
}

/* ---- what is reached, and left again ---- */

static bool *
find_reached(const WfGraph *graph, const Ways *ways)
{
	Walk walk = begin_walk(graph);

	reach(&walk, graph->def.start);
	return walk_on(&walk, ways);
}

/* Which steps can a token reach that a handler has begun? */
static bool *
find_handled(const WfGraph *graph, const Ways *ways)
{
	Walk walk = begin_walk(graph);

	for (int i = 0; i < graph->def.nsteps; i++)
	{
		const WfStep *step = &graph->def.steps[i];

		for (int e = step->nwaits; e < step->nentries; e++)
			reach_all(&walk, &step->entries[e].next);
	}
	return walk_on(&walk, ways);
}

/*
 * Does the step end a loop? It does if tokens stop there, end there, or fail there if no branch is
 * true.
 */
static bool
leaves(const WfStep *step)
{
	const WfRoute *route = &step->route;

	if (!is_pure(step))
		return true;
	switch (route->kind)
	{
		case WF_ROUTE_NEXT:
			return route->next.n == 0;
		case WF_ROUTE_CHOOSE:
			if (route->nbranches == 0 || route->branches[route->nbranches - 1].when != NULL)
				return true;
			for (int i = 0; i < route->nbranches; i++)
			{
				if (route->branches[i].next.n == 0)
					return true;
			}
			return false;
		default:
			return true;
	}
}

/* From which steps can a token reach one that ends a loop? */
static bool *
find_left(const WfGraph *graph)
{
	Ways ways = find_ways_back(graph);
	Walk walk = begin_walk(graph);

	for (int i = 0; i < graph->nedges; i++)
		reach(&walk, graph->edges[i].from);
	for (int i = 0; i < graph->def.nsteps; i++)
	{
		if (leaves(&graph->def.steps[i]))
			reach(&walk, i);
	}
	return walk_on(&walk, &ways);
}

static int
first_target(const WfStep *step)
{
	return step->route.kind == WF_ROUTE_CHOOSE ? step->route.branches[0].next.steps[0] : step->route.next.steps[0];
}

static void
check_reached(const WfGraph *graph, const bool *reached, WfIssues *issues)
{
	for (int i = 0; i < graph->def.nsteps; i++)
	{
		/* a step without a name of its own cannot be reached, and has its own issue */
		if (!reached[i] && wf_definition_step(&graph->def, graph->def.steps[i].name) == i)
			wf_json_issue(issues, graph->nodes[i],
						  "Lead to it with \"next\", \"choose\" or \"catch\", or leave it out.",
						  "nothing leads to this step");
	}
}

static void
check_left(const WfGraph *graph, const bool *reached, WfIssues *issues)
{
	bool *left = find_left(graph);
	int	  n = graph->def.nsteps;
	int	  stuck = 0;

	while (stuck < n && (left[stuck] || !reached[stuck]))
		stuck++;
	if (stuck < n)
	{
		/* after n steps the token is in the loop itself */
		for (int i = 0; i < n; i++)
			stuck = first_target(&graph->def.steps[stuck]);
		wf_json_issue(issues, graph->nodes[stuck],
					  "In a loop some step has to wait, to call out, or to lead out of it.",
					  "is in a loop that never ends");
	}
	pfree(left);
}

static void
check_uses(const WfGraph *graph, const Ways *ways, const bool *reached, WfIssues *issues)
{
	bool *handled = find_handled(graph, ways);

	for (int i = 0; i < graph->nuses; i++)
	{
		const WfUse *use = &graph->uses[i];

		if (handled[use->step] || !reached[use->step])
			continue;
		if (use->variable == WF_VAR_CAUGHT)
			wf_json_issue(issues, use->node,
						  "It is there in the steps that a \"catch\" leads to, and in those after them.",
						  "\"$caught\" is never there: no handler leads to this step");
		else
			wf_json_warning(issues, use->node,
							"It is the error of the attempt before, or of what a \"catch\" has caught.",
							"\"$%s\" is null: the step does nothing that is tried again, and no handler leads to it",
							wf_variable_name(use->variable));
	}
	pfree(handled);
}

void
wf_graph_check(WfGraph *graph, WfIssues *issues)
{
	Ways  ways = find_ways(graph);
	bool *reached = find_reached(graph, &ways);

	check_reached(graph, reached, issues);
	check_left(graph, reached, issues);
	check_uses(graph, &ways, reached, issues);
	pfree(reached);
}
