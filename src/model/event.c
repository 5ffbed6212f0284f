/*
 * event.c
 *		Reading one event: what can happen, and by which name and key.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "model/event.h"
#include "model/guard.h"
#include "model/template_build.h"

#define MAX_TOPIC_BYTES 63 /* WF_TOPIC_MAX of shmem/topics.h */
#define MAX_NAME_BYTES	200
#define MAX_KEY_BYTES	1024

/* a clock that strikes more often is of no use to anybody */
static const Interval shortest_beat = {INT64CONST(10000), 0, 0};

/* "on", and the keys of which one makes an object an event. */
static const char *const caught_keys[] = {
	"on", "callback", "after", "until", "every", "message", "signal", "condition", "escalation", "task", "topic",
};

const WfKeys wf_one_event = {WF_EXACTLY_ONE, caught_keys + 1, lengthof(caught_keys) - 1};
const WfKeys wf_one_caught = {WF_EXACTLY_ONE, FIELDS(caught_keys)};

int
wf_event_count(const WfJson *node)
{
	return wf_json_count(node, wf_one_event.keys, wf_one_event.nkeys);
}

const WfBeside wf_event_beside[WF_EVENT_BESIDE] = {
	{"key", "message", "It is what tells apart messages of the same name; signals reach all that wait."},
	{"data", "topic", "It is what a worker gets with the work; a task has its own in it."},
	{"signature", "callback", "It is of what comes with the token in $callback_url, over the bytes that came."},
	{"times", "every", "It is how often \"every\" begins; others begin as often as their event happens."},
	{"every", "interrupt", "Write \"interrupt\": false as well, or \"after\" in place of \"every\".",
	 "what interrupts the step begins only once"},
};

/* ---- callbacks and clocks ---- */

void
wf_read_callback(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;
	bool	 truth = true;

	event->kind = WF_EVENT_CALLBACK;
	wf_read_bool(reader, node, &truth);
	if (!truth)
		wf_json_issue(reader->issues, node, "Not to wait for a callback, leave it out.", "must be true");
}

void
wf_read_after(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	event->kind = WF_EVENT_AFTER;
	wf_read_pause(reader, node, &event->after);
}

void
wf_read_event_until(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	event->kind = WF_EVENT_UNTIL;
	wf_read_until(reader, node, &event->until);
}

void
wf_read_every(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent	   *event = target;
	WfDuration *every = &event->after;

	event->kind = WF_EVENT_EVERY;
	wf_read_pause(reader, node, every);
	if (every->present && every->tmpl == NULL && wf_interval_compare(&every->interval, &shortest_beat) < 0)
		wf_json_issue(reader->issues, node, "Such as \"1 minute\" or \"1 day\".", "is shorter than 10 ms");
}

void
wf_read_times(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	if (node->type == WF_JSON_NUMBER && strspn(node->text, "0123456789") == strlen(node->text) &&
		strlen(node->text) <= 9 && atoi(node->text) > 0)
		event->times = atoi(node->text);
	else
		wf_json_issue(reader->issues, node, "Without it there is no end to \"every\", as long as the step lives.",
					  "must be a whole number from 1 to 999999999");
}

/* ---- messages, signals, escalations ---- */

const WfJsonShape wf_event_name_shape = {.types = WF_TAKES_STRING, .not_blank = true, .max_length = MAX_NAME_BYTES};
const WfJsonShape wf_topic_shape = {.types = WF_TAKES_STRING, .not_blank = true, .max_length = MAX_TOPIC_BYTES};

static void
read_name(WfReader *reader, const WfJson *node, void *target, const char *hint, const char *not_template)
{
	if (!wf_reader_expect(reader, node, WF_JSON_STRING, hint))
		return;
	if (node->text[strspn(node->text, " \t\r\n")] == '\0')
		wf_json_issue(reader->issues, node, hint, "is empty");
	else if (strlen(node->text) > MAX_NAME_BYTES)
		wf_json_issue(reader->issues, node, hint, "the name is longer than %d bytes", MAX_NAME_BYTES);
	else if (strstr(node->text, "${") != NULL)
		wf_json_issue(reader->issues, node, not_template, "must be a name, not a template");
	else
		*(const char **) target = node->text;
}

void
wf_read_event_name(WfReader *reader, const WfJson *node, void *target)
{
	read_name(reader, node, target, "A name is a string of 1 to 200 bytes, the same for all instances.",
			  "What differs from instance to instance is the \"key\" of a message.");
}

void
wf_read_message(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	event->kind = WF_EVENT_MESSAGE;
	wf_read_event_name(reader, node, &event->name);
}

void
wf_read_signal(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	event->kind = WF_EVENT_SIGNAL;
	wf_read_event_name(reader, node, &event->name);
}

void
wf_read_escalation(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	event->kind = WF_EVENT_ESCALATION;
	wf_read_event_name(reader, node, &event->name);
}

void
wf_read_key(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate *tmpl;
	const char *text = node->text;

	if (node->type == WF_JSON_NULL || node->type == WF_JSON_ARRAY || node->type == WF_JSON_OBJECT)
	{
		wf_json_issue(reader->issues, node,
					  "Its text is what counts, so 17 and \"17\" are equal; a string may hold ${...}.",
					  "must be a string, a number or a boolean, not %s", wf_json_type_name(node->type));
		return;
	}
	tmpl = wf_reader_template(reader, node);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	if (node->type == WF_JSON_STRING)
		text = wf_template_constant_text(tmpl);
	if (text != NULL && strlen(text) > MAX_KEY_BYTES)
		wf_json_issue(reader->issues, node, "Longer ones can be told apart by a hash.", "is longer than %d bytes",
					  MAX_KEY_BYTES);
}

