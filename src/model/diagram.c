/*
 * diagram.c
 *		A definition as the text of a flowchart, in the language of Mermaid.
 *
 * All nodes come first, those within a scope in its subgraph, and then all ways: a node belongs to where it is first named.
 * Steps are told by their numbers (s0, s1, ...), since names may have any characters. Ways are those of the compiled
 * definition; what stands beside them is quoted from the JSON.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "model/diagram.h"
#include "model/diagram_label.h"

/* What tokens do at a step, or have done: the first that there is gives it its looks. */
typedef struct State
{
	const char *name;
	const char *told;
	const char *class;
} State;

static const State states[] = {
	{"incident", "incident", "incident"},
	{"retrying", "retrying", "retrying"},
	{"cancelling", "cancelling", "cancelling"},
	{"waiting", "waiting", "waiting"},
	{"under way", "under way", "under_way"},
	{"calling", "calling", "calling"},
	{"ready", "ready", "ready"},
	{"FAILED", "FAILED", "ended"},
	{"SYSTEM_ERROR", "SYSTEM_ERROR", "ended"},
	{"TIMED_OUT", "TIMED_OUT", "ended"},
	{"DIED", "DIED", "ended"},
	{"CANCELLED", "CANCELLED", "ended"},
	{"SUCCESS", "passed", "passed"},
};

#define NSTATES lengthof(states)
#define PASSED	(NSTATES - 1)

/* of the title of a box, in the units of Mermaid */
#define TITLE_LINE_HEIGHT 20

static const struct
{
	const char *class;
	const char *style;
} styles[] = {
	{"incident", "fill:#fce0dc,stroke:#c5221f,stroke-width:4px,color:#111"},
	{"retrying", "fill:#ffe3c2,stroke:#b45309,stroke-width:3px,color:#111"},
	{"cancelling", "fill:#e3e3e3,stroke:#616161,stroke-width:3px,color:#111"},
	{"waiting", "fill:#fff3c4,stroke:#a37c00,stroke-width:3px,color:#111"},
	{"under_way", "stroke:#1a56b8,stroke-width:3px"},
	{"calling", "fill:#d8e6fd,stroke:#1a56b8,stroke-width:3px,color:#111"},
	{"ready", "fill:#d8e6fd,stroke:#1a56b8,color:#111"},
	{"ended", "fill:#efe3e1,stroke:#8a4b42,stroke-dasharray:4 3,color:#111"},
	{"passed", "fill:#dcf1e0,stroke:#1e7b34,color:#111"},
};

typedef struct Drawing
{
	const WfDiagram	   *diagram;
	const WfDefinition *def;
	const WfJson	  **nodes;	/* the JSON of each step */
	int64			   *counts; /* NSTATES for each step */
	StringInfoData		out;
	StringInfoData		label; /* the one that is being made */
	int					depth;
	int					title_lines; /* most of a box around others */
} Drawing;

/* ---- lines ---- */

static StringInfo
begin_label(Drawing *drawing)
{
	resetStringInfo(&drawing->label);
	return &drawing->label;
}

static void
begin_line(Drawing *drawing)
{
	CHECK_FOR_INTERRUPTS();
	appendStringInfoChar(&drawing->out, '\n');
	appendStringInfoSpaces(&drawing->out, 2 * drawing->depth + 2);
}

/* A node, with the label that was made. Its shape is told by what stands around that. */
static void
put_node(Drawing *drawing, const char *id, int number, const char *before, const char *behind)
{
	begin_line(drawing);
	appendStringInfo(&drawing->out, "%s%d%s\"%s\"%s", id, number, before, drawing->label.data, behind);
}

/* The same of a step with others in it: a box around them. */
static void
put_box(Drawing *drawing, int number)
{
	int lines = 1;

	for (const char *p = drawing->label.data; (p = strstr(p, WF_DIAGRAM_BREAK)) != NULL; p += strlen(WF_DIAGRAM_BREAK))
		lines++;
	drawing->title_lines = Max(drawing->title_lines, lines);
	put_node(drawing, "subgraph s", number, "[", "]");
}

