/*
 * send.c
 *		The action `send`: a step throws a message, a signal or an escalation.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/template_build.h"

static void
read_message(WfReader *reader, const WfJson *node, void *target)
{
	WfSend *send = target;

	send->kind = WF_EVENT_MESSAGE;
	wf_read_event_name(reader, node, &send->name);
}

static void
read_signal(WfReader *reader, const WfJson *node, void *target)
{
	WfSend *send = target;

	send->kind = WF_EVENT_SIGNAL;
	wf_read_event_name(reader, node, &send->name);
}

static void
read_escalation(WfReader *reader, const WfJson *node, void *target)
{
	WfSend *send = target;

	send->kind = WF_EVENT_ESCALATION;
	wf_read_event_name(reader, node, &send->name);
	if (send->name != NULL && strcmp(send->name, "*") == 0)
		wf_json_issue(reader->issues, node, "\"*\" is for \"catch\": it catches all of them.",
					  "an escalation is sent by its code");
}

/* Is it the number of an instance, as far as that is known? */
static bool
may_be_number(const WfTemplate *tmpl, const WfJson *node)
{
	const char *text = node->text;

	if (node->type == WF_JSON_STRING)
		text = wf_template_constant_text(tmpl);
	else if (node->type != WF_JSON_NUMBER)
		return false;
	return text == NULL ||
		   (text[0] >= '1' && text[0] <= '9' && strlen(text) <= 18 && strspn(text, "0123456789") == strlen(text));
}

static void
read_instance(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate *tmpl = wf_reader_template(reader, node);

	if (tmpl == NULL)
		return;
	*(WfTemplate **) target = tmpl;
	if (!may_be_number(tmpl, node))
		wf_json_issue(reader->issues, node, "Such as \"${$.instance}\"; without it all instances are looked through.",
					  "must be the number of an instance");
}

/* Read what tells a message that is sent again from another one. */
static void
read_message_id(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate *tmpl = NULL;

	wf_read_key(reader, node, &tmpl);
	*(WfTemplate **) target = tmpl;
	if (tmpl != NULL && wf_template_is_constant(tmpl))
		wf_json_warning(reader->issues, node,
						"Make it of something that each visit has its own of, such as ${$serial_number}.",
						"is the same for all instances: what the second one sends is taken for a duplicate");
}

static const WfJsonShape instance_shape = {.types = WF_TAKES_NUMBER | WF_TAKES_STRING};

static const WfReaderField send_fields[] = {
	{"message", read_message, &wf_event_name_shape, 0},
	{"signal", read_signal, &wf_event_name_shape, 0},
	{"escalation", read_escalation, &wf_event_name_shape, 0},
	{"key", wf_read_key, &wf_shape_scalar, offsetof(WfSend, key)},
	{"data", wf_read_any, &wf_shape_any, offsetof(WfSend, data)},
	{"ttl", wf_read_pause, &wf_shape_interval, offsetof(WfSend, ttl)},
	{"message_id", read_message_id, &wf_shape_scalar, offsetof(WfSend, message_id)},
	{"instance", read_instance, &instance_shape, offsetof(WfSend, instance)},
	{"to_all", wf_read_bool, &wf_shape_bool, offsetof(WfSend, to_all)},
};

static const char of_messages_hint[] =
	"A signal reaches all that wait for it, an escalation the nearest scope that catches it.";
static const char *const sent[] = {"message", "signal", "escalation"};
static const WfKeys		 one_sent = {WF_EXACTLY_ONE, FIELDS(sent)};
static const WfBeside	 of_messages[] = {
	   {"key", "message", of_messages_hint},		{"ttl", "message", of_messages_hint},
	   {"message_id", "message", of_messages_hint}, {"instance", "message", of_messages_hint},
	   {"to_all", "message", of_messages_hint},
};

const WfJsonShape wf_send_shape = {.name = "send",
								   .says = "An action: a message, a signal or an escalation is sent.",
								   .types = WF_TAKES_OBJECT,
								   .what = "\"send\"",
								   WF_FIELDS(send_fields),
								   .keys = &one_sent,
								   .nkeys = 1,
								   WF_BESIDE(of_messages)};

/* Check that exactly one event is thrown, and that the other keys go with it. */
static void
check_send(WfReader *reader, const WfJson *node)
{
	int n = wf_json_count(node, FIELDS(sent));

	if (n == 0)
		wf_json_issue(reader->issues, node,
					  "Write {\"message\": name, \"key\": ...}, {\"signal\": name} or {\"escalation\": code}.",
					  "names nothing to send");
	else if (n > 1)
		wf_json_issue(reader->issues, node, "A step does one thing: make a step of each.", "sends more than one event");
	if (n > 0)
		wf_reader_beside(reader, node, &wf_send_shape);
}

void
wf_read_send(WfReader *reader, const WfJson *node, void *target)
{
	WfStep *step = target;

	step->action = WF_ACTION_SEND;
	step->send = palloc0(sizeof(WfSend));
	if (wf_read_object(reader, node, &wf_send_shape, step->send))
		check_send(reader, node);
}
