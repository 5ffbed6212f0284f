/*
 * definition.c
 *		From the text of a definition to its compiled form: the tables of fields, and what must fit
 *		together in a step.
 *
 * Reading goes over the tree once. The names of all steps are known before, so that routes are
 * resolved as they are met; then the graph is checked. Keys of the process model that are not
 * implemented yet have a field without a reader.
 *
 * The compiled definition uses strings of the tree, so both are in one memory context.
 */
#include "postgres.h"

#include "debug.h"
#include "model/each.h"
#include "model/event.h"
#include "model/flow.h"
#include "model/reader.h"
#include "model/template_build.h"
#include "model/variable.h"

#define MAX_NAME_BYTES 200

/* the largest payload that NOTIFY takes */
#define MAX_PAYLOAD_BYTES (BLCKSZ - NAMEDATALEN - 128 - 1)

/* ---- what a step does ---- */

static void
read_step_text(WfReader *reader, const WfJson *node, void *target)
{
	if (node->type == WF_JSON_STRING && strcmp(node->text, WF_PROCESS_STEP) == 0)
	{
		wf_json_issue(reader->issues, node, "Give the step another name.", "\"%s\" stands for the process itself",
					  WF_PROCESS_STEP);
		return;
	}
	wf_read_string(reader, node, target);
	if (node->type == WF_JSON_STRING && strlen(node->text) > MAX_NAME_BYTES)
		wf_json_issue(reader->issues, node, NULL, "the name is longer than %d bytes", MAX_NAME_BYTES);
}

static void
read_http(WfReader *reader, const WfJson *node, void *target)
{
	WfStep *step = target;

	step->action = WF_ACTION_HTTP;
	wf_read_http(reader, node, &step->http);
}

static void
read_sql(WfReader *reader, const WfJson *node, void *target)
{
	WfStep *step = target;

	step->action = WF_ACTION_SQL;
	wf_read_string(reader, node, &step->sql);
	wf_reader_refer(reader, WF_REFERENCE_SQL, node);
}

static void
read_channel(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate *tmpl = NULL;
	const char *channel;

	wf_read_text(reader, node, &tmpl);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	channel = wf_template_constant_text(tmpl);
	if (channel == NULL)
		return;
	if (channel[0] == '\0')
		wf_json_issue(reader->issues, node, NULL, "is empty");
	else if (strlen(channel) >= NAMEDATALEN)
		wf_json_issue(reader->issues, node, NULL, "a channel's name has at most %d bytes", NAMEDATALEN - 1);
}

static void
read_payload(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate	  *tmpl = NULL;
	StringInfoData payload;
	WfFault		   fault;

	wf_read_any(reader, node, &tmpl);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	if (!wf_template_is_constant(tmpl))
		return;
	initStringInfo(&payload);
	if (wf_template_text(tmpl, NULL, WF_TEXT_PLAIN, &payload, &fault) && payload.len > MAX_PAYLOAD_BYTES)
		wf_json_issue(reader->issues, node, NULL, "a payload has at most %d bytes", MAX_PAYLOAD_BYTES);
	pfree(payload.data);
}

static const WfJsonShape channel_shape = {.types = WF_TAKES_STRING, .not_blank = true};

static const WfReaderField notify_fields[] = {
	{"channel", read_channel, &channel_shape, offsetof(WfStep, channel), true},
	{"payload", read_payload, &wf_shape_any, offsetof(WfStep, payload)},
};

static const WfJsonShape notify_shape = {.name = "notify",
										 .says = "An action: NOTIFY on a channel.",
										 .types = WF_TAKES_OBJECT,
										 .what = "\"notify\"",
										 WF_FIELDS(notify_fields)};

static void
read_notify(WfReader *reader, const WfJson *node, void *target)
{
	WfStep *step = target;

	step->action = WF_ACTION_NOTIFY;
	wf_read_object(reader, node, &notify_shape, step);
}

static void
read_set(WfReader *reader, const WfJson *node, void *target)
{
	WfStep *step = target;

	step->action = WF_ACTION_SET;
	wf_read_changes(reader, node, &step->set);
}

