/*
 * event_check.c
 *		What must fit together among the events of a step, checked when all of it was read.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/issue.h"
#include "model/template_build.h"

/* The place of what became this entry of the step. */
static const WfJson *
entry_node(const WfStep *step, const WfJson *node, int entry)
{
	const WfJson *first_of = wf_json_member(node, "first_of");

	if (entry >= step->nwaits)
		return wf_json_member(node, "catch")->items[entry - step->nwaits];
	/* beside a "wait", which is refused, its events come last */
	if (first_of != NULL && first_of->type == WF_JSON_ARRAY && entry >= step->nwaits - first_of->n)
		return first_of->items[entry - (step->nwaits - first_of->n)];
	return wf_json_member(node, "wait");
}

/* ---- callbacks ---- */

/* A visit takes one callback, so it is clear what that does. */
static void
check_callbacks(WfReader *reader, const WfJson *node)
{
	const WfStep *step = reader->step;
	bool		  both = step->first_of && wf_json_member(node, "wait") != NULL; /* that is an issue already */
	int			  first = -1;

	for (int i = 0; i < step->nentries; i++)
	{
		if (step->entries[i].event.kind != WF_EVENT_CALLBACK)
			continue;
		if (first < 0 || (both && i < step->nwaits))
			first = i;
		else if (first < step->nwaits && i >= step->nwaits)
			wf_json_issue(reader->issues, entry_node(step, node, i),
						  "What it brought is $result.response in \"success\", \"save\" and the route.",
						  "can never begin: the callback ends the wait");
		else
			wf_json_issue(reader->issues, entry_node(step, node, i),
						  "Branch by what it brought: \"choose\" sees $result.response, in a step after it the data.",
						  "a callback is taken by an entry before it");
	}
}

/* ---- tasks and topics ---- */

/* Serial number and right say which task is meant, or which work. */
static void
check_offers(WfReader *reader, const WfJson *node, WfEventKind kind)
{
	const WfStep *step = reader->step;
	int			  first = wf_step_entry(step, kind);

	for (int i = first + 1; first >= 0 && i < step->nentries; i++)
		if (step->entries[i].event.kind == kind)
			wf_json_issue(reader->issues, entry_node(step, node, i),
						  "Put it into a step of its own, in a branch beside: the serial number says which is meant.",
						  kind == WF_EVENT_TASK ? "the step has a task already" : "the step has a topic already");
}

/* ---- messages ---- */

/* Is it certain that the two keys are equal? */
static bool
same_key(const WfJson *left, const WfJson *right)
{
	const WfJson *a = wf_json_member(left, "key");
	const WfJson *b = wf_json_member(right, "key");

	if (a == NULL || b == NULL)
		return a == b;
	return a->text != NULL && b->text != NULL && strcmp(a->text, b->text) == 0;
}

/* Nobody could send a message for which one visit waits twice: several would wait for it. */
static void
check_messages(WfReader *reader, const WfJson *node)
{
	const WfStep *step = reader->step;

	for (int i = 0; i < step->nentries; i++)
	{
		const WfEvent *event = &step->entries[i].event;

		if (event->kind != WF_EVENT_MESSAGE || event->name == NULL || event->when != NULL)
			continue;
		for (int j = 0; j < i; j++)
		{
			const WfEvent *earlier = &step->entries[j].event;

			if (earlier->kind != WF_EVENT_MESSAGE || earlier->name == NULL || earlier->when != NULL ||
				strcmp(earlier->name, event->name) != 0 ||
				!same_key(entry_node(step, node, i), entry_node(step, node, j)))
				continue;
			wf_json_issue(reader->issues, entry_node(step, node, i),
						  "Give them different names or keys, or go by the data of the message: $event.data.",
						  "another entry waits for the same message, so nobody could send it to one of them");
			break;
		}
	}
}

/*
 * Is the text of a key the same wherever in an instance it is worked out? Data and serial numbers need not be: a scope has
 * fields of its own.
 */
static bool
same_everywhere(const WfJson *entry)
{
	const WfJson *key = wf_json_member(entry, "key");

	return key == NULL || key->text == NULL || strstr(key->text, "${") == NULL ||
		   strcmp(key->text, "${$business_key}") == 0 || strcmp(key->text, "${$instance}") == 0;
}

/* Does a handler of the scope wait for the message of `entry`? */
static bool
scope_waits_for(const WfStep *scope, const WfJson *scope_node, const WfEvent *event, const WfJson *entry)
{
	for (int i = scope->nwaits; i < scope->nentries; i++)
	{
		const WfEvent *other = &scope->entries[i].event;

		if (other->kind == WF_EVENT_MESSAGE && other->name != NULL && strcmp(other->name, event->name) == 0 &&
			same_key(entry, entry_node(scope, scope_node, i)))
			return true;
	}
	return false;
}

