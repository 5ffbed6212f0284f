/*
 * flow_check.c
 *		Steps that nothing reaches, loops that nothing leaves, branches that run into each other.
 */
#include "postgres.h"

#include "model/flow.h"
#include "model/issue.h"
#include "model/process_handlers.h"
#include "model/variable.h"
#include "model/ways.h"

/* Find all ways of tokens: those in lists, into sub-processes, and those that were meant. */
static WfWays
find_ways(const WfGraph *graph, const WfWays *in_lists)
{
	const WfDefinition *def = &graph->def;
	WfWays				ways = {0};

	for (int i = 0; i < in_lists->n; i++)
		wf_ways_add(&ways, in_lists->edges[i].from, in_lists->edges[i].to);
	for (int i = 0; i < def->nsteps; i++)
	{
		if (def->steps[i].inner > 0)
			wf_ways_add(&ways, i, def->lists[def->steps[i].inner].start);
	}
	for (int i = 0; i < graph->nedges; i++)
		wf_ways_add(&ways, graph->edges[i].from, graph->edges[i].to);
	wf_ways_sort(&ways, def->nsteps);
	return ways;
}

/* ---- what is reached ---- */

static bool *
find_reached(const WfGraph *graph, const WfWays *ways)
{
	bool *reached = palloc0(graph->def.nsteps * sizeof(bool));

	reached[graph->def.start] = true;
	for (int i = 0; i < graph->def.nstarts; i++)
		reached[graph->def.starts[i].step] = true;
	wf_ways_follow(ways, graph->def.nsteps, reached);
	return reached;
}

/* Which steps can a token reach that a handler has begun? */
static bool *
find_handled(const WfGraph *graph, const WfWays *ways)
{
	bool *handled = palloc0(graph->def.nsteps * sizeof(bool));

	for (int i = 0; i < graph->def.nsteps; i++)
	{
		const WfStep *step = &graph->def.steps[i];

		for (int e = step->nwaits; e < step->nentries; e++)
		{
			const WfTargets *next = &step->entries[e].next;

			for (int t = 0; t < next->n; t++)
				handled[next->steps[t]] = true;
		}
	}
	wf_ways_follow(ways, graph->def.nsteps, handled);
	return handled;
}

static void
check_reached(const WfGraph *graph, const bool *reached, WfIssues *issues)
{
	const WfDefinition *def = &graph->def;

	for (int i = 0; i < def->nsteps; i++)
	{
		int scope = def->lists[def->steps[i].list].parent;

		/* a step without a name of its own cannot be reached, and has its own issue */
		if (reached[i] || wf_definition_step(def, def->steps[i].name) != i)
			continue;
		/* nor can what is in a sub-process that has one */
		if (scope >= 0 && !reached[scope])
			continue;
		/* the way there may be one that could not be read */
		if (wf_graph_is_unread(graph, i))
			continue;
		wf_json_issue(issues, graph->nodes[i],
					  "Lead to it with \"next\", \"choose\", \"first_of\" or \"catch\", or leave it out.",
					  "nothing leads to this step");
	}
}

/* May a handler that could not be read lead to the step, or to one around it? */
static bool
may_be_handled(const WfGraph *graph, int step)
{
	for (; step >= 0 && step != graph->def.process_step; step = graph->def.lists[graph->def.steps[step].list].parent)
	{
		if (wf_graph_is_unread(graph, step))
			return true;
	}
	return false;
}