static void
read_save(WfReader *reader, const WfJson *node, void *target)
{
	WfStep *step = target;

	if (node->type != WF_JSON_BOOL)
		wf_read_changes(reader, node, &step->save);
	else if (node->truth)
		step->save_all = true;
	else
		wf_json_issue(reader->issues, node, "To save nothing, leave it out.", "must be true or an object, not false");
}

static void
read_keep_reply(WfReader *reader, const WfJson *node, void *target)
{
	bool keep = true;

	wf_read_bool(reader, node, &keep);
	*(bool *) target = !keep;
}

/* Can anything of the step still ask for its reply, once `save_reply` and `when` are through? */
static bool
may_ask_for_reply(const WfReader *reader, const WfStep *step)
{
	return (reader->late & (WF_VAR_BIT(WF_VAR_REPLY) | WF_VAR_BIT(WF_VAR_RESULT))) != 0 || step->save_all ||
		   (step->each != NULL && step->each->collect != NULL);
}

/* ---- steps within a step ---- */

static void read_list(WfReader *reader, int list);

static void
read_inner(WfReader *reader, const WfJson *node, void *target)
{
	WfStep	*step = target;
	WfReader around = *reader;
	int		 list =
		 wf_json_member(around.node, "each") != NULL ? wf_step_of_item(&reader->graph->def, step)->inner : step->inner;

	step->action = WF_ACTION_STEPS;
	if (!wf_reader_expect(reader, node, WF_JSON_ARRAY, "Steps are a list: [{\"step\": name, ...}, ...]."))
		return;
	if (node->n == 0)
		wf_json_issue(reader->issues, node, "A sub-process needs at least one step.", "is empty");
	if (list > 0)
	{
		reader->of_whole = false;
		read_list(reader, list);
	}
	*reader = around;
}

static void
read_local(WfReader *reader, const WfJson *node, void *target)
{
	WfStep *step = target;

	if (!wf_reader_expect(reader, node, WF_JSON_OBJECT, NULL))
		return;
	wf_read_changes(reader, node, &step->local);
	step->local_names = palloc(Max(node->n, 1) * sizeof(char *));
	for (int i = 0; i < node->n; i++)
	{
		if (!node->items[i]->overridden)
			step->local_names[step->nlocals++] = node->items[i]->key;
	}
}

/* ---- steps ---- */

/* Read warn_waiting. A month has 30 days here, since a warning need not be exact. */
static void
read_warn_waiting(WfReader *reader, const WfJson *node, void *target)
{
	WfWarnWaiting *warn = target;
	Interval	   interval;

	if (!wf_read_interval_checked(reader, node, &interval))
		return;
	warn->given = true;
	warn->after_ms =
		(interval.time + 999) / 1000 + (interval.day + interval.month * INT64CONST(30)) * (USECS_PER_DAY / 1000);
}

static const WfJsonShape name_shape = {.types = WF_TAKES_STRING, .not_blank = true, .max_length = MAX_NAME_BYTES};
static const WfJsonShape save_shape = {.types = WF_TAKES_BOOL | WF_TAKES_OBJECT, .only_true = true};
static const WfJsonShape step_shape;
static const WfJsonShape steps_shape = {.name = "steps",
										.says = "Steps. Where a step does not say where it goes, the next one follows.",
										.types = WF_TAKES_ARRAY,
										.items = &step_shape,
										.min_items = 1};

