/*
 * ways.c
 *		The ways between steps as lists of edges, and the loops in them.
 */
#include "postgres.h"

#include "model/ways.h"

void
wf_ways_add(WfWays *ways, int from, int to)
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

static int
compare_edges(const void *a, const void *b)
{
	const WfEdge *left = a;
	const WfEdge *right = b;

	return left->from != right->from ? left->from - right->from : left->to - right->to;
}

void
wf_ways_sort(WfWays *ways, int nsteps)
{
	int at = 0;

	if (ways->n > 1)
		qsort(ways->edges, ways->n, sizeof(WfEdge), compare_edges);
	ways->first = palloc((nsteps + 1) * sizeof(int));
	for (int i = 0; i <= nsteps; i++)
	{
		while (at < ways->n && ways->edges[at].from < i)
			at++;
		ways->first[i] = at;
	}
}

static void
add_targets(WfWays *ways, int from, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
		wf_ways_add(ways, from, targets->steps[i]);
}

WfWays
wf_ways_in_lists(const WfDefinition *def)
{
	WfWays ways = {0};

	for (int i = 0; i < def->nsteps; i++)
	{
		const WfStep *step = &def->steps[i];

		if (step->route.kind == WF_ROUTE_NEXT)
			add_targets(&ways, i, &step->route.next);
		for (int b = 0; b < step->route.nbranches; b++)
			add_targets(&ways, i, &step->route.branches[b].next);
		for (int e = 0; e < step->nentries; e++)
			add_targets(&ways, i, &step->entries[e].next);
	}
	wf_ways_sort(&ways, def->nsteps);
	return ways;
}

WfWays
wf_ways_reversed(const WfWays *ways, int nsteps)
{
	WfWays reversed = {0};

	for (int i = 0; i < ways->n; i++)
		wf_ways_add(&reversed, ways->edges[i].to, ways->edges[i].from);
	wf_ways_sort(&reversed, nsteps);
	return reversed;
}

void
wf_ways_follow(const WfWays *ways, int nsteps, bool *reached)
{
	int *pending = palloc(Max(nsteps, 1) * sizeof(int));
	int	 npending = 0;

	for (int i = 0; i < nsteps; i++)
	{
		if (reached[i])
			pending[npending++] = i;
	}
	while (npending > 0)
	{
		int step = pending[--npending];

		for (int i = ways->first[step]; i < ways->first[step + 1]; i++)
		{
			int to = ways->edges[i].to;

			if (reached[to])
				continue;
			reached[to] = true;
			pending[npending++] = to;
		}
	}
	pfree(pending);
}

/* ---- loops ---- */

/* The search of Tarjan, without recursion: processes have up to thousands of steps in a row. */
typedef struct Search
{
	const WfWays *ways;
	WfComponents *found;
	int			 *number; /* in which order steps were met, from 1; 0: not yet */
	int			 *low;	  /* the lowest number that is reached from a step, of those on the stack */
	int			 *next;	  /* the next edge of a step to be looked at */
	int			 *path;	  /* the steps from the root to the one that is looked at */
	int			  npath;
	int			 *stack; /* steps whose component is not known yet */
	int			  nstack;
	int			  met;
	int			  ordered;
} Search;

static void
enter(Search *search, int step)
{
	search->number[step] = search->low[step] = ++search->met;
	search->next[step] = search->ways->first[step];
	search->path[search->npath++] = step;
	search->stack[search->nstack++] = step;
}

static bool
leads_to_itself(const WfWays *ways, int step)
{
	for (int i = ways->first[step]; i < ways->first[step + 1]; i++)
	{
		if (ways->edges[i].to == step)
			return true;
	}
	return false;
}

/* All that lies on the stack from `root` on is a component. */
static void
close_component(Search *search, int root)
{
	WfComponents *found = search->found;
	int			  size = 0;
	int			  step;

	do
	{
		step = search->stack[--search->nstack];
		found->of[step] = found->n;
		found->order[search->ordered++] = step;
		size++;
	} while (step != root);
	found->loops[found->n++] = size > 1 || leads_to_itself(search->ways, root);
}

static void
leave(Search *search, int step)
{
	search->npath--;
	if (search->low[step] == search->number[step])
		close_component(search, step);
	if (search->npath > 0)
	{
		int before = search->path[search->npath - 1];

		search->low[before] = Min(search->low[before], search->low[step]);
	}
}

static void
search_from(Search *search, int root)
{
	enter(search, root);
	while (search->npath > 0)
	{
		int step = search->path[search->npath - 1];
		int to;

		if (search->next[step] == search->ways->first[step + 1])
		{
			leave(search, step);
			continue;
		}
		to = search->ways->edges[search->next[step]++].to;
		if (search->number[to] == 0)
			enter(search, to);
		else if (search->found->of[to] < 0)
			search->low[step] = Min(search->low[step], search->number[to]);
	}
}

WfComponents
wf_ways_components(const WfWays *ways, int nsteps)
{
	int			 room = Max(nsteps, 1);
	WfComponents found = {.of = palloc(room * sizeof(int)),
						  .loops = palloc0(room * sizeof(bool)),
						  .order = palloc(room * sizeof(int))};
	Search		 search = {.ways = ways,
						   .found = &found,
						   .number = palloc0(room * sizeof(int)),
						   .low = palloc(room * sizeof(int)),
						   .next = palloc(room * sizeof(int)),
						   .path = palloc(room * sizeof(int)),
						   .stack = palloc(room * sizeof(int))};

	for (int i = 0; i < nsteps; i++)
		found.of[i] = -1;
	for (int i = 0; i < nsteps; i++)
	{
		if (search.number[i] == 0)
			search_from(&search, i);
	}
	pfree(search.number);
	pfree(search.low);
	pfree(search.next);
	pfree(search.path);
	pfree(search.stack);
	return found;
}
