/*
 * webhook_start.c
 *		workflow.webhook and workflow.webhook_token: an outside system that has a URL starts instances.
 *
 * The token is all the right that is needed, with the signature if the entry asks for one. It is good for the webhook of that
 * name, as long as the latest version of the process lists it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "api/signature.h"
#include "engine/engine.h"
#include "engine/start_on.h"
#include "model/issue.h"
#include "store/access.h"
#include "store/durable.h"
#include "store/privilege.h"
#include "store/subtransaction.h"
#include "store/token.h"
#include "store/version.h"
#include "store/webhook_start.h"

/* Others may start it, or end it, meanwhile: it is looked for again so often. */
#define MOST_ROUNDS 8

WF_FUNCTION(workflow_webhook);
WF_FUNCTION(workflow_webhook_token);

/* ---- tokens ---- */

/* Read the number of the process. Returns the proof behind it; errors never show the token. */
static const char *
read_token(FunctionCallInfo fcinfo, int *process_id)
{
	char *text = wf_argument_text_required(fcinfo, 0, "token");
	char *dot = strchr(text, '.');
	int64 number = 0;

	if (dot != NULL && dot - text <= 10 && text[0] != '0' && strspn(text, "0123456789") == dot - text)
		number = strtoi64(text, NULL, 10);
	if (number <= 0 || number > PG_INT32_MAX || strlen(dot + 1) != WF_TOKEN_PROOF_LEN)
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), errmsg("malformed token"),
				errdetail("A token of a webhook is a number, a dot and %d characters.", WF_TOKEN_PROOF_LEN));
	*process_id = (int) number;
	return dot + 1;
}

/* Find the webhook of this token. Returns false if there is none, or it was not made here. */
static bool
find_webhook(int process_id, const char *proof, WfMessageStart *start)
{
	if (!wf_token_load_key())
		return false;
	start->process = wf_process_latest(process_id, &start->suspended);
	for (int i = 0; start->process != NULL && i < start->process->def->nstarts; i++)
	{
		start->on = &start->process->def->starts[i];
		if (start->on->webhook != NULL && wf_token_is_webhook(process_id, start->on->webhook, proof))
			return true;
	}
	return false;
}

static void
require_webhook(int process_id, const char *proof, WfMessageStart *start)
{
	if (!find_webhook(process_id, proof, start))
		ereport(ERROR, errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("wrong token"),
				errdetail("It was not made by this database, or its process does not start on that webhook any more."));
}

/* ---- starting ---- */

static void
report_unfit(const WfWebhookStart *webhook, const WfFault *fault)
{
	const char *state = fault->sqlstate;

	ereport(ERROR, errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
			errmsg("webhook \"%s\" starts no instance: %s", wf_issue_clip(webhook->start.on->webhook), fault->message),
			errhint("Its entry in \"start_on\" says what is made of what comes."));
}

typedef struct Try
{
	const WfWebhookStart *webhook;
	int64				  instance; /* 0: it was not started */
} Try;

static bool
run_start(void *arg)
{
	Try			 *try = arg;
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;
	int64		  instance;

	wf_store_enter(&access);
	MemoryContextSwitchTo(context);
	instance = wf_engine_start_on(&try->webhook->start, &try->webhook->message, true);
	if (try->webhook->key == NULL || wf_webhook_start_remember(try->webhook, instance))
		try->instance = instance;
	wf_store_leave(&access);
	return try->instance != 0;
}

/* Start it, in a subtransaction. Returns 0 if another transaction was faster. */
static int64
try_to_start(const WfWebhookStart *webhook)
{
	Try		   try = {webhook};
	ErrorData *error = wf_subtransaction_run(run_start, &try);

	if (error != NULL && error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(error);
	return error == NULL ? try.instance : 0;
}

/* Start an instance, unless this has started one before. *known: it has. */
static int64
start_once(const WfWebhookStart *webhook, bool *known)
{
	int64 instance = 0;

	*known = false;
	if (webhook->key == NULL && webhook->start.business_key == NULL)
		return wf_engine_start_on(&webhook->start, &webhook->message, true);
	for (int round = 0; round < MOST_ROUNDS && instance == 0; round++)
	{
		instance = wf_webhook_start_known(webhook);
		*known = instance != 0;
		if (instance == 0)
			instance = try_to_start(webhook);
	}
	if (instance == 0)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access due to concurrent update"),
				errhint("The transaction might succeed if retried."));
	return instance;
}