static void
check_uses(const WfGraph *graph, const WfWays *ways, const bool *reached, WfIssues *issues)
{
	bool *handled = find_handled(graph, ways);

	for (int i = 0; i < graph->nuses; i++)
	{
		const WfUse *use = &graph->uses[i];

		if (handled[use->step] || !reached[use->step] || may_be_handled(graph, use->step))
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

/* ---- loops that never end ---- */

typedef struct Loops
{
	const WfDefinition *def;
	const WfComponents *components;
	bool				conditions; /* waiting for a condition takes time, too */
	bool			   *slow;		/* components in which some step takes time */
	bool			   *left;		/* steps from which tokens come to an end, or to a step that takes time */
} Loops;

static bool is_pure_list(const Loops *loops, const WfStepList *list);

/* Does a token rest at the step? It does not if it finds a condition true that it waits for. */
static bool
rests(const Loops *loops, const WfStep *step)
{
	for (int i = 0; i < step->nwaits && !loops->conditions; i++)
	{
		if (step->entries[i].event.kind == WF_EVENT_CONDITION)
			return false;
	}
	return step->nwaits > 0 || step->first_of || step->async;
}

/* Does every token pass the step within one transaction? */
static bool
is_pure(const Loops *loops, const WfStep *step)
{
	if (rests(loops, step) || step->success != NULL)
		return false;
	switch (step->action)
	{
		case WF_ACTION_STEPS:
		case WF_ACTION_EACH:
			return step->inner > 0 && is_pure_list(loops, &loops->def->lists[step->inner]);
		case WF_ACTION_SEND:
			return step->send->message_id == NULL;
		default:
			return step->action == WF_ACTION_NONE || step->action == WF_ACTION_SET;
	}
}

/* Does a token fail if no branch is true? */
static bool
may_choose_nothing(const WfRoute *route)
{
	if (route->kind == WF_ROUTE_CHOOSE)
		return route->nbranches == 0 || route->branches[route->nbranches - 1].when != NULL;
	for (int i = 0; i < route->nbranches; i++)
	{
		if (route->branches[i].when == NULL)
			return false;
	}
	return route->kind == WF_ROUTE_SPLIT;
}

/* Does every token pass the list at once, up to its end? */
static bool
is_pure_list(const Loops *loops, const WfStepList *list)
{
	for (int i = list->first; i < list->first + list->n; i++)
	{
		const WfStep *step = &loops->def->steps[i];

		if (!is_pure(loops, step) || step->join.kind != WF_JOIN_NONE || may_choose_nothing(&step->route) ||
			step->route.kind == WF_ROUTE_ERROR || step->route.kind == WF_ROUTE_ABORT)
			return false;
	}
	return true;
}

static bool
all_left(const Loops *loops, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
	{
		if (!loops->left[targets->steps[i]])
			return false;
	}
	return true;
}

/*
 * Does a branch of a split that is always taken go on for ever, or all of those of which one is
 * taken?
 */
static bool
leaves_split(const Loops *loops, const WfRoute *route)
{
	bool always = false;
	bool other = false;

	for (int i = 0; i < route->nbranches; i++)
	{
		bool left = all_left(loops, &route->branches[i].next);

		if (route->branches[i].when != NULL || route->branches[i].otherwise)
			other = other || left;
		else if (!left)
			return false;
		else
			always = true;
	}
	return always || other || may_choose_nothing(route);
}

/* Does some event lead out, of those of which one happens? */
static bool
leaves_first_of(const Loops *loops, const WfStep *step)
{
	for (int i = 0; i < step->nwaits; i++)
	{
		if (all_left(loops, &step->entries[i].next))
			return true;
	}
	return false;
}

/*
 * Do tokens leave the step for an end, or for a step that takes time? A join takes time if its
 * tokens come from steps that do.
 */
static bool
leaves(const Loops *loops, int index)
{
	const WfStep  *step = &loops->def->steps[index];
	const WfRoute *route = &step->route;

	if (!is_pure(loops, step) || step->join.kind == WF_JOIN_COUNT)
		return true;
	if (step->join.kind == WF_JOIN_ALL && loops->slow[loops->components->of[index]])
		return true;
	if (step->first_of)
		return leaves_first_of(loops, step);
	switch (route->kind)
	{
		case WF_ROUTE_NEXT:
			return all_left(loops, &route->next);
		case WF_ROUTE_CHOOSE:
			if (may_choose_nothing(route))
				return true;
			for (int i = 0; i < route->nbranches; i++)
			{
				if (all_left(loops, &route->branches[i].next))
					return true;
			}
			return false;
		case WF_ROUTE_SPLIT:
			return leaves_split(loops, route);
		default:
			return true;
	}
}

static void
find_left(const WfGraph *graph, const WfWays *in_lists, Loops *loops)
{
	int	   nsteps = graph->def.nsteps;
	WfWays back = wf_ways_reversed(in_lists, nsteps);
	int	  *pending = palloc(nsteps * sizeof(int));
	int	   npending = 0;

	/* a way that could not be read may lead anywhere */
	for (int i = 0; i < graph->nedges; i++)
		loops->left[graph->edges[i].from] = true;
	for (int i = 0; i < nsteps; i++)
	{
		loops->left[i] = loops->left[i] || leaves(loops, i);
		if (loops->left[i])
			pending[npending++] = i;
	}
	while (npending > 0)
	{
		int step = pending[--npending];

		for (int i = back.first[step]; i < back.first[step + 1]; i++)
		{
			int before = back.edges[i].to;

			if (loops->left[before] || !leaves(loops, before))
				continue;
			loops->left[before] = true;
			pending[npending++] = before;
		}
	}
	pfree(pending);
}

/* The first of these steps that is not left, or -1. */
static int
first_not_left(const Loops *loops, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
	{
		if (!loops->left[targets->steps[i]])
			return targets->steps[i];
	}
	return -1;
}

/* Of a step that is not left, a step to which it leads and that is not left either. */
static int
next_not_left(const Loops *loops, int index)
{
	const WfStep *step = &loops->def->steps[index];
	int			  next = first_not_left(loops, &step->route.next);

	for (int b = 0; next < 0 && b < step->route.nbranches; b++)
		next = first_not_left(loops, &step->route.branches[b].next);
	for (int e = 0; next < 0 && e < step->nwaits; e++)
		next = first_not_left(loops, &step->entries[e].next);
	return next >= 0 ? next : index;
}

/*
 * Tell of a loop that tokens never leave, and in which they never rest. Returns false if there is
 * one. Whether a condition makes them rest is known only while they run, so a loop with no other
 * rest is allowed; of that, tell with a warning.
 */
static bool
check_left(const WfGraph *graph, const WfWays *in_lists, const bool *reached, bool conditions, WfIssues *issues)
{
	int			 n = graph->def.nsteps;
	WfComponents components = wf_ways_components(in_lists, n);
	Loops		 loops = {.def = &graph->def,
						  .components = &components,
						  .conditions = conditions,
						  .slow = palloc0(n * sizeof(bool)),
						  .left = palloc0(n * sizeof(bool))};
	int			 stuck = 0;

	for (int i = 0; i < n; i++)
	{
		if (!is_pure(&loops, &graph->def.steps[i]))
			loops.slow[components.of[i]] = true;
	}
	find_left(graph, in_lists, &loops);
	while (stuck < n && (loops.left[stuck] || !reached[stuck]))
		stuck++;
	if (stuck == n)
		return true;
	/* after n steps the token is in the loop itself */
	for (int i = 0; i < n; i++)
		stuck = next_not_left(&loops, stuck);
	if (conditions)
		wf_json_issue(issues, graph->nodes[stuck],
					  "In a loop some step has to wait, to call out, or to lead out of it.",
					  "is in a loop that never ends");
	else
		wf_json_warning(issues, graph->nodes[stuck],
						"See to it that a condition in it becomes false, or that it waits for something else as well.",
						"is in a loop that goes on for as long as its conditions are true");
	return false;
}

/* ---- branches that run into each other ---- */

typedef struct Siblings
{
	const WfGraph *graph;
	WfIssues	  *issues;
	int			  *fork; /* the last fork that leads to a step, numbered from 1 */
	bool		  *told;
	int			   nforks;
} Siblings;

/* Does the branch go on to another branch of this fork without saying so? */
static void
check_branch(Siblings *siblings, int fork, int step)
{
	const WfGraph *graph = siblings->graph;
	int			   next;

	if (siblings->told[step] || wf_step_has_route(graph->nodes[step]))
		return;
	next = wf_graph_following(graph, step);
	if (next < 0 || siblings->fork[next] != siblings->nforks)
		return;
	siblings->told[step] = true;
	wf_json_issue(siblings->issues, graph->nodes[step], "Say where it goes with \"next\", \"choose\" or \"end\".",
				  "would go on to \"%s\", another branch of the fork in \"%s\"",
				  wf_issue_clip(graph->def.steps[next].name), wf_issue_clip(graph->def.steps[fork].name));
}

static void
mark_branches(Siblings *siblings, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
		siblings->fork[targets->steps[i]] = siblings->nforks;
}

static void
check_branches(Siblings *siblings, int fork, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
		check_branch(siblings, fork, targets->steps[i]);
}

static void
check_fork(Siblings *siblings, int fork, const WfTargets *targets)
{
	if (targets->n < 2)
		return;
	siblings->nforks++;
	mark_branches(siblings, targets);
	check_branches(siblings, fork, targets);
}

static void
check_split(Siblings *siblings, int fork, const WfRoute *route)
{
	siblings->nforks++;
	for (int i = 0; i < route->nbranches; i++)
		mark_branches(siblings, &route->branches[i].next);
	for (int i = 0; i < route->nbranches; i++)
		check_branches(siblings, fork, &route->branches[i].next);
}

static void
check_siblings(const WfGraph *graph, WfIssues *issues)
{
	int		 n = graph->def.nsteps;
	Siblings siblings = {.graph = graph,
						 .issues = issues,
						 .fork = palloc0(n * sizeof(int)),
						 .told = palloc0(n * sizeof(bool))};

	for (int i = 0; i < n; i++)
	{
		const WfStep *step = &graph->def.steps[i];

		if (step->route.kind == WF_ROUTE_SPLIT)
			check_split(&siblings, i, &step->route);
		else if (step->route.kind == WF_ROUTE_NEXT)
			check_fork(&siblings, i, &step->route.next);
		for (int b = 0; step->route.kind == WF_ROUTE_CHOOSE && b < step->route.nbranches; b++)
			check_fork(&siblings, i, &step->route.branches[b].next);
		for (int e = 0; e < step->nentries; e++)
			check_fork(&siblings, i, &step->entries[e].next);
	}
}

void
wf_flow_check(WfGraph *graph, WfIssues *issues)
{
	WfWays in_lists = wf_ways_in_lists(&graph->def);
	WfWays ways = find_ways(graph, &in_lists);
	bool  *reached = find_reached(graph, &ways);

	check_reached(graph, reached, issues);
	if (check_left(graph, &in_lists, reached, true, issues) && graph->def.has_conditions && issues->warnings != NULL)
		(void) check_left(graph, &in_lists, reached, false, issues);
	check_siblings(graph, issues);
	check_uses(graph, &ways, reached, issues);
	pfree(reached);
}
