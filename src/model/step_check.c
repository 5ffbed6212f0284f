/*
 * step_check.c
 *		What must fit together in a step, checked when all of it was read.
 *
 * Keys are looked for in the JSON: what is there and could not be read has an issue already.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/reader.h"
#include "model/variable.h"

static const char *const action_keys[] = {"http", "sql", "notify", "set", "send", "call", "steps"};
static const char *const route_keys[] = {"next", "choose", "end"};
static const char *const wait_keys[] = {"wait", "first_of"};
static const char *const each_keys[] = {"each", "first_of"};

const WfKeys wf_step_keys[WF_STEP_KEYS] = {
	{WF_AT_MOST_ONE, FIELDS(action_keys)},
	{WF_AT_MOST_ONE, FIELDS(route_keys)},
	{WF_AT_MOST_ONE, FIELDS(wait_keys)},
	{WF_AT_MOST_ONE, FIELDS(each_keys)},
};

const WfBeside wf_step_beside[WF_STEP_BESIDE] = {
	{"cancel", "http", NULL},
	{"local", "steps", NULL},
};

/* Of keys that exclude each other, an issue names the first two that are there. */
static void
check_at_most_one(WfReader *reader, const WfJson *node, const char *const *keys, int nkeys, const char *message,
				  const char *hint)
{
	const char *first = NULL;

	for (int i = 0; i < nkeys; i++)
	{
		if (wf_json_member(node, keys[i]) == NULL)
			continue;
		if (first)
		{
			wf_json_issue(reader->issues, node, hint, "%s: \"%s\" and \"%s\"", message, first, keys[i]);
			return;
		}
		first = keys[i];
	}
}

/* The place of the handler in `catch` that became this entry. */
static const WfJson *
handler_node(const WfStep *step, const WfJson *node, int entry)
{
	return wf_json_member(node, "catch")->items[entry - step->nwaits];
}

/* May the step wait for a callback? What could not be read has its own issue, and may be one. */
static bool
may_wait_for_callback(const WfStep *step, const WfJson *node)
{
	if (wf_json_member(node, "wait") == NULL && wf_json_member(node, "first_of") == NULL)
		return false;
	for (int i = 0; i < step->nwaits; i++)
	{
		if (step->entries[i].event.kind == WF_EVENT_CALLBACK || step->entries[i].event.kind == WF_EVENT_NONE)
			return true;
	}
	return step->nwaits == 0;
}

/* Does the step wait for a worker that fetches its work? */
static bool
waits_for_worker(const WfStep *step)
{
	int entry = wf_step_entry(step, WF_EVENT_TOPIC);

	return entry >= 0 && entry < step->nwaits;
}

/*
 * Check keys about outside systems: only a callback can be late or need heartbeats, and only a
 * request can be cancelled by another one.
 */
static void
check_outside(WfReader *reader, const WfJson *node)
{
	WfStep		 *step = reader->step;
	const WfJson *heartbeat = wf_json_member(node, "heartbeat");
	const WfJson *warn_waiting = wf_json_member(node, "warn_waiting");
	const WfJson *cancel = wf_json_member(node, "cancel");
	bool		  no_callback = !may_wait_for_callback(step, node);
	bool		  no_worker = !waits_for_worker(step);

	if (warn_waiting && no_callback)
		wf_json_issue(reader->issues, warn_waiting, "It is for waits for a callback: give the step \"wait\": true.",
					  "there is no callback to wait for");
	if (heartbeat && no_callback && no_worker)
		wf_json_issue(reader->issues, heartbeat,
					  "It is missed while a callback is waited for: give the step \"wait\": true.",
					  "there is no callback to wait for");
	if (cancel && wf_json_member(node, "call") != NULL)
		wf_json_issue(reader->issues, cancel,
					  "What is to be told to the outside then stands in the process that it calls.",
					  "an instance that was called is cancelled with the step by itself");
	else if (cancel && wf_json_member(node, "http") == NULL)
		wf_json_issue(reader->issues, cancel, "Only \"http\" can be asked to stop by a request.",
					  "there is no request that could be cancelled");
	/* a path belongs to the step's server, while a url finds its own */
	if (step->cancel && step->http && step->cancel->http->url == NULL)
		step->cancel->http->server = step->http->server;
}