/*
 * workflow.webhook(token text, body bytea, headers jsonb) → bigint, the number of the instance
 *
 * The number is that of the instance which it has started before, if it is known by its idempotency key, or its business
 * key lives. Errors: 22P02 malformed, 28000 for a wrong token or signature, 55000 if there is no secret to verify that
 * with, class 22 for a body that does not do, 54000 for one that is too large, 40001 for a conflict in a serializable
 * transaction.
 */
Datum
workflow_webhook(PG_FUNCTION_ARGS)
{
	int			   process_id;
	const char	  *proof = read_token(fcinfo, &process_id);
	WfRawRequest   request = wf_argument_request(fcinfo, 1);
	WfWebhookStart webhook = {.message.sent_at = GetCurrentTimestamp()};
	WfFault		   fault = {0};
	WfAccess	   access;
	int64		   instance;
	bool		   known;

	PreventCommandIfReadOnly("workflow.webhook()");
	wf_store_enter(&access);
	require_webhook(process_id, proof, &webhook.start);
	if (webhook.start.on->signature != NULL)
		wf_signature_require(webhook.start.on->signature, process_id, &request);
	webhook.message.name = webhook.start.on->webhook;
	webhook.message.role = access.caller;
	webhook.message.role_name = GetUserNameFromId(access.caller, false);
	if (!wf_webhook_start_prepare(&webhook, &request, wf_request_json(&request), &fault))
		report_unfit(&webhook, &fault);
	instance = start_once(&webhook, &known);
	wf_store_leave(&access);
	if (known)
		wf_durable_require();
	PG_RETURN_INT64(instance);
}

/* ---- showing a token ---- */

static const char *
webhook_name_at(const void *def, int i)
{
	return ((const WfDefinition *) def)->starts[i].webhook;
}

static void
require_listed(const WfProcess *process, const char *name)
{
	const WfDefinition *def = process->def;
	int					near;

	for (int i = 0; i < def->nstarts; i++)
		if (def->starts[i].webhook != NULL && strcmp(def->starts[i].webhook, name) == 0)
			return;
	near = wf_issue_nearest(name, def, def->nstarts, webhook_name_at);
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("process \"%s\" does not start on webhook \"%s\"", process->name, wf_issue_clip(name)),
			near >= 0 ? errhint("%s", wf_issue_perhaps(def->starts[near].webhook, name))
					  : errhint("\"start_on\" of its latest version lists those on which it does."));
}

/*
 * workflow.webhook_token(process text, webhook text) → text
 *
 * Errors: 42704 for an unknown process, or a webhook that its latest version does not list; 55000 if it was undefined,
 * 42501 without the privilege admin.
 */
Datum
workflow_webhook_token(PG_FUNCTION_ARGS)
{
	char			*process_name = wf_argument_text_required(fcinfo, 0, "process");
	char			*name = wf_argument_text_required(fcinfo, 1, "webhook");
	MemoryContext	 context = CurrentMemoryContext;
	const WfProcess *process;
	WfAccess		 access;
	char			*token;

	wf_store_enter(&access);
	process = wf_process_by_name(process_name, 0, NULL);
	wf_privilege_require(process->process_id, access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	require_listed(process, name);
	if (!wf_token_load_key())
		elog(ERROR, "this database has no key for tokens");
	token = MemoryContextStrdup(context, wf_token_make_webhook(process->process_id, name));
	wf_store_leave(&access);
	PG_RETURN_TEXT_P(cstring_to_text(token));
}
