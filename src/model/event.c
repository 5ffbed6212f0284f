/*
 * event.c
 *		Reading one event: what can happen, and by which name and key.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/template_build.h"

#define MAX_NAME_BYTES 200
#define MAX_KEY_BYTES  1024

/* a clock that strikes more often is of no use to anybody */
static const Interval shortest_beat = {INT64CONST(10000), 0, 0};

/* The keys of which one makes an object an event. */
static const char *const event_keys[] = {
	"callback", "after", "until", "every", "message", "signal", "condition", "escalation", "task", "topic",
};

int
wf_event_count(const WfJson *node)
{
	int n = 0;

	for (int i = 0; i < lengthof(event_keys); i++)
		n += wf_json_member(node, event_keys[i]) != NULL;
	return n;
}

void
wf_event_check_keys(WfReader *reader, const WfJson *node)
{
	static const struct
	{
		const char *key;
		const char *with;
		const char *hint;
	} beside[] = {
		{"key", "message", "It is what tells apart messages of the same name; signals reach all that wait."},
		{"times", "every", "It is how often \"every\" begins; others begin as often as their event happens."},
	};

	for (int i = 0; i < lengthof(beside); i++)
	{
		const WfJson *member = wf_json_member(node, beside[i].key);

		if (member != NULL && wf_json_member(node, beside[i].with) == NULL)
			wf_json_issue(reader->issues, member, beside[i].hint, "goes with \"%s\" only", beside[i].with);
	}
}

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

void
wf_read_event_name(WfReader *reader, const WfJson *node, void *target)
{
	static const char hint[] = "A name is a string of 1 to 200 bytes, the same for all instances.";

	if (!wf_reader_expect(reader, node, WF_JSON_STRING, hint))
		return;
	if (node->text[strspn(node->text, " \t\r\n")] == '\0')
		wf_json_issue(reader->issues, node, hint, "is empty");
	else if (strlen(node->text) > MAX_NAME_BYTES)
		wf_json_issue(reader->issues, node, hint, "the name is longer than %d bytes", MAX_NAME_BYTES);
	else if (strstr(node->text, "${") != NULL)
		wf_json_issue(reader->issues, node, "What differs from instance to instance is the \"key\" of a message.",
					  "must be a name, not a template");
	else
		*(const char **) target = node->text;
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