/*
 * Does a token go through the step at once, so that no timeout or handler with a time could ever
 * begin?
 */
static bool
takes_no_time(const WfReader *reader, const WfJson *node)
{
	static const char *const later[] = {"wait", "first_of", "join"};

	for (int i = 0; i < lengthof(later); i++)
	{
		if (wf_json_member(node, later[i]) != NULL)
			return false;
	}
	/* what has an identity is sent by an executor */
	if (reader->step->send != NULL && reader->step->send->message_id != NULL)
		return false;
	return !wf_vocabulary_has_attempts(node) && !reader->step->async;
}

static void
check_clocks(WfReader *reader, const WfJson *node)
{
	const WfStep *step = reader->step;
	const WfJson *timeout = wf_json_member(node, "timeout");

	if (!takes_no_time(reader, node))
		return;
	if (timeout != NULL)
		wf_json_issue(reader->issues, timeout, "Give it to the step that waits or calls out.",
					  "there is nothing that could take so long: the step goes on at once");
	for (int i = step->nwaits; i < step->nentries; i++)
	{
		if (step->entries[i].event.kind != WF_EVENT_NONE)
			wf_json_issue(reader->issues, handler_node(step, node, i), "Give it to the step that waits or calls out.",
						  "can never begin: the step goes on at once");
	}
}

/* Where the entry of a step stands. */
static const WfJson *
entry_node(const WfStep *step, const WfJson *node, int entry)
{
	const WfJson *first_of = wf_json_member(node, "first_of");

	if (entry >= step->nwaits)
		return handler_node(step, node, entry);
	return first_of != NULL ? first_of->items[entry] : wf_json_member(node, "wait");
}

/* Is the one never shorter, however long months and days are? */
static bool
is_as_long(const Interval *one, const Interval *other)
{
	return one->month >= other->month && one->day >= other->day && one->time >= other->time;
}

/*
 * Warn of clocks that the timeout of the step forestalls. One that comes at the same time does not begin, either. Where a
 * token waits at a join, they are not counted from the same time.
 */
static void
warn_of_late_clocks(WfReader *reader, const WfJson *node)
{
	const WfStep	 *step = reader->step;
	const WfDuration *timeout = &step->timeout;

	if (!timeout->present || timeout->tmpl != NULL || wf_json_member(node, "join") != NULL ||
		takes_no_time(reader, node))
		return;
	for (int i = 0; i < step->nentries; i++)
	{
		const WfEvent *event = &step->entries[i].event;

		if ((event->kind == WF_EVENT_AFTER || event->kind == WF_EVENT_EVERY) && event->after.present &&
			event->after.tmpl == NULL && is_as_long(&event->after.interval, &timeout->interval))
			wf_json_warning(reader->issues, entry_node(step, node, i),
							"The \"timeout\" of the step ends it first, unless workflow.extend moves that.",
							i < step->nwaits ? "never comes: the step has timed out by then"
											 : "never begins: the step has timed out by then");
	}
}

/* What a step has, or one inside of it if it is a scope. */
typedef bool (*StepHas)(const WfStep *step);

static bool
has_timeout(const WfStep *step)
{
	return step->timeout.present;
}

static bool
has_heartbeat(const WfStep *step)
{
	return step->heartbeat.present;
}

static bool
has_http(const WfStep *step)
{
	return step->action == WF_ACTION_HTTP;
}