/* A way, with the label that was made, if it is not empty. */
static void
put_way(Drawing *drawing, const char *from_id, int from, bool dashed, const char *to_id, int to)
{
	begin_line(drawing);
	appendStringInfo(&drawing->out, "%s%d %s", from_id, from, dashed ? "-.->" : "-->");
	if (drawing->label.len > 0)
		appendStringInfo(&drawing->out, "|\"%s\"|", drawing->label.data);
	appendStringInfo(&drawing->out, " %s%d", to_id, to);
}

/* ---- what is drawn ---- */

/* Find the JSON of the steps in the list, and in those within. */
static void
find_nodes(Drawing *drawing, const WfJson *steps)
{
	const WfDefinition *def = drawing->def;

	for (int i = 0; i < steps->n; i++)
	{
		const WfJson *node = steps->items[i];
		const WfJson *inner = wf_json_member(node, "steps");
		int			  step = wf_definition_step(def, wf_json_member(node, "step")->text);

		drawing->nodes[step] = node;
		if (def->steps[step].each != NULL)
			drawing->nodes[wf_step_of_item(def, &def->steps[step])->index] = node;
		if (inner != NULL)
			find_nodes(drawing, inner);
	}
}

/* The step that is counted; -1: the definition has none of that name. */
static int
counted_step(const Drawing *drawing, const WfDiagramCount *count)
{
	const WfDefinition *def = drawing->def;
	int					step = wf_definition_step(def, count->step);

	if (step < 0 && def->process_step >= 0 && strcmp(count->step, WF_PROCESS_STEP) == 0)
		step = def->process_step;
	if (step >= 0 && count->of_item)
		step = def->steps[step].each != NULL ? wf_step_of_item(def, &def->steps[step])->index : -1;
	return step;
}

static int
state_of(const WfDiagramCount *count)
{
	for (int i = 0; i < NSTATES; i++)
	{
		if (strcmp(states[i].name, count->state) == 0)
			return i;
	}
	elog(ERROR, "workflow: unknown state \"%s\"", count->state);
}

static void
take_counts(Drawing *drawing)
{
	for (int i = 0; i < drawing->diagram->ncounts; i++)
	{
		const WfDiagramCount *count = &drawing->diagram->counts[i];
		int					  step = counted_step(drawing, count);

		if (step >= 0)
			drawing->counts[step * NSTATES + state_of(count)] += count->n;
	}
}

/* ---- nodes ---- */

static void
append_count(const Drawing *drawing, StringInfo label, const State *state, int64 n)
{
	if (drawing->diagram->living || n > 1)
		appendStringInfo(label, INT64_FORMAT " ", n);
	wf_diagram_text(label, state->told);
}

/* What tokens do there, in a line of the label. */
static void
append_counts(const Drawing *drawing, StringInfo label, int step)
{
	const int64 *counts = drawing->counts + step * NSTATES;
	bool		 told = false;

	for (int i = 0; i < NSTATES; i++)
	{
		if (counts[i] == 0 || (i == PASSED && counts[i] == 1))
			continue;
		if (told)
			appendStringInfoString(label, ", ");
		else
			wf_diagram_line(label);
		append_count(drawing, label, &states[i], counts[i]);
		told = true;
	}
}

/* Only a choice, a place where tokens meet, or a wait? */
static void
find_shape_without_action(const WfStep *step, const char **before, const char **behind)
{
	bool branches = step->route.kind == WF_ROUTE_CHOOSE || step->route.kind == WF_ROUTE_SPLIT;

	*before = "(", *behind = ")";
	if (wf_step_entry(step, WF_EVENT_TASK) >= 0)
		*before = "[/", *behind = "\\]";
	else if (wf_step_entry(step, WF_EVENT_TOPIC) >= 0)
		*before = "[/", *behind = "/]";
	else if (step->nwaits > 0)
		*before = "([", *behind = "])";
	else if (step->join.kind != WF_JOIN_NONE)
		*before = "{{", *behind = "}}";
	else if (branches)
		*before = "{", *behind = "}";
}

