/*
 * webhook.c
 *		workflow.callback and workflow.callback_heartbeat: for outside systems that have a URL and
 *		nothing else.
 *
 * The token is all the right that is needed, and is good for one visit and one purpose. It is
 * checked before anything is looked up or locked.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/completion.h"
#include "store/access.h"
#include "store/durable.h"
#include "store/token.h"

PG_FUNCTION_INFO_V1(workflow_callback);
PG_FUNCTION_INFO_V1(workflow_callback_heartbeat);

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

/*
 * workflow.callback(token text, data jsonb) → boolean
 *
 * As workflow.complete, for the holder of the token in $callback_url. Errors: 22P02 malformed,
 * 28000 wrong, 55000 if the visit takes no callback, 40001 for a conflict in a serializable
 * transaction.
 */
Datum
workflow_callback(PG_FUNCTION_ARGS)
{
	WfCompletion completion = {.data = wf_argument_jsonb(fcinfo, 1), .webhook = true};
	WfAccess	 access;
	WfTarget	 target;
	Token		 token;
	bool		 accepted = false;

	read_token(fcinfo, &token);
	PreventCommandIfReadOnly("workflow.callback()");
	wf_store_enter(&access);
	if (find_webhook_visit(&target, &token, WF_TOKEN_CALLBACK))
		accepted = wf_completion_apply(&target, &token.serial, &completion, access.caller);
	if (accepted)
		wf_batch_flush(target.batch);
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!accepted)
		wf_durable_require();
	PG_RETURN_BOOL(accepted);
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