static void
warn_of_scopes(const WfGraph *graph, const WfJson *root, int index, int entry, WfIssues *issues)
{
	const WfDefinition *def = &graph->def;
	const WfStep	   *step = &def->steps[index];
	const WfJson	   *node = entry_node(step, graph->nodes[index], entry);
	int					around = def->lists[step->list].parent;

	for (; around >= 0; around = def->lists[def->steps[around].list].parent)
	{
		bool is_process = around == def->process_step;

		if (!scope_waits_for(&def->steps[around], is_process ? root : graph->nodes[around], &step->entries[entry].event,
							 node))
			continue;
		wf_json_warning(issues, node,
						"Give them different names or keys: only to_all => true reaches two of one instance.",
						"%s waits for the same message, so that it cannot be sent to one of them",
						is_process
							? "the process"
							: psprintf("step \"%s\", in which this is,", wf_issue_clip(def->steps[around].name)));
		return;
	}
}

void
wf_event_check_around(const WfGraph *graph, const WfJson *root, WfIssues *issues)
{
	if (issues->warnings == NULL)
		return;
	for (int i = 0; i < graph->def.nsteps; i++)
	{
		const WfStep *step = &graph->def.steps[i];

		for (int e = 0; e < step->nentries && i != graph->def.process_step; e++)
		{
			const WfEvent *event = &step->entries[e].event;

			if (event->kind == WF_EVENT_MESSAGE && event->name != NULL && event->when == NULL &&
				same_everywhere(entry_node(step, graph->nodes[i], e)))
				warn_of_scopes(graph, root, i, e, issues);
		}
	}
}

/* ---- where first_of leads to ---- */

/* The route that the step itself has, or NULL. */
static const WfJson *
written_route(const WfJson *node)
{
	static const char *const keys[] = {"next", "choose", "end"};

	for (int i = 0; i < lengthof(keys); i++)
	{
		const WfJson *route = wf_json_member(node, keys[i]);

		if (route != NULL)
			return route;
	}
	return NULL;
}

/*
 * The step's own route is taken if no event is open, so it has to be there if that can be, and must
 * not be if it cannot. That of other steps, which goes to the following one, is none here.
 */
static void
check_own_route(WfReader *reader, const WfJson *node, const WfJson *first_of)
{
	const WfJson *route = written_route(node);
	bool		  open = false; /* an entry is open whatever the data are */

	for (int i = 0; i < first_of->n; i++)
	{
		if (first_of->items[i]->type == WF_JSON_OBJECT && wf_json_member(first_of->items[i], "when") == NULL)
			open = true;
	}
	if (open && route != NULL)
		wf_json_issue(reader->issues, route, "Each event has a \"next\" of its own: leave it out.",
					  "is never taken: there is an event without \"when\", which is always waited for");
	else if (open)
		reader->step->route = (WfRoute){.kind = WF_ROUTE_END};
	else if (route == NULL && first_of->n > 0)
		wf_json_issue(reader->issues, first_of,
					  "Say with \"next\", \"choose\" or \"end\" where the step goes if no \"when\" is true.",
					  "each event has a \"when\", so there may be none to wait for");
}

static void
check_first_of(WfReader *reader, const WfJson *node)
{
	const WfJson *first_of = wf_json_member(node, "first_of");

	if (first_of != NULL && first_of->type == WF_JSON_ARRAY)
		check_own_route(reader, node, first_of);
}

/* ---- all of it ---- */

void
wf_event_check_handlers(WfReader *reader, const WfJson *node)
{
	check_callbacks(reader, node);
	check_offers(reader, node, WF_EVENT_TASK);
	check_offers(reader, node, WF_EVENT_TOPIC);
	check_messages(reader, node);
}

void
wf_event_check(WfReader *reader, const WfJson *node)
{
	wf_event_check_handlers(reader, node);
	check_first_of(reader, node);
}

void
wf_event_finish(WfDefinition *def, WfStep *step)
{
	for (int i = 0; i < step->nentries; i++)
	{
		WfEntry *entry = &step->entries[i];

		if (wf_is_subscribed(entry->event.kind))
			step->nsubscribed++;
		if (wf_is_offered(entry->event.kind))
			step->noffered++;
		if (entry->event.kind == WF_EVENT_CONDITION)
			def->has_conditions = true;
		if (entry->event.signature != NULL)
			def->has_signatures = true;
		if (entry->event.kind == WF_EVENT_EVERY)
			entry->beat = step->nbeats++;
	}
}
