/*
 * flow_joins.c
 *		From where joins are reached, where new rounds begin, and whether joins can fill.
 *
 * Routes do not leave a list, so each list has its own joins. All of this is worked out once, when a
 * definition is compiled; moving a token only compares slots.
 */
#include "postgres.h"

#include "model/flow.h"
#include "model/ways.h"

#define MAX_JOINS 1000 /* in one list */

#define WORD_BITS 64

/* more tokens than any join waits for */
#define MANY INT64CONST(1000000000000)

typedef struct Flow
{
	WfDefinition *def;
	WfWays		  ways;
	WfWays		  back;
	WfComponents  components;
	bool		 *begins; /* at which steps may a token begin in their list? */
	uint64		**reach;  /* by list and component: the joins of the list that are reached from it, as bits */
} Flow;

/* ---- slots ---- */

/* Give the joins of a list their slots. Returns false, with an issue, if there are too many. */
static bool
number_joins(WfGraph *graph, WfStepList *list, WfIssues *issues)
{
	int njoins = 0;

	list->joins = palloc(Max(list->n, 1) * sizeof(int));
	for (int i = list->first; i < list->first + list->n; i++)
	{
		WfStep *step = &graph->def.steps[i];

		if (step->join.kind == WF_JOIN_NONE)
			continue;
		step->join.slot = njoins;
		list->joins[njoins++] = i;
	}
	list->njoins = njoins;
	if (njoins <= MAX_JOINS)
		return true;
	wf_json_issue(issues, graph->nodes[list->joins[MAX_JOINS]], "Put some of the steps into a step with \"steps\".",
				  "is one join too many: a list has up to %d", MAX_JOINS);
	return false;
}

/* Find where tokens may begin: at the start of each list, and where messages start an instance. */
static void
find_begins(Flow *flow)
{
	const WfDefinition *def = flow->def;

	flow->begins = palloc0(def->nsteps * sizeof(bool));
	for (int i = 0; i < def->nlists; i++)
		flow->begins[def->lists[i].start] = true;
	for (int i = 0; i < def->nstarts; i++)
		flow->begins[def->starts[i].step] = true;
}

/* ---- which joins are reached ---- */

static int
words_of(const WfStepList *list)
{
	return (list->njoins + WORD_BITS - 1) / WORD_BITS;
}

/* Add what is reached over the ways that lead from a step. */
static void
add_reached(Flow *flow, int index, uint64 *bits, int nwords)
{
	for (int i = flow->ways.first[index]; i < flow->ways.first[index + 1]; i++)
	{
		int			  to = flow->ways.edges[i].to;
		const WfJoin *join = &flow->def->steps[to].join;
		const uint64 *behind = flow->reach[flow->components.of[to]];

		if (join->kind != WF_JOIN_NONE)
			bits[join->slot / WORD_BITS] |= UINT64CONST(1) << (join->slot % WORD_BITS);
		for (int w = 0; w < nwords; w++)
			bits[w] |= behind[w];
	}
}

/*
 * Find the joins that are reached from each component. Steps come in an order in which all that a
 * component leads to is known before.
 */
static void
find_reached(Flow *flow)
{
	const WfDefinition *def = flow->def;

	flow->reach = palloc0(flow->components.n * sizeof(uint64 *));
	for (int i = 0; i < def->nsteps; i++)
	{
		int index = flow->components.order[i];
		int component = flow->components.of[index];
		int nwords = words_of(&def->lists[def->steps[index].list]);

		if (flow->reach[component] == NULL)
			flow->reach[component] = palloc0(Max(nwords, 1) * sizeof(uint64));
		add_reached(flow, index, flow->reach[component], nwords);
	}
}

static bool
reaches(const Flow *flow, int component, int slot)
{
	return (flow->reach[component][slot / WORD_BITS] >> (slot % WORD_BITS) & 1) != 0;
}

