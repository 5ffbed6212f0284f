/*
 * send.c
 *		The action `send`: a step throws an escalation. It goes to a scope around, which the same move has in
 *		its hands.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "engine/event.h"
#include "engine/handler.h"
#include "engine/send.h"
#include "engine/token.h"

/* The key that a message_id takes up in an index makes its sender wait for another one with the same. */
bool
wf_send_by_executor(const WfStep *step)
{
	return step->send != NULL && step->send->message_id != NULL;
}

/* ---- escalations ---- */

static bool
catches(const WfEntry *handler, const char *code)
{
	return handler->event.kind == WF_EVENT_ESCALATION &&
		   (strcmp(handler->event.name, "*") == 0 || strcmp(handler->event.name, code) == 0);
}

/* The nearest scope around that catches the code and does not end early, and its handler; NULL: there is none. */
static WfVisit *
find_catcher(const WfVisit *visit, const char *code, const WfEntry **handler)
{
	for (WfVisit *scope = visit->scope; scope != NULL; scope = scope->scope)
	{
		if (scope->def == NULL || scope->state == WF_STATE_CANCELLING || wf_state_is_ending(scope))
			continue;
		for (int i = scope->def->nwaits; i < scope->def->nentries; i++)
		{
			*handler = &scope->def->entries[i];
			if (catches(*handler, code))
				return scope;
		}
	}
	return NULL;
}

static const char *
escalate(WfBatch *batch, WfVisit *visit, Jsonb *data)
{
	const WfEntry *handler;
	WfVisit		  *scope = find_catcher(visit, visit->def->send->name, &handler);
	WfHappening	   happening = {.kind = WF_EVENT_ESCALATION,
								.name = visit->def->send->name,
								.data = data,
								.at = batch->now};
	Jsonb		  *event;

	if (scope == NULL)
		return "missed";
	event = wf_event_document(visit->instance, &happening);
	wf_handler_escalate(batch, visit, scope, handler, event);
	return "delivered";
}

/* ---- all of them ---- */

/* Returns the answer; NULL with *fault. */
static const char *
send_event(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	const WfSend *send = visit->def->send;
	WfVariables	  variables;
	Jsonb		 *data = NULL;

	wf_engine_variables(visit, &variables);
	if (send->data != NULL && (data = wf_template_jsonb(send->data, &variables, fault)) == NULL)
		return NULL;
	return escalate(batch, visit, data);
}

bool
wf_send(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	const char	 *answer = send_event(batch, visit, fault);
	JsonbValue	  value = {.type = jbvString};

	if (answer != NULL)
	{
		value.val.string.val = unconstify(char *, answer);
		value.val.string.len = strlen(answer);
		visit->docs.reply = JsonbValueToJsonb(&value);
		visit->docs.has_reply = true;
		visit->docs.changed = true;
		visit->changed = true;
	}
	MemoryContextSwitchTo(old);
	return answer != NULL;
}