static const WfReaderField step_fields[] = {
	{"step", read_step_text, &name_shape, offsetof(WfStep, name), true},
	{"http", read_http, &wf_http_shape, 0, false, WF_AT_ENTRY},
	{"sql", read_sql, &wf_shape_name, 0},
	{"notify", read_notify, &notify_shape, 0, false, WF_AT_ENTRY},
	{"set", read_set, &wf_shape_changes, 0, false, WF_AT_ENTRY},
	{"send", wf_read_send, &wf_send_shape, 0, false, WF_AT_ENTRY},
	{"call", wf_read_call, &wf_call_shape, 0, false, WF_AT_ENTRY},
	{"steps", read_inner, &steps_shape, 0},
	{"local", read_local, &wf_shape_changes, 0, false, WF_AT_ENTRY},
	{"wait", wf_read_wait, &wf_wait_shape, 0, false, WF_AFTER_ACTION},
	{"success", wf_read_predicate, &wf_shape_predicate, offsetof(WfStep, success), false, WF_AT_END},
	{"save_reply", wf_read_changes, &wf_shape_changes, offsetof(WfStep, save_reply), false, WF_AT_REPLY},
	{"keep_reply", read_keep_reply, &wf_shape_bool, offsetof(WfStep, forgets_reply)},
	{"save", read_save, &save_shape, 0, false, WF_AT_END},
	{"timeout", wf_read_timeout, &wf_shape_interval, offsetof(WfStep, timeout), false, WF_AT_ENTRY, true},
	{"heartbeat", wf_read_timeout, &wf_shape_interval, offsetof(WfStep, heartbeat), false, WF_AFTER_ACTION},
	{"warn_waiting", read_warn_waiting, &wf_shape_interval, offsetof(WfStep, warn_waiting)},
	{"retry", wf_read_retry, &wf_retry_shape, offsetof(WfStep, retry)},
	{"cancel", wf_read_cancel, &wf_cancel_shape, offsetof(WfStep, cancel), false, WF_AFTER_ACTION},
	{"ignore_cancel", wf_read_bool, &wf_shape_bool, offsetof(WfStep, ignore_cancel)},
	{"catch", wf_read_catch, &wf_catch_shape, 0, false, WF_AT_ENTRY, true},
	{"each", wf_read_each, &wf_each_shape, 0},
	{"async", wf_read_bool, &wf_shape_bool, offsetof(WfStep, async)},
	{"join", wf_read_join, &wf_join_shape, offsetof(WfStep, join)},
	{"next", wf_read_next, &wf_next_shape, offsetof(WfStep, route), false, WF_AT_END, true},
	{"choose", wf_read_choose, &wf_choose_shape, offsetof(WfStep, route), false, WF_AT_END, true},
	{"first_of", wf_read_first_of, &wf_first_of_shape, 0, false, WF_AFTER_ACTION},
	{"end", wf_read_end, &wf_end_shape, offsetof(WfStep, route), false, WF_AT_END, true},
};

static const WfJsonShape step_shape = {
	.name = "step",
	.says = "A step: at most one action, then at most one wait, then where it goes.",
	.types = WF_TAKES_OBJECT,
	.what = "a step",
	WF_FIELDS(step_fields),
	WF_KEYS(wf_step_keys),
	WF_BESIDE(wf_step_beside),
};

static void
read_step_node(WfReader *reader, const WfJson *node, WfStep *step)
{
	int following = wf_graph_following(reader->graph, step->index);

	step->retry.backoff = 1;
	step->route.kind = following >= 0 ? WF_ROUTE_NEXT : WF_ROUTE_END;
	step->route.next = wf_graph_target(following);

	wf_read_entries(step, node);
	reader->step = step;
	reader->node = node;
	reader->mentioned = reader->late = 0;
	if (wf_read_object(reader, node, &step_shape, step))
		wf_step_check(reader, node);
	step->drops_reply = step->forgets_reply && !may_ask_for_reply(reader, step);
	step->uses_event = (reader->mentioned & WF_VAR_BIT(WF_VAR_EVENT)) != 0;
	if (step->each != NULL)
	{
		wf_each_split(&reader->graph->def, step);
		wf_event_finish(&reader->graph->def, wf_step_of_item(&reader->graph->def, step));
	}
	wf_event_finish(&reader->graph->def, step);
	reader->step = NULL;
}

static void
read_list(WfReader *reader, int number)
{
	WfDefinition	 *def = &reader->graph->def;
	const WfStepList *list = &def->lists[number];

	for (int i = list->first; i < list->first + list->n; i++)
	{
		if (i != def->process_step)
			read_step_node(reader, reader->graph->nodes[i], &def->steps[i]);
	}
}

/* ---- the definition ---- */

static void
read_data(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_OBJECT, NULL))
		*(Jsonb **) target = wf_json_to_jsonb(node);
}

static void
read_description(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_STRING, NULL))
		*(const char **) target = node->text;
}