static WfSlots
slots_of(const Flow *flow, int component, int njoins)
{
	WfSlots slots = {0};

	for (int slot = 0; slot < njoins; slot++)
		slots.n += reaches(flow, component, slot);
	if (slots.n == 0)
		return slots;
	slots.slots = palloc(slots.n * sizeof(int));
	slots.n = 0;
	for (int slot = 0; slot < njoins; slot++)
	{
		if (reaches(flow, component, slot))
			slots.slots[slots.n++] = slot;
	}
	return slots;
}

/* Steps of a component reach the same joins, and share what says so. */
static void
set_reaches(Flow *flow)
{
	WfDefinition *def = flow->def;
	int			  last = -1;

	for (int i = 0; i < def->nsteps; i++)
	{
		WfStep *step = &def->steps[flow->components.order[i]];
		int		component = flow->components.of[step->index];

		if (last >= 0 && flow->components.of[last] == component)
			step->reaches = def->steps[last].reaches;
		else
			step->reaches = slots_of(flow, component, def->lists[step->list].njoins);
		last = step->index;
	}
}

/* ---- where new rounds begin ---- */

/*
 * Dominators by Cooper, Harvey and Kennedy: of each step of a list the last step before it through
 * which all ways lead.
 */
typedef struct Dominators
{
	int *order;	  /* steps of the list, in postorder */
	int *number;  /* the place of a step in it, by step; -1: it is not reached */
	int *nearest; /* the nearest dominator, by step */
	int	 n;
	int	 root; /* what stands before the steps at which tokens begin: the number of no step */
} Dominators;

/* Append to the postorder all that is reached from a step and was not seen yet. */
static void
append_postorder(const Flow *flow, const WfStepList *list, int from, bool *seen, Dominators *dominators)
{
	int *path = palloc(list->n * sizeof(int));
	int *next = palloc(list->n * sizeof(int)); /* by place in the list */
	int	 npath = 0;

	path[npath++] = from;
	next[from - list->first] = flow->ways.first[from];
	seen[from - list->first] = true;
	while (npath > 0)
	{
		int step = path[npath - 1];
		int at = step - list->first;
		int to;

		if (next[at] == flow->ways.first[step + 1])
		{
			npath--;
			dominators->number[step] = dominators->n;
			dominators->order[dominators->n++] = step;
			continue;
		}
		to = flow->ways.edges[next[at]++].to;
		if (seen[to - list->first])
			continue;
		seen[to - list->first] = true;
		next[to - list->first] = flow->ways.first[to];
		path[npath++] = to;
	}
	pfree(path);
	pfree(next);
}

/* Find the postorder of all steps that are reached; the root comes last. */
static void
find_postorder(const Flow *flow, const WfStepList *list, Dominators *dominators)
{
	bool *seen = palloc0(list->n * sizeof(bool));

	dominators->n = 0;
	for (int i = list->first; i < list->first + list->n; i++)
	{
		if (flow->begins[i] && !seen[i - list->first])
			append_postorder(flow, list, i, seen, dominators);
	}
	dominators->number[dominators->root] = dominators->n;
	dominators->nearest[dominators->root] = dominators->root;
	pfree(seen);
}

static int
common_dominator(const Dominators *dominators, int a, int b)
{
	while (a != b)
	{
		while (dominators->number[a] < dominators->number[b])
			a = dominators->nearest[a];
		while (dominators->number[b] < dominators->number[a])
			b = dominators->nearest[b];
	}
	return a;
}

/* The nearest dominator as far as those of the steps before are known. */
static int
judge_dominator(const Flow *flow, const Dominators *dominators, int step)
{
	int nearest = flow->begins[step] ? dominators->root : -1;

	for (int i = flow->back.first[step]; i < flow->back.first[step + 1]; i++)
	{
		int before = flow->back.edges[i].to;

		if (dominators->number[before] < 0 || dominators->nearest[before] < 0)
			continue;
		nearest = nearest < 0 ? before : common_dominator(dominators, before, nearest);
	}
	return nearest;
}