static bool
has_within(const WfDefinition *def, const WfStep *step, StepHas has)
{
	const WfStepList *list = &def->lists[step->inner];

	if (has(step))
		return true;
	for (int i = list->first; step->inner > 0 && i < list->first + list->n; i++)
	{
		if (has_within(def, &def->steps[i], has))
			return true;
	}
	return false;
}

/* Warn of handlers for TIMED_OUT and DIED where there is no timeout or heartbeat. */
static void
warn_of_outcomes(WfReader *reader, const WfJson *node)
{
	const WfDefinition *def = &reader->graph->def;
	const WfStep	   *step = reader->step;
	/* those that could not be read have their own issue */
	bool times_out = wf_json_member(node, "timeout") != NULL || has_within(def, step, has_timeout);
	bool dies = wf_json_member(node, "heartbeat") != NULL || has_within(def, step, has_heartbeat);
	bool scope = step->action == WF_ACTION_STEPS;

	for (int i = step->nwaits; i < step->nentries; i++)
	{
		const WfJson *on = wf_json_member(handler_node(step, node, i), "on");

		if ((step->entries[i].outcomes & (1u << WF_OUTCOME_TIMED_OUT)) != 0 && !times_out)
			wf_json_warning(
				reader->issues, on,
				"A step times out after its own \"timeout\"; an attempt of http that took too long has the code \"timeout\".",
				scope ? "TIMED_OUT never happens: neither it nor a step in it has a \"timeout\""
					  : "TIMED_OUT never happens: the step has no \"timeout\"");
		if ((step->entries[i].outcomes & (1u << WF_OUTCOME_DIED)) != 0 && !dies)
			wf_json_warning(reader->issues, on, "A step dies of silence that is longer than its \"heartbeat\".",
							scope ? "DIED never happens: no step in it has a \"heartbeat\""
								  : "DIED never happens: the step has no \"heartbeat\"");
	}
}

/* Does the step send this escalation, or any (NULL)? One that could not be read may be meant. */
static bool
sends_escalation(const WfStep *step, const char *code)
{
	if (step->send == NULL || step->send->kind != WF_EVENT_ESCALATION)
		return false;
	return code == NULL || step->send->name == NULL || strcmp(step->send->name, code) == 0;
}

/* The same of the step and of all within it. */
static bool
escalates(const WfDefinition *def, const WfStep *step, const char *code)
{
	const WfStepList *list = &def->lists[step->inner];

	if (sends_escalation(step, code))
		return true;
	for (int i = list->first; step->inner > 0 && i < list->first + list->n; i++)
	{
		if (escalates(def, &def->steps[i], code))
			return true;
	}
	return false;
}

/* What a process that is called may send is not known here. */
static bool
calls(const WfStep *step)
{
	return step->action == WF_ACTION_CALL;
}

static void
warn_of_escalations(WfReader *reader, const WfJson *node)
{
	const WfStep *step = reader->step;

	for (int i = step->nwaits; i < step->nentries; i++)
	{
		const WfEvent *event = &step->entries[i].event;
		bool		   any = event->name != NULL && strcmp(event->name, "*") == 0;

		if (event->kind != WF_EVENT_ESCALATION || event->name == NULL || step->inner == 0 ||
			has_within(&reader->graph->def, step, calls) ||
			escalates(&reader->graph->def, step, any ? NULL : event->name))
			continue;
		wf_json_warning(reader->issues, wf_json_member(handler_node(step, node, i), "escalation"),
						"A step in it sends one with {\"send\": {\"escalation\": code}}.",
						any ? "never begins: no step in it sends an escalation"
							: "never begins: no step in it sends this escalation");
	}
}

