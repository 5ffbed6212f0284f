/*
 * start_on.c
 *		Messages and webhooks that start an instance.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/signature.h"
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

static void
read_data(WfReader *reader, const WfJson *node, void *target)
{
	if (wf_reader_expect(reader, node, WF_JSON_OBJECT,
						 "What becomes the data is written {\"field\": \"${$event.data.field}\"}."))
		*(WfTemplate **) target = wf_template_build(node, reader->issues, wf_vocabulary_start, reader);
}

static const WfReaderField idempotency_fields[] = {
	{"header", wf_read_header_name, &wf_header_shape, 0, true},
};

static const WfJsonShape idempotency_shape = {.types = WF_TAKES_STRING | WF_TAKES_OBJECT,
											  .what = "\"idempotency_key\"",
											  WF_FIELDS(idempotency_fields)};

/* A name of a header, most likely. */
static void
warn_of_constant(WfReader *reader, const WfJson *node)
{
	wf_json_warning(reader->issues, node,
					"A header is named by {\"header\": \"X-GitHub-Delivery\"}, and what is in the body by "
					"\"${$event.data.id}\".",
					"is the same for all that comes: only the first starts an instance");
}

static void
read_idempotency_key(WfReader *reader, const WfJson *node, void *target)
{
	WfStartOn *on = target;

	if (node->type == WF_JSON_OBJECT)
		wf_read_object(reader, node, &idempotency_shape, &on->idempotency_header);
	else if (wf_reader_expect(
				 reader, node, WF_JSON_STRING,
				 "A template of a text, such as \"${$event.data.id}\", or {\"header\": \"X-GitHub-Delivery\"}."))
	{
		on->idempotency_key = wf_template_build(node, reader->issues, wf_vocabulary_start, reader);
		if (on->idempotency_key != NULL && wf_template_is_constant(on->idempotency_key))
			warn_of_constant(reader, node);
	}
}

static const WfReaderField start_on_fields[] = {
	{"message", read_message, &wf_event_name_shape, offsetof(WfStartOn, message)},
	{"key", read_constant_key, &wf_shape_scalar, offsetof(WfStartOn, key)},
	{"business_key", read_business_key, &wf_shape_scalar, offsetof(WfStartOn, business_key)},
	{"step", wf_read_step_name, &wf_shape_name, offsetof(WfStartOn, step)},
	{"webhook", read_message, &wf_event_name_shape, offsetof(WfStartOn, webhook)},
	{"signature", wf_read_signature, &wf_signature_shape, offsetof(WfStartOn, signature)},
	{"data", read_data, &wf_shape_changes, offsetof(WfStartOn, data)},
	{"idempotency_key", read_idempotency_key, &idempotency_shape, 0},
};

static const char *const kinds[] = {"message", "webhook"};
static const WfKeys		 one_kind = {WF_EXACTLY_ONE, FIELDS(kinds)};
static const WfBeside	 beside[] = {
	   {"key", "message", "What comes to a webhook has none; its \"business_key\" and \"data\" are of what came."},
	   {"signature", "webhook", "Who sends a message is a role of the database, which needs the privilege \"start\"."},
	   {"data", "webhook", "The data of a message are those of the instance."},
	   {"idempotency_key", "webhook", "Who sends a message gives a message_id."},
};

static const WfJsonShape entry_shape = {.name = "start_on",
										.says = "What starts an instance: a message, or what comes to a webhook.",
										.types = WF_TAKES_OBJECT,
										.what = "a \"start_on\" entry",
										WF_FIELDS(start_on_fields),
										.keys = &one_kind,
										.nkeys = 1,
										WF_BESIDE(beside)};

const WfJsonShape wf_start_on_shape = {.types = WF_TAKES_ARRAY, .items = &entry_shape, .max_items = MAX_STARTS};

static bool
same_key(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* An entry is of a message or of a webhook, with what belongs to that. */
static void
check_kind(WfReader *reader, const WfJson *node)
{
	bool message = wf_json_member(node, "message") != NULL;
	bool webhook = wf_json_member(node, "webhook") != NULL;

	if (!message && !webhook)
		wf_json_issue(reader->issues, node, "Name the message: {\"message\": name}, or a webhook: {\"webhook\": name}.",
					  "\"message\" is missing");
	if (message && webhook)
		wf_json_issue(reader->issues, node, "Make two entries of it.", "is of a message and of a webhook");
	if (message != webhook)
		wf_reader_beside(reader, node, &entry_shape);
}

/* A webhook has one token. */
static void
check_webhook_once(WfReader *reader, const WfJson *node, const WfStartOn *starts, int i)
{
	for (int j = 0; j < i; j++)
	{
		if (starts[i].webhook == NULL || starts[j].webhook == NULL || strcmp(starts[i].webhook, starts[j].webhook) != 0)
			continue;
		wf_json_issue(reader->issues, node, "Each webhook has a token of its own: give it another name.",
					  "the same webhook is listed already");
		return;
	}
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
		if (!wf_read_object(reader, item, &entry_shape, &def->starts[i]))
			continue;
		check_kind(reader, item);
		check_once(reader, item, def->starts, i);
		check_webhook_once(reader, item, def->starts, i);
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
