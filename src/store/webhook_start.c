/*
 * webhook_start.c
 *		Webhooks that start an instance: what it begins with, and which deliveries came before.
 *
 * Who sends to a webhook sends again until he is answered, and perhaps afterwards. A key, if what came has one, is remembered as
 * long as the instance is, living or in the history.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "model/event_document.h"
#include "store/business_key.h"
#include "store/query.h"
#include "store/webhook_start.h"

static WfQuery q_find = {
	.sql = "SELECT instance FROM workflow_data.webhook_start WHERE process_id = $1 AND name = $2 AND key = $3",
	.nargs = 3,
	.argtypes = {INT4OID, TEXTOID, TEXTOID},
};
static WfQuery q_add = {
	.sql = "INSERT INTO workflow_data.webhook_start (process_id, name, key, instance) VALUES ($1, $2, $3, $4) "
		   "ON CONFLICT DO NOTHING",
	.nargs = 4,
	.argtypes = {INT4OID, TEXTOID, TEXTOID, INT8OID},
};

/* ---- what it begins with ---- */

static bool
unfit(WfFault *fault, const char *message)
{
	*fault = (WfFault){.code = WF_CODE_SEND, .message = message};
	strlcpy(fault->sqlstate, unpack_sql_state(ERRCODE_INVALID_PARAMETER_VALUE), sizeof(fault->sqlstate));
	return false;
}

/* The key from a header. Returns NULL with *problem NULL if there is none, and need not be. */
static const char *
key_of_header(const WfStartOn *on, const WfRawRequest *request, const char **problem)
{
	const char *name = on->idempotency_header != NULL ? on->idempotency_header : WF_IDEMPOTENCY_HEADER;
	const char *key = wf_request_header(request, name, problem);

	if (*problem != NULL)
		*problem = psprintf("there is more than one header \"%s\", or it is no text", name);
	else if (key == NULL && on->idempotency_header != NULL)
		*problem = psprintf("the header \"%s\" is missing", name);
	return key;
}

/* The key from a template, which may give null. */
static const char *
key_of_template(const WfStartOn *on, const WfVariables *variables, const char **problem)
{
	WfFault		fault = {0};
	Jsonb	   *made = wf_template_jsonb(on->idempotency_key, variables, &fault);
	const char *key = NULL;
	JsonbValue	value;

	*problem = NULL;
	if (made == NULL)
		*problem = fault.message;
	else if (!JsonbExtractScalar(&made->root, &value) ||
			 ((key = wf_jsonb_scalar_text(&value)) == NULL && value.type != jbvNull))
		*problem = "it has to be a string, a number or a boolean";
	return key;
}

static bool
find_key(WfWebhookStart *webhook, const WfRawRequest *request, const WfVariables *variables, WfFault *fault)
{
	const WfStartOn *on = webhook->start.on;
	const char		*problem;

	webhook->key =
		on->idempotency_key != NULL ? key_of_template(on, variables, &problem) : key_of_header(on, request, &problem);
	if (problem == NULL && webhook->key != NULL && *webhook->key == '\0')
		problem = "it is empty";
	if (problem == NULL && webhook->key != NULL && strlen(webhook->key) > WF_WEBHOOK_MAX_KEY)
		problem = psprintf("it has more than %d bytes", WF_WEBHOOK_MAX_KEY);
	if (problem == NULL)
		return true;
	return unfit(fault, psprintf("the idempotency key cannot be made: %s", problem));
}

static bool
find_data(WfWebhookStart *webhook, const WfVariables *variables, Jsonb *body, WfFault *fault)
{
	WfTemplate *tmpl = webhook->start.on->data;
	WfFault		why = {0};

	webhook->message.data = tmpl != NULL ? wf_template_jsonb(tmpl, variables, &why) : body;
	if (tmpl != NULL && webhook->message.data == NULL)
		return unfit(fault, psprintf("its \"data\" cannot be made: %s", why.message));
	return wf_message_start_takes(&webhook->start, &webhook->message, fault);
}

bool
wf_webhook_start_prepare(WfWebhookStart *webhook, const WfRawRequest *request, Jsonb *body, WfFault *fault)
{
	const WfProcess *process = webhook->start.process;
	Jsonb			*defaults = process->def->data;
	WfEventDocument	 event = {.kind = "webhook",
							  .name = webhook->start.on->webhook,
							  .data = body,
							  .role = webhook->message.role_name,
							  .at = webhook->message.sent_at,
							  .timezone = process->timezone};
	WfVariables		 variables = {.data = defaults,
								  .timezone = process->timezone,
								  .process = process->name,
								  .event = wf_event_document_make(&event),
								  .index = -1};

	if (!find_key(webhook, request, &variables, fault) || !find_data(webhook, &variables, body, fault))
		return false;
	if (webhook->message.data != NULL)
		variables.data = wf_jsonb_merge(defaults, webhook->message.data);
	return wf_message_start_work_out_key(&webhook->start, &variables, fault);
}

/* ---- what came before ---- */

static int64
find_remembered(const WfWebhookStart *webhook)
{
	Datum values[3] = {Int32GetDatum(webhook->start.process->process_id),
					   CStringGetTextDatum(webhook->start.on->webhook), CStringGetTextDatum(webhook->key)};

	return wf_query_run(&q_find, values, NULL) > 0 ? wf_result_int64(0, 1) : 0;
}

bool
wf_webhook_start_remember(const WfWebhookStart *webhook, int64 instance)
{
	Datum values[4] = {Int32GetDatum(webhook->start.process->process_id),
					   CStringGetTextDatum(webhook->start.on->webhook), CStringGetTextDatum(webhook->key),
					   Int64GetDatum(instance)};

	return wf_query_run(&q_add, values, NULL) > 0;
}

int64
wf_webhook_start_known(const WfWebhookStart *webhook)
{
	int64 instance = webhook->key != NULL ? find_remembered(webhook) : 0;

	if (instance != 0 || webhook->start.business_key == NULL)
		return instance;
	instance = wf_business_key_living(webhook->start.process->process_id, webhook->start.business_key);
	/* it is over when the instance is, but what came under this key is not to start another one then */
	if (instance != 0 && webhook->key != NULL && !wf_webhook_start_remember(webhook, instance))
		instance = find_remembered(webhook);
	return instance;
}