static void
find_dominators(const Flow *flow, const WfStepList *list, Dominators *dominators)
{
	bool changed = true;

	for (int i = list->first; i < list->first + list->n; i++)
		dominators->number[i] = dominators->nearest[i] = -1;
	find_postorder(flow, list, dominators);
	while (changed)
	{
		changed = false;
		for (int i = dominators->n - 1; i >= 0; i--)
		{
			int step = dominators->order[i];
			int nearest = judge_dominator(flow, dominators, step);

			changed = changed || nearest != dominators->nearest[step];
			dominators->nearest[step] = nearest;
		}
	}
}

static void
add_slot(WfSlots *slots, int slot)
{
	/* room grows by powers of two */
	if (slots->n == 0)
		slots->slots = palloc(sizeof(int));
	else if ((slots->n & (slots->n - 1)) == 0)
		slots->slots = repalloc(slots->slots, slots->n * 2 * sizeof(int));
	slots->slots[slots->n++] = slot;
}

/* The steps through which every way to a join that counts leads begin a new round of it. */
static void
set_renews(Flow *flow, const WfStepList *list, Dominators *dominators)
{
	WfDefinition *def = flow->def;
	bool		  counts = false;

	for (int slot = 0; slot < list->njoins; slot++)
		counts = counts || def->steps[list->joins[slot]].join.kind == WF_JOIN_COUNT;
	if (!counts)
		return;
	find_dominators(flow, list, dominators);
	for (int slot = 0; slot < list->njoins; slot++)
	{
		int step = list->joins[slot];

		if (def->steps[step].join.kind != WF_JOIN_COUNT || dominators->number[step] < 0)
			continue;
		for (step = dominators->nearest[step]; step != dominators->root; step = dominators->nearest[step])
			add_slot(&def->steps[step].renews, slot);
	}
}

static void
find_rounds(Flow *flow)
{
	int		   nsteps = flow->def->nsteps;
	Dominators dominators = {.order = palloc(nsteps * sizeof(int)),
							 .number = palloc((nsteps + 1) * sizeof(int)),
							 .nearest = palloc((nsteps + 1) * sizeof(int)),
							 .root = nsteps};

	for (int i = 0; i < flow->def->nlists; i++)
		set_renews(flow, &flow->def->lists[i], &dominators);
	pfree(dominators.order);
	pfree(dominators.number);
	pfree(dominators.nearest);
}

/* ---- whether joins can fill ---- */

static int64
count_targets(const int64 *tokens, const WfTargets *targets)
{
	int64 n = 0;

	for (int i = 0; i < targets->n; i++)
		n += tokens[targets->steps[i]];
	return Min(n, MANY);
}

static int64
count_split(const int64 *tokens, const WfRoute *route)
{
	int64 n = 0;
	int64 otherwise = 0;

	for (int i = 0; i < route->nbranches; i++)
	{
		if (route->branches[i].otherwise)
			otherwise = count_targets(tokens, &route->branches[i].next);
		else
			n += count_targets(tokens, &route->branches[i].next);
	}
	return Min(Max(n, otherwise), MANY);
}

static int64
count_route(const int64 *tokens, const WfRoute *route)
{
	int64 most = 0;

	if (route->kind == WF_ROUTE_NEXT)
		return count_targets(tokens, &route->next);
	if (route->kind == WF_ROUTE_SPLIT)
		return count_split(tokens, route);
	for (int i = 0; i < route->nbranches; i++)
		most = Max(most, count_targets(tokens, &route->branches[i].next));
	return most;
}

/* How often can a handler that does not interrupt begin? */
static int64
count_begins(const WfEvent *event)
{
	if (event->kind == WF_EVENT_EVERY && event->times > 0)
		return event->times;
	return event->kind == WF_EVENT_AFTER || event->kind == WF_EVENT_UNTIL ? 1 : MANY;
}

