/*
 * subscribe.c
 *		A visit begins to wait for messages and signals, and so do its handlers.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/subscribe.h"
#include "store/message.h"
#include "store/subscription.h"

bool
wf_key_text(const WfTemplate *tmpl, const WfVariables *variables, const char *what, const char **text, WfFault *fault)
{
	JsonbValue value;
	Jsonb	  *rendered;

	*text = NULL;
	if (tmpl == NULL)
		return true;
	rendered = wf_template_jsonb(tmpl, variables, fault);
	if (rendered == NULL)
		return false;
	if (JsonbExtractScalar(&rendered->root, &value))
		*text = wf_jsonb_scalar_text(&value);
	return *text != NULL ||
		   wf_fault(fault, WF_CODE_TEMPLATE, "the %s of a message has to be a string, a number or a boolean", what);
}

bool
wf_message_key(const WfTemplate *tmpl, const WfVariables *variables, const char **key, WfFault *fault)
{
	if (!wf_key_text(tmpl, variables, "key", key, fault))
		return false;
	if (*key != NULL && strlen(*key) > WF_MESSAGE_MAX_KEY)
		return wf_fault(fault, WF_CODE_TEMPLATE, "the key of a message has %zu bytes, more than %d", strlen(*key),
						WF_MESSAGE_MAX_KEY);
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