static void
find_shape(const WfStep *step, const char **before, const char **behind)
{
	*before = "[", *behind = "]";
	switch (step->action)
	{
		case WF_ACTION_NONE:
			find_shape_without_action(step, before, behind);
			break;
		case WF_ACTION_SET:
			*before = "(", *behind = ")";
			break;
		case WF_ACTION_SQL:
			*before = "[(", *behind = ")]";
			break;
		case WF_ACTION_NOTIFY:
		case WF_ACTION_SEND:
			*before = ">", *behind = "]";
			break;
		case WF_ACTION_CALL:
			*before = "[[", *behind = "]]";
			break;
		case WF_ACTION_HTTP:
		case WF_ACTION_STEPS:
		case WF_ACTION_EACH:
			break;
	}
}

/* May the step go on by its route? Not if always an event says where. */
static bool
uses_route(const WfDefinition *def, const WfStep *step)
{
	if (step->is_item || step->index == def->process_step)
		return false;
	for (int i = 0; step->first_of && i < step->nwaits; i++)
	{
		if (step->entries[i].event.when == NULL)
			return false;
	}
	return true;
}

static bool
list_ends(const WfDefinition *def, const WfStepList *list, WfRouteKind kind)
{
	for (int i = list->first; i < list->first + list->n; i++)
	{
		if (def->steps[i].route.kind == kind && uses_route(def, &def->steps[i]))
			return true;
	}
	return false;
}

/* Where ways of the list end: one node for all that only end, one for each error. */
static void
put_ends(Drawing *drawing, int number)
{
	const WfDefinition *def = drawing->def;
	const WfStepList   *list = &def->lists[number];

	if (list_ends(def, list, WF_ROUTE_END))
	{
		appendStringInfoString(begin_label(drawing), number == 0 || list->parent == def->process_step ? "end" : " ");
		put_node(drawing, "e", number, "((", "))");
	}
	if (list_ends(def, list, WF_ROUTE_END_SCOPE))
	{
		appendStringInfoString(begin_label(drawing), "end of all");
		put_node(drawing, "t", number, "(((", ")))");
	}
	for (int i = list->first; i < list->first + list->n; i++)
	{
		const WfRoute *route = &def->steps[i].route;

		if (route->kind != WF_ROUTE_ERROR && route->kind != WF_ROUTE_ABORT)
			continue;
		wf_diagram_bad_end(begin_label(drawing), route, drawing->nodes[i]);
		put_node(drawing, "x", i, "([", "])");
	}
}

static void
put_list(Drawing *drawing, int number)
{
	const WfDefinition *def = drawing->def;
	const WfStepList   *list = &def->lists[number];
	bool				is_process = number == 0 || list->parent == def->process_step;

	if (!def->steps[list->start].is_item && list->start != def->process_step)
	{
		appendStringInfoString(begin_label(drawing), is_process ? "start" : " ");
		put_node(drawing, "b", number, "((", "))");
	}
	for (int i = list->first; i < list->first + list->n; i++)
	{
		const WfStep *step = &def->steps[i];
		StringInfo	  label = begin_label(drawing);
		const char	 *before;
		const char	 *behind;

		wf_diagram_step(label, step, drawing->nodes[i]);
		append_counts(drawing, label, i);
		find_shape(step, &before, &behind);
		if (step->inner == 0)
		{
			put_node(drawing, "s", i, before, behind);
			continue;
		}
		put_box(drawing, i);
		drawing->depth++;
		begin_line(drawing);
		appendStringInfoString(&drawing->out, "direction TB");
		put_list(drawing, step->inner);
		drawing->depth--;
		begin_line(drawing);
		appendStringInfoString(&drawing->out, "end");
	}
	put_ends(drawing, number);
}

