/*
 * token.c
 *		Tokens come and go: visits are entered, end, or become incidents.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "engine/action.h"
#include "engine/token.h"

/* Let a token enter a step. Steps without wait are counted for each token. */
WfVisit *
wf_token_enter(WfBatch *batch, WfInstance *instance, const WfVisit *from, int step, Jsonb *caught, int64 id)
{
	WfVisit *visit = wf_batch_new_visit(batch, instance, &instance->process->def->steps[step], id);

	visit->caught = caught;
	visit->steps_without_wait = from != NULL ? from->steps_without_wait + 1 : 0;
	visit->memory.unbegun = from != NULL ? from->memory.unbegun : 0;
	instance->tokens.n++;
	instance->tokens.changed = true;
	instance->entered++;
	wf_push(batch, visit, WF_ENTER);
	return visit;
}

void
wf_token_follow(WfBatch *batch, const WfVisit *from, const WfTargets *targets, Jsonb *caught)
{
	for (int i = 0; i < targets->n; i++)
		(void) wf_token_enter(batch, from->instance, from, targets->steps[i], caught, 0);
}

Jsonb *
wf_token_result(WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	Jsonb  *initial = NULL;
	bool	called_back = visit->accepted == WF_ACCEPTED_CALLBACK;
	WfField fields[6];

	if (visit->docs.reply != NULL && visit->def != NULL)
		initial = wf_jsonb_get(visit->docs.reply, wf_actions[visit->def->action].reply_key);
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "status", .kind = WF_FIELD_TEXT, .text = wf_outcome_name(outcome)};
	fields[1] = (WfField){.key = "initial_response", .jsonb = initial};
	fields[2] = (WfField){.key = "callback_response", .jsonb = called_back ? visit->docs.callback : NULL};
	fields[3] = (WfField){.key = "response", .jsonb = called_back ? visit->docs.callback : initial};
	fields[4] = (WfField){.key = "cancel_response", .jsonb = visit->cancel.response};
	fields[5] = (WfField){.key = "error", .jsonb = error};
	return wf_jsonb_object(fields, lengthof(fields));
}

void
wf_token_end(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	visit->outcome = outcome;
	visit->error = error;
	if (visit->docs.result == NULL)
		visit->docs.result = wf_token_result(visit, outcome, error);
	wf_state_end(batch, visit);
}

void
wf_token_become_incident(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	visit->outcome = outcome;
	visit->error = error;
	visit->docs.result = wf_token_result(visit, outcome, error);
	wf_state_incident(batch, visit);
}

const WfEntry *
wf_token_catch(WfVisit *visit, WfOutcome outcome, Jsonb *error)
{
	char *code = wf_error_code(error);
	int	  status = wf_error_status(error);

	if (visit->def == NULL)
		return NULL;
	for (int i = visit->def->nwaits; i < visit->def->nentries; i++)
	{
		const WfEntry *handler = &visit->def->entries[i];

		if (handler->any || (handler->outcomes & (1U << outcome)) != 0)
			return handler;
		for (int c = 0; code != NULL && c < handler->ncodes; c++)
			if (wf_code_names(handler->codes[c], code, status))
				return handler;
	}
	return NULL;
}

/* ---- cancelled ---- */

/* The reason with which an instance ends that loses its last token by a cancelled visit. */
static char *
cancelled_alone(WfVisit *visit, Jsonb *error)
{
	Jsonb	  *message = error != NULL ? wf_jsonb_get(error, "message") : NULL;
	char	  *what = psprintf("visit " INT64_FORMAT "_" INT64_FORMAT " was cancelled", visit->instance->id, visit->id);
	JsonbValue value;

	if (message == NULL || !JsonbExtractScalar(&message->root, &value) || value.type != jbvString ||
		value.val.string.len == 0)
		return what;
	return psprintf("%s: %.*s", what, value.val.string.len, value.val.string.val);
}

static bool
was_moved(Jsonb *error)
{
	char *code = wf_error_code(error);

	return code != NULL && strcmp(code, WF_CODE_MOVED) == 0;
}

/* End a visit as CANCELLED. An instance that loses its last token this way is cancelled itself. */
void
wf_token_cancelled(WfBatch *batch, WfVisit *visit, Jsonb *error, bool handled)
{
	MemoryContext  old = MemoryContextSwitchTo(batch->context);
	WfInstance	  *instance = visit->instance;
	bool		   moved = was_moved(error);
	const WfEntry *handler = !handled || moved ? NULL : wf_token_catch(visit, WF_OUTCOME_CANCELLED, error);

	visit->docs.result = NULL;
	wf_token_end(batch, visit, WF_OUTCOME_CANCELLED, error);
	if (handler != NULL)
		wf_token_follow(batch, visit, &handler->next, wf_caught(visit));
	else if (instance->tokens.n == 0 && instance->cancel_reason == NULL && !moved)
		instance->cancel_reason = cancelled_alone(visit, error);
	MemoryContextSwitchTo(old);
}