/*
 * How many tokens can a token at this step become, of those that are counted in `tokens`? It goes on
 * by its route, an event that it waits for, or a handler that interrupts; and others begin beside.
 */
static int64
count_step(const int64 *tokens, const WfStep *step)
{
	int64 most = count_route(tokens, &step->route);
	int64 beside = 0;

	for (int i = 0; i < step->nentries; i++)
	{
		const WfEntry *entry = &step->entries[i];
		int64		   n = count_targets(tokens, &entry->next);

		if (i < step->nwaits || entry->interrupt)
			most = Max(most, n);
		else if (n > 0)
			beside =
				n > MANY / count_begins(&entry->event) ? MANY : Min(beside + n * count_begins(&entry->event), MANY);
	}
	return Min(most + beside, MANY);
}

/*
 * How many tokens can come to a join? Joins before it let all pass here, so it may be fewer; in
 * loops there is no limit.
 */
static int64
count_arrivals(const Flow *flow, const WfStepList *list, const WfStep *join, int64 *tokens)
{
	const WfComponents *components = &flow->components;
	int64				most = 0;

	for (int i = 0; i < flow->def->nsteps; i++)
	{
		const WfStep *step = &flow->def->steps[components->order[i]];
		int			  component = components->of[step->index];

		if (step->list != join->list)
			continue;
		if (!components->loops[component])
			tokens[step->index] = step == join ? 1 : count_step(tokens, step);
		else if (reaches(flow, component, join->join.slot))
			return MANY;
		else
			tokens[step->index] = 0;
	}
	for (int i = list->first; i < list->first + list->n; i++)
	{
		if (flow->begins[i])
			most = Max(most, tokens[i]);
	}
	return most;
}

/* Is it known of all routes and handlers where they lead? */
static bool
all_lead(const WfDefinition *def)
{
	for (int i = 0; i < def->nsteps; i++)
	{
		const WfStep *step = &def->steps[i];

		if (step->route.kind == WF_ROUTE_NEXT && step->route.next.n == 0)
			return false;
		for (int b = 0; b < step->route.nbranches; b++)
		{
			if (step->route.branches[b].next.n == 0)
				return false;
		}
		for (int e = step->first_of ? 0 : step->nwaits; e < step->nentries; e++)
		{
			if (step->entries[e].next.n == 0)
				return false;
		}
	}
	return true;
}

static void
check_fill(const WfGraph *graph, const Flow *flow, WfIssues *issues)
{
	int64 *tokens = palloc0(flow->def->nsteps * sizeof(int64));

	for (int i = 0; i < flow->def->nsteps; i++)
	{
		const WfStep *step = &flow->def->steps[i];
		int64		  most;

		if (step->join.kind != WF_JOIN_COUNT || step->join.n < 2)
			continue;
		most = count_arrivals(flow, &flow->def->lists[step->list], step, tokens);
		if (most < step->join.n)
			wf_json_issue(issues, wf_json_member(graph->nodes[i], "join"),
						  "Tokens become more in forks; \"all\" waits for as many as can come.",
						  "waits for %d tokens, but no more than " INT64_FORMAT " can come", step->join.n, most);
	}
	pfree(tokens);
}

void
wf_flow_joins(WfGraph *graph, WfIssues *issues)
{
	WfDefinition *def = &graph->def;
	Flow		  flow = {.def = def};

	for (int i = 0; i < def->nlists; i++)
	{
		if (!number_joins(graph, &def->lists[i], issues))
			return;
	}
	find_begins(&flow);
	flow.ways = wf_ways_in_lists(def);
	flow.back = wf_ways_reversed(&flow.ways, def->nsteps);
	flow.components = wf_ways_components(&flow.ways, def->nsteps);
	find_reached(&flow);
	set_reaches(&flow);
	find_rounds(&flow);
	if (all_lead(def))
		check_fill(graph, &flow, issues);
}
