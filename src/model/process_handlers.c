/*
 * process_handlers.c
 *		Which steps do the handlers of the process lead to?
 *
 * They are in another list than those to which the start leads, so this has to be known before
 * steps are read: it goes by the names in the JSON. What cannot be read is passed over here, and
 * gets its issue later.
 */
#include "postgres.h"

#include "model/process_handlers.h"

typedef struct Named
{
	const char *name;
	int			at; /* in the list of steps */
} Named;

typedef struct Spread
{
	const WfJson *steps;
	Named		 *names; /* sorted */
	int			  nnames;
	bool		 *reached;
	int			 *pending;
	int			  npending;
	const bool	 *barred; /* steps that are not entered; NULL: none */
	bool		 *met;	  /* which of these named ways lead to; NULL: those enter them */
} Spread;

static int
compare_named(const void *a, const void *b)
{
	const Named *left = a;
	const Named *right = b;
	int			 order = strcmp(left->name, right->name);

	return order != 0 ? order : left->at - right->at;
}

static void
collect_names(Spread *spread)
{
	spread->names = palloc(Max(spread->steps->n, 1) * sizeof(Named));
	for (int i = 0; i < spread->steps->n; i++)
	{
		const WfJson *name = wf_json_member(spread->steps->items[i], "step");

		if (name != NULL && name->type == WF_JSON_STRING)
			spread->names[spread->nnames++] = (Named){name->text, i};
	}
	qsort(spread->names, spread->nnames, sizeof(Named), compare_named);
}

/* The first step with that name, or -1. */
static int
find_name(const Spread *spread, const char *name)
{
	int low = 0;
	int high = spread->nnames;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (strcmp(spread->names[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < spread->nnames && strcmp(spread->names[low].name, name) == 0 ? spread->names[low].at : -1;
}

static void
reach(Spread *spread, int at, bool named)
{
	if (at < 0 || at >= spread->steps->n || spread->reached[at])
		return;
	if (spread->barred != NULL && spread->barred[at] && (!named || spread->met != NULL))
	{
		if (named)
			spread->met[at] = true;
		return;
	}
	spread->reached[at] = true;
	spread->pending[spread->npending++] = at;
}

/* Reach what `next` or `else` names: one step, or a list of steps and branches. */
static void
reach_names(Spread *spread, const WfJson *node)
{
	static const char *const keys[] = {"next", "else"};

	if (node == NULL)
		return;
	if (node->type == WF_JSON_STRING)
		reach(spread, find_name(spread, node->text), true);
	else if (node->type == WF_JSON_ARRAY)
	{
		for (int i = 0; i < node->n; i++)
			reach_names(spread, node->items[i]);
	}
	else if (node->type == WF_JSON_OBJECT)
	{
		for (int i = 0; i < lengthof(keys); i++)
			reach_names(spread, wf_json_member(node, keys[i]));
	}
}

static void
begin(Spread *spread, const bool *barred, bool *met)
{
	spread->reached = palloc0(Max(spread->steps->n, 1) * sizeof(bool));
	spread->pending = palloc(Max(spread->steps->n, 1) * sizeof(int));
	spread->npending = 0;
	spread->barred = barred;
	spread->met = met;
}

/* Reach all steps to which those lead that are reached; `defaults`: also without saying so. */
static bool *
go_on(Spread *spread, bool defaults)
{
	static const char *const keys[] = {"next", "choose", "catch", "first_of"};

	while (spread->npending > 0)
	{
		int			  at = spread->pending[--spread->npending];
		const WfJson *step = spread->steps->items[at];

		for (int i = 0; i < lengthof(keys); i++)
			reach_names(spread, wf_json_member(step, keys[i]));
		if (defaults && !wf_step_has_route(step))
			reach(spread, at + 1, false);
	}
	pfree(spread->pending);
	return spread->reached;
}

/* What named ways lead to from the handlers. */
static bool *
find_named(Spread *spread, const WfJson *handlers)
{
	begin(spread, NULL, NULL);
	reach_names(spread, handlers);
	return go_on(spread, false);
}

/* Reach the steps at which messages let an instance begin. */
static void
reach_starts(Spread *spread, const WfJson *starts)
{
	for (int i = 0; starts != NULL && starts->type == WF_JSON_ARRAY && i < starts->n; i++)
	{
		const WfJson *step = wf_json_member(starts->items[i], "step");

		if (step != NULL && step->type == WF_JSON_STRING)
			reach_names(spread, step);
	}
}

/* What the start leads to; a step is not followed by one that is named from the handlers. */
static bool *
find_body(Spread *spread, const WfJson *root, const bool *named)
{
	const WfJson *start = wf_json_member(root, "start");
	int			  first = start != NULL && start->type == WF_JSON_STRING ? find_name(spread, start->text) : 0;

	begin(spread, named, NULL);
	reach(spread, Max(first, 0), true);
	reach_starts(spread, wf_json_member(root, "start_on"));
	return go_on(spread, true);
}

bool *
wf_process_handlers_find(const WfJson *root, const WfJson *steps, WfIssues *issues)
{
	Spread		  spread = {.steps = steps};
	const WfJson *handlers = wf_json_member(root, "catch");
	bool		 *met = palloc0(Max(steps->n, 1) * sizeof(bool));
	bool		 *body;
	bool		 *handled;

	collect_names(&spread);
	body = find_body(&spread, root, find_named(&spread, handlers));
	begin(&spread, body, met);
	reach_names(&spread, handlers);
	handled = go_on(&spread, true);
	for (int i = 0; i < steps->n; i++)
	{
		if (met[i])
			wf_json_issue(
				issues, steps->items[i],
				"What handlers of the process lead to is reached from them alone: give them a step of their own.",
				"both the start and a handler of the process lead to this step");
	}
	pfree(met);
	pfree(body);
	return handled;
}