/* Warn of variables that exist in this step but have no use there. */
static void
warn_of_variables(WfReader *reader, const WfJson *node)
{
	const WfStep *step = reader->step;
	bool		  first_of = wf_json_member(node, "first_of") != NULL;
	bool		  waits = wf_json_member(node, "wait") != NULL && !wf_is_clock(wf_step_waits_for(step));

	if ((reader->mentioned & WF_VAR_BIT(WF_VAR_CALLBACK_URL)) != 0 && !may_wait_for_callback(step, node) &&
		wf_step_callback_handler(step) < 0)
		wf_json_warning(reader->issues, node,
						"The URL is good for the visit that it was made in: give that step \"wait\": true.",
						"\"$callback_url\" is of no use: the step does not wait for a callback");
	if ((reader->mentioned & WF_VAR_BIT(WF_VAR_RESULT)) != 0 && !waits && !first_of &&
		!wf_vocabulary_has_attempts(node) && !wf_vocabulary_has_reply(node))
		wf_json_warning(reader->issues, node,
						"It is of this very visit; what an earlier step brought is kept by that step's \"save\".",
						"\"$result\" says nothing: the step neither calls out nor waits for a callback");
}

/* Refuse classes of status codes where there is no "http": only an HTTP answer has a status. */
static void
check_classes(WfReader *reader, const WfJson *node)
{
	const WfStep *step = reader->step;

	/* one that could not be read counts, too */
	if (wf_json_member(node, "http") != NULL || has_within(&reader->graph->def, step, has_http))
		return;
	for (int i = step->nwaits; i < step->nentries; i++)
	{
		for (int c = 0; c < step->entries[i].ncodes; c++)
		{
			if (wf_is_status_class(step->entries[i].codes[c]))
				wf_json_issue(reader->issues, wf_json_member(handler_node(step, node, i), "on"), NULL,
							  step->action == WF_ACTION_STEPS
								  ? "\"%s\" is never what is wrong: no step in it has \"http\""
								  : "\"%s\" is never what is wrong with a step without \"http\"",
							  step->entries[i].codes[c]);
		}
	}
}

/* ---- sub-processes ---- */

static const struct
{
	const char *key;
	const char *message;
	const char *hint;
} not_of_scopes[] = {
	{"wait", "a sub-process waits for its steps", "Put the wait into a step of its own."},
	{"first_of", "a sub-process waits for its steps", "Put the wait into a step of its own."},
	{"heartbeat", "a sub-process is never silent: its steps go on by themselves",
	 "Give it to the steps in it that wait for a callback."},
	{"warn_waiting", "a sub-process does not wait for a callback",
	 "Give it to the steps in it that do, or to the definition."},
	{"retry", "a sub-process is not tried again by itself",
	 "Give it to the steps in it, or lead back to it with \"catch\"."},
	{"save_reply", "a sub-process has no reply",
	 "What its \"local\" holds at its end is $result.response for \"save\"."},
	{"keep_reply", "a sub-process has no reply", "Give it to the steps in it that call out."},
	{"cancel", "a sub-process has no request that could be cancelled", "Give it to the steps in it that call out."},
};

static void
check_scope(WfReader *reader, const WfJson *node)
{
	for (int i = 0; i < lengthof(not_of_scopes); i++)
	{
		const WfJson *member = wf_json_member(node, not_of_scopes[i].key);

		if (member != NULL)
			wf_json_issue(reader->issues, member, not_of_scopes[i].hint, "%s", not_of_scopes[i].message);
	}
}

/* ---- actions ---- */