/* ---- ways ---- */

/* Ways to all targets, with the label that was made. */
static void
put_ways(Drawing *drawing, int from, bool dashed, const WfTargets *targets)
{
	for (int i = 0; i < targets->n; i++)
		put_way(drawing, "s", from, dashed, "s", targets->steps[i]);
}

/* One branch of `choose` is taken; of `next` each whose condition holds, and each that has none. */
static void
put_branches(Drawing *drawing, const WfStep *step)
{
	const WfRoute *route = &step->route;
	const WfJson  *node = drawing->nodes[step->index];
	const WfJson  *branches = wf_json_member(node, route->kind == WF_ROUTE_CHOOSE ? "choose" : "next");

	for (int i = 0; i < route->nbranches; i++)
	{
		const WfBranch *branch = &route->branches[i];
		StringInfo		label = begin_label(drawing);

		if (branch->when != NULL)
		{
			appendStringInfoString(label, route->kind == WF_ROUTE_CHOOSE ? "" : "each if ");
			wf_diagram_text(label, wf_json_member(branches->items[i], "when")->text);
		}
		else if (branch->otherwise || route->kind == WF_ROUTE_CHOOSE)
			appendStringInfoString(label, "else");
		put_ways(drawing, step->index, false, &branch->next);
	}
}

static void
put_route(Drawing *drawing, const WfStep *step)
{
	if (step->first_of)
		appendStringInfoString(begin_label(drawing), "if none is open");
	else
		begin_label(drawing);
	switch (step->route.kind)
	{
		case WF_ROUTE_NEXT:
			put_ways(drawing, step->index, false, &step->route.next);
			break;
		case WF_ROUTE_CHOOSE:
		case WF_ROUTE_SPLIT:
			put_branches(drawing, step);
			break;
		case WF_ROUTE_END:
			put_way(drawing, "s", step->index, false, "e", step->list);
			break;
		case WF_ROUTE_END_SCOPE:
			put_way(drawing, "s", step->index, false, "t", step->list);
			break;
		case WF_ROUTE_ERROR:
		case WF_ROUTE_ABORT:
			put_way(drawing, "s", step->index, false, "x", step->index);
			break;
	}
}

/* Of the events of `first_of`, which each have a way, and of handlers. */
static void
put_entries(Drawing *drawing, const WfStep *step)
{
	const WfJson *node = drawing->nodes[step->index];
	const WfJson *first_of = wf_json_member(node, "first_of");
	const WfJson *handlers = wf_json_member(node, "catch");

	for (int i = 0; i < step->nentries; i++)
	{
		const WfEntry *entry = &step->entries[i];
		bool		   handler = i >= step->nwaits;

		if (!handler && !step->first_of)
			continue;
		wf_diagram_entry(begin_label(drawing), entry, handler ? handlers->items[i - step->nwaits] : first_of->items[i]);
		put_ways(drawing, step->index, handler, &entry->next);
	}
}

static void
put_all_ways(Drawing *drawing)
{
	const WfDefinition *def = drawing->def;

	for (int i = 0; i < def->nlists; i++)
	{
		int start = def->lists[i].start;

		begin_label(drawing);
		if (!def->steps[start].is_item && start != def->process_step)
			put_way(drawing, "b", i, false, "s", start);
	}
	for (int i = 0; i < def->nstarts; i++)
	{
		begin_label(drawing);
		put_way(drawing, "m", i, false, "s", def->starts[i].step);
	}
	for (int i = 0; i < def->nsteps; i++)
	{
		const WfStep *step = &def->steps[i];

		if (uses_route(def, step))
			put_route(drawing, step);
		put_entries(drawing, step);
	}
}

