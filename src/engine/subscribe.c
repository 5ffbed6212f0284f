/*
 * subscribe.c
 *		A visit begins to wait for messages and signals, and so do its handlers.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "engine/subscribe.h"
#include "store/subscription.h"

/* A key is part of an index. */
#define MAX_KEY_BYTES 1024

static const char *
scalar_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		default:
			return NULL;
	}
}

bool
wf_message_key(const WfTemplate *tmpl, const WfVariables *variables, const char **key, WfFault *fault)
{
	JsonbValue value;
	Jsonb	  *rendered;

	*key = NULL;
	if (tmpl == NULL)
		return true;
	rendered = wf_template_jsonb(tmpl, variables, fault);
	if (rendered == NULL)
		return false;
	if (JsonbExtractScalar(&rendered->root, &value))
		*key = scalar_text(&value);
	if (*key == NULL)
		return wf_fault(fault, WF_CODE_TEMPLATE, "the key of a message has to be a string, a number or a boolean");
	if (strlen(*key) > MAX_KEY_BYTES)
		return wf_fault(fault, WF_CODE_TEMPLATE, "the key of a message has %zu bytes, more than %d", strlen(*key),
						MAX_KEY_BYTES);
	return true;
}

bool
wf_subscribe(WfBatch *batch, WfVisit *visit, int first, int end, WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WfVariables	  variables;
	bool		  ok = true;

	wf_engine_variables(visit, &variables);
	for (int i = first; ok && i < end; i++)
	{
		const WfEvent *event = &visit->def->entries[i].event;
		const char	  *key;

		if (event->kind != WF_EVENT_MESSAGE && event->kind != WF_EVENT_SIGNAL)
			continue;
		ok = wf_message_key(event->key, &variables, &key, fault);
		if (ok)
			(void) wf_subscription_add(batch, visit, i, key);
	}
	MemoryContextSwitchTo(old);
	return ok;
}
