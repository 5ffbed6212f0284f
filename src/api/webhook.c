/*
 * webhook.c
 *		workflow.callback, workflow.callback_raw and workflow.callback_heartbeat: for outside systems that have a URL and
 *		nothing else.
 *
 * The token is all the right that is needed, and is good for one visit and one purpose. It is
 * checked before anything is looked up or locked; a signature, once it is known whether the step wants one, before
 * anything of the request is read or kept.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/completion.h"
#include "api/signature.h"
#include "store/access.h"
#include "store/durable.h"
#include "store/late.h"
#include "store/process.h"
#include "store/token.h"
#include "store/version.h"

WF_FUNCTION(workflow_callback);
WF_FUNCTION(workflow_callback_raw);
WF_FUNCTION(workflow_callback_heartbeat);

typedef struct Token
{
	WfSerial serial;
	char	*proof;
} Token;

/* Read the token. Errors never show it, since it would end up in logs. */
static void
read_token(FunctionCallInfo fcinfo, Token *token)
{
	char *text = wf_argument_text_required(fcinfo, 0, "token");
	char *dot = strchr(text, '.');

	if (dot == NULL || strlen(dot + 1) != WF_TOKEN_PROOF_LEN || !wf_serial_parse(text, dot - text, &token->serial))
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), errmsg("malformed token"),
				errdetail("A token is a serial number, a dot and %d characters.", WF_TOKEN_PROOF_LEN));
	token->proof = dot + 1;
}

/* Lock the visit of the token. Returns false if it is no longer even in the history. */
static bool
find_webhook_visit(WfTarget *target, const Token *token, WfTokenPurpose purpose)
{
	if (!wf_token_load_key() ||
		!wf_token_is_genuine(purpose, token->serial.instance, token->serial.visit, token->proof))
		ereport(ERROR, errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("wrong token"),
				errdetail("It was not made by this database, or for another purpose."));
	return wf_target_find_visit(target, &token->serial);
}

/* ---- signatures ---- */

static const WfSignature *
signature_of_step(const WfStep *step)
{
	int entry = wf_step_entry(step, WF_EVENT_CALLBACK);

	return entry >= 0 ? step->entries[entry].event.signature : NULL;
}

/* The definition that the instance of the target follows, or did when it ended. */
static const WfDefinition *
definition_of(const WfTarget *target, const WfSerial *serial)
{
	int version;

	if (target->instance != NULL)
		return target->instance->process->def;
	version = wf_late_version(serial->instance);
	return version != 0 ? wf_process_get(target->process_id, version)->def : NULL;
}

/*
 * Find what callbacks of an ended visit have to be signed with. Returns false if its step is not in the definition any
 * more, and others there have a signature.
 */
static bool
find_ended_signature(const WfTarget *target, const WfSerial *serial, const WfSignature **signature)
{
	const WfDefinition *def = definition_of(target, serial);
	const char		   *name;
	int					step;

	if (def == NULL || !def->has_signatures)
		return def != NULL;
	name = wf_late_step(serial->instance, serial->visit);
	step = name != NULL ? wf_definition_step(def, name) : -1;
	if (step < 0)
		return false;
	if (def->steps[step].each != NULL)
		*signature = signature_of_step(wf_step_of_item(def, &def->steps[step]));
	if (*signature == NULL)
		*signature = signature_of_step(&def->steps[step]);
	return true;
}

/*
 * Verify the signature that callbacks of the visit have to have; `request` is NULL if only what was read from it is there.
 * Returns false if it is not known whether they have to: then nothing of one that is late is kept.
 */
static bool
verify(const WfTarget *target, const WfSerial *serial, const WfRawRequest *request)
{
	const WfSignature *signature = NULL;

	if (target->visit != NULL && !target->visit->ended)
		signature = target->visit->def != NULL ? signature_of_step(target->visit->def) : NULL;
	else if (!find_ended_signature(target, serial, &signature))
		return false;
	if (signature == NULL)
		return true;
	if (request == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("wrong signature"),
				errdetail("The step takes callbacks that are signed, and a signature is of the bytes that came."),
				errhint("Call workflow.callback_raw."));
	wf_signature_require(signature, target->process_id, request);
	return true;
}

/* ---- the functions ---- */

/* Finish the visit of the token, with data or with what is in the request. */
static bool
call_back(const Token *token, WfCompletion *completion, const WfRawRequest *request)
{
	WfAccess access;
	WfTarget target;
	bool	 accepted = false;

	wf_store_enter(&access);
	if (find_webhook_visit(&target, token, WF_TOKEN_CALLBACK) && verify(&target, &token->serial, request))
	{
		if (request != NULL)
			completion->data = wf_request_json(request);
		accepted = wf_completion_apply(&target, &token->serial, completion, access.caller);
	}
	return wf_completion_end(&target, &access, accepted);
}

/*
 * workflow.callback(token text, data jsonb) → boolean
 *
 * As workflow.complete, for the holder of the token in $callback_url. Errors: 22P02 malformed,
 * 28000 wrong, or its step wants a signature; 55000 if the visit takes no callback, 40001 for a conflict in a serializable
 * transaction.
 */
Datum
workflow_callback(PG_FUNCTION_ARGS)
{
	WfCompletion completion = {.data = wf_argument_jsonb(fcinfo, 1), .webhook = true};
	Token		 token;

	read_token(fcinfo, &token);
	PreventCommandIfReadOnly("workflow.callback()");
	PG_RETURN_BOOL(call_back(&token, &completion, NULL));
}

/*
 * workflow.callback_raw(token text, body bytea, headers jsonb) → boolean
 *
 * The same with the bytes that came, whose signature is verified before they are read. Errors: those of
 * workflow.callback; 28000 for a wrong signature, 55000 if there is no secret to verify it with, 22P02, 22021 for a body
 * that is no JSON in UTF-8, 54000 for one that is too large.
 */
Datum
workflow_callback_raw(PG_FUNCTION_ARGS)
{
	WfCompletion completion = {.webhook = true};
	WfRawRequest request;
	Token		 token;

	read_token(fcinfo, &token);
	request = wf_argument_request(fcinfo, 1);
	PreventCommandIfReadOnly("workflow.callback_raw()");
	PG_RETURN_BOOL(call_back(&token, &completion, &request));
}

/*
 * workflow.callback_heartbeat(token text, progress jsonb) → boolean
 *
 * As workflow.heartbeat, for the holder of the token in $heartbeat_url. Errors: 22P02 malformed,
 * 28000 wrong, 22023 for a progress of more than 64 kB.
 */
Datum
workflow_callback_heartbeat(PG_FUNCTION_ARGS)
{
	Jsonb	*progress = wf_argument_progress(fcinfo, 1);
	WfAccess access;
	WfTarget target;
	Token	 token;
	bool	 wanted = false;

	read_token(fcinfo, &token);
	PreventCommandIfReadOnly("workflow.callback_heartbeat()");
	wf_store_enter(&access);
	if (find_webhook_visit(&target, &token, WF_TOKEN_HEARTBEAT))
		wanted = wf_heartbeat_apply(&target, &token.serial, progress);
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!wanted)
		wf_durable_require();
	PG_RETURN_BOOL(wanted);
}