/* Which schema it goes by is for editors: it goes by this version's. */
static void
read_schema(WfReader *reader, const WfJson *node, void *target)
{
	(void) wf_reader_expect(reader, node, WF_JSON_STRING, NULL);
}

static void
read_retention(WfReader *reader, const WfJson *node, void *target)
{
	WfDefinition *def = target;

	if (node->type == WF_JSON_NUMBER)
	{
		(void) wf_reader_expect(reader, node, WF_JSON_STRING,
								"Write an interval with its unit: \"90 days\"; \"0\" keeps them for ever.");
		return;
	}
	def->has_retention = wf_read_interval_checked(reader, node, &def->retention);
}

/* Read the steps in the order in which they are compiled: those that handlers of the process lead to come first. */
static void
read_steps(WfReader *reader, const WfJson *node, void *target)
{
	read_list(reader, 0);
	if (reader->graph->def.process_step >= 0)
		read_list(reader, wf_graph_top_list(reader->graph));
}

static void
read_start(WfReader *reader, const WfJson *node, void *target)
{
	WfDefinition *def = &reader->graph->def;
	int			  start;

	wf_read_step_name(reader, node, &start);
	if (start >= 0)
		def->lists[def->steps[start].list].start = start;
}

/* The timeout and the handlers of the process are those of the step that stands for it. */
static void
read_process_field(WfReader *reader, const WfJson *node, WfReadField read, void *target)
{
	reader->step = &reader->graph->def.steps[reader->graph->def.process_step];
	reader->node = node->parent;
	reader->moment = WF_AT_ENTRY;
	read(reader, node, target);
	reader->step = NULL;
	reader->moment = WF_ANY_TIME;
}

static void
read_process_timeout(WfReader *reader, const WfJson *node, void *target)
{
	WfDefinition *def = &reader->graph->def;

	if (def->process_step >= 0)
		read_process_field(reader, node, wf_read_timeout, &def->steps[def->process_step].timeout);
}

static void
read_process_catch(WfReader *reader, const WfJson *node, void *target)
{
	WfDefinition *def = &reader->graph->def;

	if (def->process_step >= 0)
		read_process_field(reader, node, wf_read_catch, &def->steps[def->process_step]);
}

static const WfJsonShape data_shape = {.types = WF_TAKES_OBJECT};

static const WfReaderField definition_fields[] = {
	{"$schema", read_schema, &wf_shape_string, 0},
	{"description", read_description, &wf_shape_string, offsetof(WfDefinition, description)},
	{"data", read_data, &data_shape, offsetof(WfDefinition, data)},
	{"start", read_start, &wf_shape_name, 0},
	{"steps", read_steps, &steps_shape, 0, true},
	{"timeout", read_process_timeout, &wf_shape_interval, 0},
	{"catch", read_process_catch, &wf_catch_shape, 0},
	{"retry", wf_read_retry, &wf_retry_shape, offsetof(WfDefinition, retry)},
	{"retention", read_retention, &wf_shape_interval, 0},
	{"warn_waiting", read_warn_waiting, &wf_shape_interval, offsetof(WfDefinition, warn_waiting)},
	{"start_on", wf_read_start_on, &wf_start_on_shape, 0},
	{"priority"},
};

const WfJsonShape wf_definition_shape = {.name = "definition",
										 .says = "A process.",
										 .types = WF_TAKES_OBJECT,
										 .what = "a definition",
										 WF_FIELDS(definition_fields)};

/* Give `retry` of the definition to steps that have none. */
static void
pass_retry_on(WfReader *reader, WfDefinition *def, const WfJson *node)
{
	bool		used = false;
	const char *worker = NULL;

	for (int i = 0; i < def->nsteps; i++)
	{
		WfStep *step = &def->steps[i];

		if (step->retry.given || (step->action != WF_ACTION_HTTP && step->action != WF_ACTION_SQL &&
								  wf_step_entry(step, WF_EVENT_TOPIC) < 0))
			continue;
		step->retry = def->retry;
		used = true;
		if (step->action == WF_ACTION_NONE && worker == NULL)
			worker = step->name;
	}
	if (worker != NULL && def->retry.non > 0)
		wf_json_warning(reader->issues, wf_json_member(node, "on"), "Give the step a \"retry\" of its own.",
						"nothing of this is what workers fail with, as at step \"%s\"", wf_issue_clip(worker));
	if (!used)
		wf_json_warning(reader->issues, node,
						"It is for steps with \"http\" or \"sql\" that have no \"retry\" of their own.",
						"there is no step that goes by it");
}

