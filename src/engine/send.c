/*
 * send.c
 *		The action `send`: a step throws a message, a signal or an escalation.
 *
 * Messages and signals go out with the transaction, as deliveries, even to those who wait in the same instance: an
 * instance that is entered while it is being moved would be found half-way. An escalation goes to a scope around, which
 * the same move has in its hands.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "engine/event.h"
#include "engine/handler.h"
#include "engine/send.h"
#include "engine/subscribe.h"
#include "engine/token.h"
#include "store/message.h"
#include "store/notice.h"
#include "store/privilege.h"
#include "store/subscription.h"

/* ---- escalations ---- */

static bool
catches(const WfEntry *handler, const char *code)
{
	return handler->event.kind == WF_EVENT_ESCALATION &&
		   (strcmp(handler->event.name, "*") == 0 || strcmp(handler->event.name, code) == 0);
}

/* The nearest one outwards that catches the code and does not end early, and its handler; NULL: there is none. */
static WfVisit *
find_catcher(WfVisit *nearest, const char *code, const WfEntry **handler)
{
	for (WfVisit *scope = nearest; scope != NULL; scope = scope->scope)
	{
		if (scope->def == NULL || scope->state == WF_STATE_CANCELLING || scope->memory.is_caught ||
			wf_state_is_ending(scope))
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

/* Nobody in the instance catches it: the one that has called it may. Returns false if there is none. */
static bool
escalate_to_caller(WfBatch *batch, WfVisit *visit, const char *code, Jsonb *data, TimestampTz at)
{
	WfInstance	*instance = visit->instance;
	WfEscalation escalation = {.child = instance->id,
							   .code = code,
							   .data = data,
							   .steps = visit->steps_without_wait + 1,
							   .at = at};

	if (instance->parent == 0)
		return false;
	wf_notice_escalation(batch, instance->parent, instance->parent_visit, &escalation);
	instance->has_escalated = true;
	return true;
}

const char *
wf_send_escalate(WfBatch *batch, WfVisit *visit, WfVisit *nearest, const char *code, Jsonb *data, TimestampTz at)
{
	MemoryContext  old = MemoryContextSwitchTo(batch->context);
	const WfEntry *handler;
	WfVisit		  *scope = find_catcher(nearest, code, &handler);
	WfHappening	   happening = {.kind = WF_EVENT_ESCALATION, .name = code, .data = data, .at = at};
	const char	  *answer = "delivered";

	if (scope != NULL)
		wf_handler_escalate(batch, visit, scope, handler, wf_event_document(visit->instance, &happening));
	else
		answer = escalate_to_caller(batch, visit, code, data, at) ? "queued" : "missed";
	MemoryContextSwitchTo(old);
	return answer;
}

/* ---- messages ---- */

/* The fault of a step that sends, with the SQLSTATE that a caller would get. */
static bool
wrong(WfFault *fault, int sqlerrcode)
{
	strlcpy(fault->sqlstate, unpack_sql_state(sqlerrcode), sizeof(fault->sqlstate));
	return false;
}

static bool
unsendable(const WfUnsendable *why, WfFault *fault)
{
	const char *code = why->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED ? WF_CODE_DATA : WF_CODE_TEMPLATE;

	(void) wf_fault(fault, code, "\"%s\" %s%s%s", why->field, why->problem, why->detail != NULL ? ": it " : "",
					why->detail != NULL ? why->detail : "");
	return wrong(fault, why->sqlerrcode);
}

static bool
work_out_ttl(WfBatch *batch, WfVisit *visit, const WfVariables *variables, WfSending *sending, WfFault *fault)
{
	TimestampTz	 until;
	WfUnsendable why;

	if (!visit->def->send->ttl.present)
		return true;
	if (!wf_clock_after(visit, &visit->def->send->ttl, variables, batch->now, &until, fault))
		return false;
	return wf_sending_keep(sending, batch->now, until, &why) || unsendable(&why, fault);
}

static bool
work_out_instance(const WfTemplate *tmpl, const WfVariables *variables, int64 *instance, WfFault *fault)
{
	StringInfoData text;
	char		  *end;

	*instance = 0;
	if (tmpl == NULL)
		return true;
	initStringInfo(&text);
	if (!wf_template_text(tmpl, variables, WF_TEXT_KEY, &text, fault))
		return false;
	errno = 0;
	*instance = strtoi64(text.data, &end, 10);
	if (errno != 0 || end == text.data || *end != '\0' || *instance <= 0)
		return wf_fault(fault, WF_CODE_TEMPLATE, "\"%s\" is no number of an instance", text.data);
	return true;
}

static bool
work_out_message(WfBatch *batch, WfVisit *visit, const WfVariables *variables, WfSending *sending, WfFault *fault)
{
	const WfSend *send = visit->def->send;

	return wf_key_text(send->key, variables, "key", &sending->key, fault) &&
		   wf_key_text(send->message_id, variables, "message_id", &sending->message_id, fault) &&
		   work_out_ttl(batch, visit, variables, sending, fault) &&
		   work_out_instance(send->instance, variables, &sending->instance, fault);
}

/* What nobody may send, or not to so many. */
static void
not_sent(WfSent sent, const char *name, const WfUnsent *unsent, WfFault *fault)
{
	if (sent == WF_SENT_AMBIGUOUS)
	{
		(void) wf_fault(fault, WF_CODE_SEND,
						unsent->starts ? "%d processes start on the message \"%s\", which goes to one"
									   : "%d wait for the message \"%s\", which goes to one",
						unsent->n, name);
		(void) wrong(fault, ERRCODE_CARDINALITY_VIOLATION);
	}
	else if (sent == WF_SENT_UNFIT)
	{
		(void) wf_fault(fault, WF_CODE_SEND, "the message \"%s\" starts no instance: %s", name, unsent->fault.message);
		memcpy(fault->sqlstate, unsent->fault.sqlstate, sizeof(fault->sqlstate));
	}
	else if (sent == WF_SENT_FORBIDDEN)
	{
		(void) wf_fault(
			fault, WF_CODE_SEND,
			"the owner of the process may keep no message \"%s\": no process that names it lets him start or complete it",
			name);
		(void) wrong(fault, ERRCODE_INSUFFICIENT_PRIVILEGE);
	}
}

static const char *
send_message(WfSending *sending, WfFault *fault)
{
	WfUnsent unsent;
	WfSent	 sent = wf_message_queue(sending, &unsent);

	not_sent(sent, sending->name, &unsent, fault);
	return fault->code != NULL ? NULL : wf_sent_name(sent);
}

/* ---- all of them ---- */

/* What is sent. Returns false with *fault if that cannot be worked out, or is more than may be sent. */
static bool
work_out(WfBatch *batch, WfVisit *visit, WfSending *sending, WfFault *fault)
{
	const WfSend *send = visit->def->send;
	WfVariables	  variables;
	WfUnsendable  why;

	wf_engine_variables(visit, &variables);
	if (send->data != NULL && (sending->data = wf_template_jsonb(send->data, &variables, fault)) == NULL)
		return false;
	if (send->kind == WF_EVENT_MESSAGE && !work_out_message(batch, visit, &variables, sending, fault))
		return false;
	return wf_sending_fits(sending, &why) || unsendable(&why, fault);
}

/* Returns the answer; NULL with *fault. */
static const char *
send_event(WfBatch *batch, WfVisit *visit, WfFault *fault)
{
	const WfSend *send = visit->def->send;
	WfSending	  sending = {.name = send->name,
							 .to_all = send->to_all,
							 .role = wf_process_owner(visit->instance->process->process_id),
							 .steps = visit->steps_without_wait + 1};

	if (!work_out(batch, visit, &sending, fault))
		return NULL;
	if (send->kind == WF_EVENT_ESCALATION)
		return wf_send_escalate(batch, visit, visit->scope, send->name, sending.data, batch->now);
	if (!OidIsValid(sending.role))
	{
		(void) wf_fault(fault, WF_CODE_SEND, "the owner of the process does not exist any more");
		return NULL;
	}
	/* who waits is looked for in rows */
	wf_subscriptions_flush(batch);
	if (send->kind == WF_EVENT_MESSAGE)
		return send_message(&sending, fault);
	wf_signal_queue(send->name, sending.data, sending.role, sending.steps);
	return wf_sent_name(WF_SENT_QUEUED);
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
