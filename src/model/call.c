/*
 * call.c
 *		The action `call`: a step starts an instance of another process, and waits for its end.
 */
#include "postgres.h"

#include "model/event.h"
#include "model/template_build.h"

#define MAX_PROCESS_NAME 800 /* bytes; names have at most 200 characters */

/* Read the name of a process: which one is called is known when the definition is stored. */
static void
read_process(WfReader *reader, const WfJson *node, void *target)
{
	const char *name = NULL;

	wf_read_string(reader, node, &name);
	if (name == NULL)
		return;
	if (strstr(name, "${") != NULL)
		wf_json_issue(reader->issues, node, "Branch with \"choose\" to a step for each process.",
					  "must be a name, not a template");
	else if (strlen(name) > MAX_PROCESS_NAME)
		wf_json_issue(reader->issues, node, NULL, "the name is longer than %d bytes", MAX_PROCESS_NAME);
	else
	{
		*(const char **) target = name;
		wf_reader_refer(reader, WF_REFERENCE_PROCESS, node);
	}
}

static void
read_version(WfReader *reader, const WfJson *node, void *target)
{
	if (node->type == WF_JSON_NUMBER && strspn(node->text, "0123456789") == strlen(node->text) &&
		strlen(node->text) <= 9 && atoi(node->text) > 0)
		*(int *) target = atoi(node->text);
	else
		wf_json_issue(reader->issues, node, "Without it the version is called that is the latest at the time.",
					  "must be a whole number from 1 to 999999999");
}

static void
read_business_key(WfReader *reader, const WfJson *node, void *target)
{
	WfTemplate *tmpl = NULL;

	wf_read_key(reader, node, &tmpl);
	*(WfTemplate **) target = tmpl;
	if (tmpl != NULL && wf_template_is_constant(tmpl))
		wf_json_warning(reader->issues, node,
						"Make it of something that tells the children apart, such as ${$business_key} or a field.",
						"is the same for all instances: the call fails while a child with that key lives");
}

static const WfReaderField call_fields[] = {
	{"process", read_process, &wf_shape_name, offsetof(WfCall, process), true},
	{"version", read_version, &wf_shape_number, offsetof(WfCall, version)},
	{"data", wf_read_changes, &wf_shape_changes, offsetof(WfCall, data)},
	{"business_key", read_business_key, &wf_shape_scalar, offsetof(WfCall, business_key)},
};

const WfJsonShape wf_call_shape =
	{.name = "call",
	 .says = "An action: an instance of another process is started, and its end is waited for.",
	 .types = WF_TAKES_OBJECT,
	 .what = "\"call\"",
	 WF_FIELDS(call_fields)};

void
wf_read_call(WfReader *reader, const WfJson *node, void *target)
{
	WfStep *step = target;

	step->action = WF_ACTION_CALL;
	step->call = palloc0(sizeof(WfCall));
	(void) wf_read_object(reader, node, &wf_call_shape, step->call);
}