/* ---- conditions ---- */

void
wf_read_condition(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	event->kind = WF_EVENT_CONDITION;
	wf_read_predicate(reader, node, &event->condition);
}

/* ---- tasks and topics ---- */

static void
read_title(WfReader *reader, const WfJson *node, void *target)
{
	wf_read_text(reader, node, target);
	if (node->type == WF_JSON_STRING && node->text[strspn(node->text, " \t\r\n")] == '\0')
		wf_json_issue(reader->issues, node, "It says what is to be done, in the list of whoever is to do it.",
					  "is empty");
}

/* Is it a name, or a template of one? */
static bool
is_role(WfReader *reader, const WfJson *node)
{
	static const char hint[] = "A role of the database, by its name, such as \"accounting\" or \"${$.manager}\".";

	if (!wf_reader_expect(reader, node, WF_JSON_STRING, hint))
		return false;
	if (node->text[0] == '\0')
		wf_json_issue(reader->issues, node, hint, "is empty");
	return node->text[0] != '\0';
}

static void
read_assignee(WfReader *reader, const WfJson *node, void *target)
{
	if (is_role(reader, node))
		wf_read_any(reader, node, target);
}

static void
read_roles(WfReader *reader, const WfJson *node, void *target)
{
	bool ok = true;

	if (node->type == WF_JSON_STRING)
	{
		read_assignee(reader, node, target);
		return;
	}
	if (!wf_reader_expect(
			reader, node, WF_JSON_ARRAY,
			"Roles of the database, by their names, such as [\"accounting\"], or a template of such a list."))
		return;
	if (node->n == 0 || node->n > WF_TASK_MAX_ROLES)
		wf_json_issue(reader->issues, node, "Name a role that many have been granted.",
					  node->n == 0 ? "is empty" : "has more than %d roles", WF_TASK_MAX_ROLES);
	for (int i = 0; i < node->n; i++)
		ok &= is_role(reader, node->items[i]);
	if (ok)
		wf_read_any(reader, node, target);
}

static void
parse_due(void *arg)
{
	(void) DirectFunctionCall3(timestamptz_in, CStringGetDatum(arg), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static void
parse_due_interval(void *arg)
{
	(void) DirectFunctionCall3(interval_in, CStringGetDatum(arg), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static void
read_due(WfReader *reader, const WfJson *node, void *target)
{
	static const char hint[] =
		"An interval from when the task is there, such as \"2 days\", or a time, such as \"2030-01-31 12:00:00+01\".";
	WfTemplate *tmpl;
	const char *message;

	if (!wf_reader_expect(reader, node, WF_JSON_STRING, hint))
		return;
	tmpl = wf_reader_template(reader, node);
	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	if (wf_template_is_constant(tmpl) && !wf_guard_run(parse_due, unconstify(char *, node->text), &message) &&
		!wf_guard_run(parse_due_interval, unconstify(char *, node->text), &message))
		wf_json_issue(reader->issues, node, hint, "\"%s\" is neither an interval nor a timestamp",
					  wf_issue_clip(node->text));
}

static const WfJsonShape role_shape = {.types = WF_TAKES_STRING};
static const WfJsonShape roles_shape = {.types = WF_TAKES_STRING | WF_TAKES_ARRAY,
										.items = &role_shape,
										.min_items = 1,
										.max_items = WF_TASK_MAX_ROLES};

static const WfReaderField task_fields[] = {
	{"title", read_title, &wf_shape_name, offsetof(WfTask, title), true},
	{"assignee", read_assignee, &role_shape, offsetof(WfTask, assignee)},
	{"roles", read_roles, &roles_shape, offsetof(WfTask, roles)},
	{"due", read_due, &wf_shape_name, offsetof(WfTask, due)},
	{"data", wf_read_any, &wf_shape_any, offsetof(WfTask, data)},
};

static const char *const for_whom[] = {"assignee", "roles"};
static const WfKeys		 for_somebody = {WF_AT_LEAST_ONE, FIELDS(for_whom)};

const WfJsonShape wf_task_shape = {.name = "task",
								   .says = "A task for people: who is to do what, and until when.",
								   .types = WF_TAKES_OBJECT,
								   .what = "a task",
								   WF_FIELDS(task_fields),
								   .keys = &for_somebody,
								   .nkeys = 1};

void
wf_read_task(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	event->kind = WF_EVENT_TASK;
	event->task = palloc0(sizeof(WfTask));
	if (!wf_read_object(reader, node, &wf_task_shape, event->task))
		return;
	if (!wf_json_has_one_of(node, FIELDS(for_whom)))
		wf_json_issue(reader->issues, node,
					  "Say who is to do it: \"assignee\", a role, or \"roles\", any of which may claim it.",
					  "is for nobody");
}

void
wf_read_topic(WfReader *reader, const WfJson *node, void *target)
{
	WfEvent *event = target;

	event->kind = WF_EVENT_TOPIC;
	read_name(reader, node, &event->name, "A topic is a string of 1 to 63 bytes, the same for all instances.",
			  "What differs from instance to instance is its \"data\".");
	if (event->name != NULL && strlen(event->name) > MAX_TOPIC_BYTES)
		wf_json_issue(reader->issues, node, "It is what workers call workflow.fetch with.",
					  "the name of a topic is longer than %d bytes", MAX_TOPIC_BYTES);
}