/*
 * Give warn_waiting of the definition to steps that have none. It is for those that wait for a callback; one for whose
 * action another event waits goes by it, too.
 */
static void
pass_warn_waiting_on(WfReader *reader, WfDefinition *def, const WfJson *node)
{
	bool used = false;

	for (int i = 0; i < def->nsteps; i++)
	{
		WfStep *step = &def->steps[i];

		if (step->warn_waiting.given)
			continue;
		step->warn_waiting = def->warn_waiting;
		used |= wf_step_callback_entry(step) >= 0;
	}
	if (!used)
		wf_json_warning(reader->issues, node,
						"It is for steps that wait for a callback and have no \"warn_waiting\" of their own.",
						"there is no step that goes by it");
}

/* Check that there is a list of steps, and index their names, before anything else is read. */
static bool
index_steps(WfReader *reader, const WfJson *root)
{
	const WfJson *steps = wf_json_member(root, "steps");

	if (steps == NULL)
		return true; /* a missing list gets its issue later */
	if (!wf_reader_expect(reader, steps, WF_JSON_ARRAY, "Steps are a list: [{\"step\": name, ...}, ...]."))
		return false;
	if (steps->n == 0)
		wf_json_issue(reader->issues, steps, "A process needs at least one step.", "is empty");
	return wf_graph_index(reader->graph, root, reader->issues);
}

/* Make the step that stands for the process, if there is one, and begin with it. */
static void
begin_process(WfGraph *graph, const WfJson *root)
{
	WfDefinition *def = &graph->def;
	WfStep		 *step;

	def->start = 0;
	if (def->nsteps == 0 || def->process_step < 0)
		return;
	step = &def->steps[def->process_step];
	step->action = WF_ACTION_STEPS;
	step->retry.backoff = 1;
	step->route.kind = WF_ROUTE_END;
	wf_read_entries(step, root);
}

static void
check_flow(WfGraph *graph, const WfJson *root, WfIssues *issues)
{
	graph->def.start = graph->def.lists[0].start;
	wf_start_on_finish(&graph->def, graph->def.lists[wf_graph_top_list(graph)].start);
	wf_flow_check(graph, issues);
	wf_event_check_around(graph, root, issues);
	/* what comes to joins is known only if all routes are */
	if (!graph->has_bad_routes)
		wf_flow_joins(graph, issues);
}

WfDefinition *
wf_definition_compile(const char *json, WfReferences *references, WfIssues *issues)
{
	WfGraph		 *graph = palloc0(sizeof(WfGraph));
	WfReader	  reader = {.issues = issues, .references = references, .graph = graph};
	int			  before = issues->n;
	const WfJson *root = wf_json_parse(json, issues);

	graph->def.process_step = -1;
	if (root == NULL ||
		!wf_reader_expect(&reader, root, WF_JSON_OBJECT,
						  "A definition is written {\"steps\": [{\"step\": name, ...}, ...]}.") ||
		!index_steps(&reader, root))
		return NULL;

	begin_process(graph, root);
	wf_read_object(&reader, root, &wf_definition_shape, &graph->def);
	if (graph->def.nsteps > 0 && graph->def.process_step >= 0)
	{
		wf_step_check_process(&reader, root);
		wf_event_finish(&graph->def, &graph->def.steps[graph->def.process_step]);
	}
	if (graph->def.data == NULL)
		graph->def.data = wf_jsonb_empty_object();
	if (graph->def.retry.given)
		pass_retry_on(&reader, &graph->def, wf_json_member(root, "retry"));
	if (graph->def.warn_waiting.given)
		pass_warn_waiting_on(&reader, &graph->def, wf_json_member(root, "warn_waiting"));
	if (graph->def.nsteps > 0)
		check_flow(graph, root, issues);
	WF_ASSERT(issues->n > before || wf_shape_takes(&wf_definition_shape, root));
	return issues->n > before ? NULL : &graph->def;
}