static void
check_action(WfReader *reader, const WfJson *node)
{
	static const char *const at_once[] = {"send", "call"};

	const WfJson *retry = wf_json_member(node, "retry");
	bool		  has_reply = wf_vocabulary_has_reply(node);
	bool has_attempts = (has_reply && !wf_json_has_one_of(node, FIELDS(at_once))) || waits_for_worker(reader->step);
	bool step_calls = wf_json_member(node, "call") != NULL;

	if (!has_reply && wf_json_member(node, "save_reply"))
		wf_json_issue(
			reader->issues, wf_json_member(node, "save_reply"),
			"Only \"http\", \"sql\", \"send\" and \"call\" have a reply; \"save\" keeps what a callback brings.",
			"there is no action whose reply could be saved");
	if (!has_reply && wf_json_member(node, "keep_reply"))
		wf_json_issue(reader->issues, wf_json_member(node, "keep_reply"),
					  "Only \"http\", \"sql\", \"send\" and \"call\" have a reply.",
					  "there is no action whose reply could be kept");
	if (!has_attempts && retry)
		wf_json_issue(
			reader->issues, retry,
			step_calls
				? "Lead back to the step with \"catch\", or give \"retry\" to the steps of the process that it calls."
				: "Only \"http\", \"sql\" and the work of a topic are tried again.",
			step_calls ? "a call is not tried again by itself" : "there is no action that could be tried again");
	if (retry && retry->type == WF_JSON_OBJECT)
		wf_retry_check(reader, retry);
	check_outside(reader, node);
	if (wf_json_member(node, "local"))
		wf_json_issue(reader->issues, wf_json_member(node, "local"),
					  "They are the fields of a sub-process; others are in the data: use \"set\".",
					  "there are no \"steps\" that could see these fields");
	if (wf_json_member(node, "wait") && wf_json_member(node, "first_of"))
		wf_json_issue(reader->issues, node, "The events of \"first_of\" stand instead of \"wait\".",
					  "\"wait\" and \"first_of\" cannot be given together");
}

void
wf_step_check(WfReader *reader, const WfJson *node)
{
	check_at_most_one(reader, node, FIELDS(action_keys), "has more than one action",
					  "A step does one thing: make a step of each.");
	wf_event_check(reader, node);
	check_at_most_one(reader, node, FIELDS(route_keys), "has more than one way to go on",
					  "A step has one of \"next\", \"choose\" and \"end\".");
	if (wf_json_member(node, "steps") != NULL)
		check_scope(reader, node);
	else
		check_action(reader, node);
	if (wf_json_member(node, "each") != NULL)
		wf_each_check(reader, node);
	check_clocks(reader, node);
	check_classes(reader, node);
	warn_of_late_clocks(reader, node);
	warn_of_outcomes(reader, node);
	warn_of_escalations(reader, node);
	warn_of_variables(reader, node);
}

static bool
goes_on_cancelled(const WfStep *step)
{
	for (int i = step->nwaits; i < step->nentries; i++)
	{
		if ((step->entries[i].outcomes & (1u << WF_OUTCOME_CANCELLED)) != 0)
			return true;
	}
	return step->ignore_cancel;
}

/* Warn of what the process would do after its end: only steps with ignore_cancel are entered then. */
static void
warn_of_cancelled(WfReader *reader, const WfJson *root)
{
	const WfDefinition *def = &reader->graph->def;

	for (int i = 0; i < reader->step->nentries; i++)
	{
		const WfEntry *entry = &reader->step->entries[i];

		for (int t = 0; (entry->outcomes & (1u << WF_OUTCOME_CANCELLED)) != 0 && t < entry->next.n; t++)
		{
			const WfStep *next = &def->steps[entry->next.steps[t]];

			if (!goes_on_cancelled(next))
				wf_json_warning(
					reader->issues, handler_node(reader->step, root, i),
					"What is entered when an instance is cancelled ends at once, unless its step has \"ignore_cancel\": true.",
					"after CANCELLED step \"%s\" does nothing: it has no \"ignore_cancel\"", wf_issue_clip(next->name));
		}
	}
}

void
wf_step_check_process(WfReader *reader, const WfJson *root)
{
	reader->step = &reader->graph->def.steps[reader->graph->def.process_step];
	wf_event_check_handlers(reader, root);
	check_classes(reader, root);
	warn_of_late_clocks(reader, root);
	warn_of_outcomes(reader, root);
	warn_of_escalations(reader, root);
	warn_of_cancelled(reader, root);
	reader->step = NULL;
}