/* ---- looks ---- */

static bool
has_class(const Drawing *drawing, int step, const char *class)
{
	for (int i = 0; i < NSTATES; i++)
	{
		if (drawing->counts[step * NSTATES + i] > 0)
			return strcmp(states[i].class, class) == 0;
	}
	return false;
}

/* Which steps look how, and how that is; only what there is. */
static void
put_classes(Drawing *drawing)
{
	for (int i = 0; i < lengthof(styles); i++)
	{
		bool any = false;

		for (int step = 0; step < drawing->def->nsteps; step++)
		{
			if (!has_class(drawing, step, styles[i].class))
				continue;
			if (!any)
				begin_line(drawing);
			appendStringInfo(&drawing->out, "%s%d", any ? ",s" : "class s", step);
			any = true;
		}
		if (!any)
			continue;
		appendStringInfo(&drawing->out, " %s", styles[i].class);
		begin_line(drawing);
		appendStringInfo(&drawing->out, "classDef %s %s", styles[i].class, styles[i].style);
	}
}

/* What is counted of steps that this version does not have. */
static void
put_elsewhere(Drawing *drawing)
{
	StringInfo label = begin_label(drawing);
	int		   n = 0;

	appendStringInfoString(label, "in other versions");
	for (int i = 0; i < drawing->diagram->ncounts; i++)
	{
		const WfDiagramCount *count = &drawing->diagram->counts[i];

		if (counted_step(drawing, count) >= 0)
			continue;
		if (++n > 20)
			continue;
		wf_diagram_line(label);
		wf_diagram_text(label, count->step);
		appendStringInfoString(label, ", ");
		append_count(drawing, label, &states[state_of(count)], count->n);
	}
	if (n > 20)
		appendStringInfo(label, WF_DIAGRAM_BREAK "and %d more", n - 20);
	if (n > 0)
		put_node(drawing, "o", 0, "[", "]");
}

/* ---- the whole ---- */

/*
 * What comes before the lines that were made: the title, as YAML, and the room that the titles of boxes need, of which Mermaid
 * leaves that of one line.
 */
static char *
with_title(const Drawing *drawing)
{
	const char	  *title = drawing->diagram->title;
	StringInfoData whole;

	initStringInfo(&whole);
	appendStringInfoString(&whole, "---\ntitle: \"");
	wf_json_append_escaped(&whole, title, (int) strlen(title));
	appendStringInfoChar(&whole, '"');
	if (drawing->title_lines > 1)
		appendStringInfo(&whole, "\nconfig: { flowchart: { subGraphTitleMargin: { bottom: %d } } }",
						 (drawing->title_lines - 1) * TITLE_LINE_HEIGHT);
	appendStringInfoString(&whole, "\n---\nflowchart TD");
	appendBinaryStringInfo(&whole, drawing->out.data, drawing->out.len);
	return whole.data;
}

char *
wf_diagram(const WfDiagram *diagram)
{
	const WfDefinition *def = diagram->def;
	Drawing				drawing = {.diagram = diagram, .def = def};

	drawing.nodes = palloc0(def->nsteps * sizeof(WfJson *));
	drawing.counts = palloc0(def->nsteps * NSTATES * sizeof(int64));
	initStringInfo(&drawing.out);
	initStringInfo(&drawing.label);
	if (def->process_step >= 0)
		drawing.nodes[def->process_step] = diagram->root;
	find_nodes(&drawing, wf_json_member(diagram->root, "steps"));
	take_counts(&drawing);
	for (int i = 0; i < def->nstarts; i++)
	{
		wf_diagram_start(begin_label(&drawing), &def->starts[i]);
		put_node(&drawing, "m", i, ">", "]");
	}
	put_list(&drawing, 0);
	put_elsewhere(&drawing);
	put_all_ways(&drawing);
	put_classes(&drawing);
	return with_title(&drawing);
}
