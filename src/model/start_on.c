/*
 * start_on.c
 *		Messages that start an instance.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/template_build.h"

#define MAX_STARTS 100

static void
read_message(WfReader *reader, const WfJson *node, void *target)
{
	wf_read_event_name(reader, node, target);
}

/* Read a key, which nothing could make: there is no instance yet. */
static void
read_constant_key(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate *tmpl = NULL;

	if (node->type == WF_JSON_BOOL)
	{
		*(const char **) target = node->truth ? "true" : "false";
		return;
	}
	wf_read_key(reader, node, &tmpl);
	if (tmpl == NULL)
		return;
	if (node->type == WF_JSON_STRING && !wf_template_is_constant(tmpl))
		wf_json_issue(reader->issues, node,
					  "Without \"key\" it is started by messages without one; what differs can be in their data.",
					  "must be a constant, not a template");
	else
		*(const char **) target = node->type == WF_JSON_STRING ? wf_template_constant_text(tmpl) : node->text;
}

static void
read_business_key(WfReader *reader, const WfJson *node, void *target)
{
	if (node->type == WF_JSON_NULL || node->type == WF_JSON_ARRAY || node->type == WF_JSON_OBJECT)
		wf_json_issue(reader->issues, node, "A template of a text, such as \"${$event.data.id}\".",
					  "must be a string, a number or a boolean, not %s", wf_json_type_name(node->type));
	else
		*(WfTemplate **) target = wf_template_build(node, reader->issues, wf_vocabulary_start, reader);
}

static const WfReaderField start_on_fields[] = {
	{"message", read_message, offsetof(WfStartOn, message)},
	{"key", read_constant_key, offsetof(WfStartOn, key)},
	{"business_key", read_business_key, offsetof(WfStartOn, business_key)},
	{"step", wf_read_step_name, offsetof(WfStartOn, step)},
	{"webhook"},
};

static bool
same_key(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* A message starts an instance in one way. */
static void
check_once(WfReader *reader, const WfJson *node, const WfStartOn *starts, int i)
{
	for (int j = 0; j < i; j++)
	{
		if (starts[i].message == NULL || starts[j].message == NULL ||
			strcmp(starts[i].message, starts[j].message) != 0 || !same_key(starts[i].key, starts[j].key))
			continue;
		wf_json_issue(reader->issues, node, "One message starts one instance: tell them apart by \"key\".",
					  "the same message is listed already");
		return;
	}
}

void
wf_read_start_on(WfReader *reader, const WfJson *node, void *target)
{
	WfDefinition *def = target;

	if (!wf_reader_expect(reader, node, WF_JSON_ARRAY,
						  "Messages are a list: [{\"message\": name, \"business_key\": ...}]."))
	{
		wf_reader_unread(reader);
		return;
	}
	if (node->n > MAX_STARTS)
	{
		wf_reader_unread(reader);
		wf_json_issue(reader->issues, node, NULL, "has more than %d entries", MAX_STARTS);
		return;
	}
	def->starts = palloc0(Max(node->n, 1) * sizeof(WfStartOn));
	for (int i = 0; i < node->n; i++)
	{
		const WfJson *item = node->items[i];

		def->starts[i].step = -1;
		def->nstarts++;
		if (!wf_read_object(reader, item, "a \"start_on\" entry", FIELDS(start_on_fields), &def->starts[i]))
			continue;
		if (wf_json_member(item, "message") == NULL && wf_json_member(item, "webhook") == NULL)
			wf_json_issue(reader->issues, item, "Name the message: {\"message\": name}.", "\"message\" is missing");
		check_once(reader, item, def->starts, i);
	}
}

void
wf_start_on_finish(WfDefinition *def, int start)
{
	for (int i = 0; i < def->nstarts; i++)
	{
		if (def->starts[i].step < 0)
			def->starts[i].step = start;
	}
}
