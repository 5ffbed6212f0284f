/*
 * message.c
 *		workflow.send_message, workflow.send_signal and workflow.withdraw_message.
 *
 * A message for which exactly one visit waits moves that on at once, in the sender's transaction, if its
 * instance is free. That is tried in a subtransaction: whatever keeps it from moving, an error included, is
 * no business of the sender's, and the message becomes a delivery, which workers bring. If nobody waits, and a process
 * starts on it, its instance starts in that transaction, too, and what fails then is the sender's error.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "api/operation.h"
#include "api/target.h"
#include "engine/engine.h"
#include "engine/start_on.h"
#include "model/issue.h"
#include "model/template.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/due.h"
#include "store/durable.h"
#include "store/message.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/row.h"
#include "store/subtransaction.h"
#include "store/version.h"

/* So many messages are brought directly in one transaction. */
#define MOST_BROUGHT 32

WF_FUNCTION(workflow_send_message);
WF_FUNCTION(workflow_send_signal);
WF_FUNCTION(workflow_withdraw_message);

/* ---- arguments ---- */

static void
report_unsendable(const WfUnsendable *why)
{
	ereport(ERROR, errcode(why->sqlerrcode), errmsg("argument \"%s\" %s", why->field, why->problem),
			why->detail != NULL ? errdetail("It %s.", why->detail) : 0,
			why->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED
				? errhint("Keep large documents in tables, and their keys in the data.")
				: 0);
}

static void
require_fit(const WfSending *sending)
{
	WfUnsendable why;

	if (!wf_sending_fits(sending, &why))
		report_unsendable(&why);
}

/* In jsonb a number has one form, whatever type it had. */
static char *
number_text(Datum value, Oid type)
{
	Datum number = DirectFunctionCall3(numeric_in, CStringGetDatum(wf_row_value_text(value, type)),
									   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	return DatumGetCString(DirectFunctionCall1(numeric_out, number));
}

static char *
jsonb_text(Jsonb *jsonb)
{
	JsonbValue value;
	char	  *text = NULL;

	if (JsonbExtractScalar(&jsonb->root, &value))
		text = wf_jsonb_scalar_text(&value);
	if (text == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"%s\" must be a scalar", "key"),
				errdetail("A key is the text of a string, a number or a boolean."));
	return text;
}

/* The key as text: the one that its value has as a JSON scalar, as keys of those who wait are. */
static char *
key_argument(FunctionCallInfo fcinfo, int n)
{
	Oid	  type = get_fn_expr_argtype(fcinfo->flinfo, n);
	Datum value;

	if (PG_ARGISNULL(n))
		return NULL;
	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of the key");
	value = PG_GETARG_DATUM(n);
	switch (getBaseType(type))
	{
		case BOOLOID:
			return DatumGetBool(value) ? "true" : "false";
		case FLOAT4OID:
		case FLOAT8OID:
			return number_text(value, type);
		case JSONBOID:
			return jsonb_text(DatumGetJsonbP(value));
		case JSONOID:
			return jsonb_text(
				DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(value)))));
		default:
			return wf_row_value_text(value, type);
	}
}

/* Months and days are counted from now. */
static void
read_ttl(FunctionCallInfo fcinfo, int n, WfSending *sending)
{
	TimestampTz	 now = wf_now();
	TimestampTz	 until;
	WfUnsendable why;

	wf_argument_require(fcinfo, n, "ttl");
	until =
		DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), PG_GETARG_DATUM(n)));
	if (!wf_sending_keep(sending, now, until, &why))
		report_unsendable(&why);
}

static void
read_message_arguments(FunctionCallInfo fcinfo, WfSending *sending)
{
	memset(sending, 0, sizeof(*sending));
	sending->name = wf_argument_text_required(fcinfo, 0, "name");
	sending->key = key_argument(fcinfo, 1);
	sending->data = wf_argument_jsonb(fcinfo, 2);
	read_ttl(fcinfo, 3, sending);
	sending->message_id = wf_argument_text(fcinfo, 4);
	wf_argument_require(fcinfo, 6, "to_all");
	sending->to_all = PG_GETARG_BOOL(6);
	require_fit(sending);
	if (PG_ARGISNULL(5))
		return;
	sending->instance = PG_GETARG_INT64(5);
	if (sending->instance <= 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" must be positive", "instance"));
}

/* ---- bringing a message to the one that waits ---- */

/* Is the receiver free to be moved on? */
static WfSent
look_at_receiver(WfBatch *batch, const WfReceiver *receiver, int *entry)
{
	int64		instance = receiver->instance;
	int64		number;
	WfInstance *locked;

	if (wf_batch_lock(batch, &instance, 1, WF_LOCK_SKIP) == 0)
		return wf_instances_living(&instance, 1, &number) > 0 ? WF_SENT_QUEUED : WF_SENT_MISSED;
	locked = wf_batch_instance(batch, instance);
	if (locked->status == WF_STATUS_SUSPENDED || wf_deliveries_have(&instance, 1, &number) > 0)
		return WF_SENT_QUEUED;
	if (!wf_receiver_waits(receiver->subscription, entry))
		return WF_SENT_MISSED;
	return WF_SENT_DELIVERED;
}

static WfSent
move_receiver(const WfMessage *message, const WfReceiver *receiver)
{
	WfBatch	   *batch = wf_batch_begin();
	WfHappening happening = {.kind = WF_EVENT_MESSAGE,
							 .name = message->name,
							 .key = message->key,
							 .data = message->data,
							 .role = message->role_name,
							 .at = message->sent_at};
	WfVisit	   *visit = NULL;
	int			entry = receiver->entry;
	WfSent		sent;

	batch->caller = message->role;
	batch->call = "send_message";
	sent = look_at_receiver(batch, receiver, &entry);
	if (sent == WF_SENT_DELIVERED)
	{
		wf_batch_load_visits(batch, &receiver->instance, &receiver->visit, 1);
		visit = wf_batch_visit(batch, receiver->instance, receiver->visit);
		if (visit == NULL || !wf_engine_event(batch, visit, entry, &happening))
			sent = WF_SENT_MISSED;
		else
			wf_batch_flush(batch);
	}
	wf_batch_end(batch);
	return sent;
}

/*
 * Many subtransactions of one transaction make snapshots slow, for the whole server: after some, messages
 * become deliveries.
 */
static bool
has_brought_many(void)
{
	static TimestampTz transaction = 0;
	static int		   brought = 0;

	if (transaction != GetCurrentTransactionStartTimestamp())
		brought = 0;
	transaction = GetCurrentTransactionStartTimestamp();
	return brought++ >= MOST_BROUGHT;
}

typedef struct Try
{
	const WfMessage	 *message;
	const WfReceiver *receiver;
	WfSent			  sent;
} Try;

static bool
run_bringing(void *arg)
{
	Try			 *bringing = arg;
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;

	wf_store_enter(&access);
	MemoryContextSwitchTo(context);
	bringing->sent = move_receiver(bringing->message, bringing->receiver);
	wf_store_leave(&access);
	return bringing->sent == WF_SENT_DELIVERED;
}

/* Move the receiver on, in a subtransaction: nothing of it stays if that does not come to its end. */
static WfSent
bring(const WfMessage *message, const WfReceiver *receiver)
{
	Try		   bringing = {message, receiver, WF_SENT_QUEUED};
	ErrorData *error;

	if (has_brought_many())
		return WF_SENT_QUEUED;
	error = wf_subtransaction_run(run_bringing, &bringing);
	if (error == NULL)
		return bringing.sent;
	if (wf_error_is_of_server(error->sqlerrcode))
		ReThrowError(error);
	return WF_SENT_QUEUED;
}

/* ---- the functions ---- */

/* What could tell those who wait apart, of what was not given. Without an instance both sides have no key. */
static const char *
hint_for_several(const WfSending *sending)
{
	if (sending->instance == 0)
		return "Give the instance, if they are of several; or let all of them have it: to_all => true.";
	if (sending->key == NULL)
		return "Give the key, if they wait with one; or let all of them have it: to_all => true.";
	return "Let all of them have it: to_all => true. To reach one, the process has to give them names or keys of their own.";
}

/* An instance starts in the caller's transaction, as by workflow.start. */
static void
start(const WfMessage *message, const WfMessageStart *start_on)
{
	(void) wf_engine_start_on(start_on, message, false);
}

static void
report_several_starts(const WfSending *sending, const WfUnsent *unsent)
{
	ereport(ERROR, errcode(ERRCODE_CARDINALITY_VIOLATION),
			errmsg("%d processes start on message \"%s\"", unsent->n, wf_issue_clip(sending->name)),
			errdetail("They are %s.", unsent->whose), errhint("Let all of them have it: to_all => true."));
}

static void
report_unfit(const WfSending *sending, const WfUnsent *unsent)
{
	const char *state = unsent->fault.sqlstate;

	ereport(ERROR, errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
			errmsg("message \"%s\" starts no instance: %s", wf_issue_clip(sending->name), unsent->fault.message),
			errhint("The view workflow.message_starts shows which processes start on it, and how."));
}

static void
report_several(const WfSending *sending, const WfUnsent *unsent)
{
	ereport(ERROR, errcode(ERRCODE_CARDINALITY_VIOLATION),
			errmsg("%d visits wait for message \"%s\"", unsent->n, wf_issue_clip(sending->name)),
			errdetail("They are %s.", unsent->whose), errhint("%s", hint_for_several(sending)));
}

static void
report_forbidden(const WfSending *sending)
{
	/* he may keep all that there is; others are not told what there is */
	if (superuser_arg(sending->role))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("message \"%s\" cannot be kept", wf_issue_clip(sending->name)),
				errdetail("No process names that message, so that nobody could come to wait for it."),
				errhint("Perhaps it is misspelt, or has another name in the latest version of the process."));
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("permission denied to keep message \"%s\"", wf_issue_clip(sending->name)),
			errdetail("The privilege \"complete\" or \"start\" is needed on a process that names that message."),
			errhint("Without \"ttl\" it goes to whoever waits for it now, or to nobody."));
}

/* ---- later ---- */

/* What can reach nobody is not put on record. To whom it may go is looked at when it is sent. */
static void
require_any_right(Oid role)
{
	if (!wf_privilege_may_send(role))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to send later"),
				errdetail("The privilege \"complete\" or \"start\" is needed, on any process."));
}

/*
 * One to an instance stands in line with other calls of it, behind its start; if the sender has no right there, it is as one to
 * an instance that there is not.
 */
static void
store(WfOperationCall call, int64 instance, char *callback_url, WfField *arguments, int n)
{
	WfAccess	access;
	WfTarget	target;
	WfOperation operation = {.call = call, .callback_url = callback_url};

	wf_store_enter(&access);
	require_any_right(access.caller);
	if (callback_url != NULL)
	{
		wf_target_instance_later(&target, instance, access.caller, WF_PRIVILEGE_VIEW, WF_PRIVILEGE_VIEW);
		operation.instance = instance;
		operation.process_id = target.process_id;
	}
	else if (instance != 0)
	{
		operation.process_id = wf_target_process_later(instance, access.caller);
		operation.instance = operation.process_id != 0 ? instance : 0;
	}
	wf_operation_call(&operation, &access, arguments, n);
	wf_store_leave(&access);
}

static void
send_later(FunctionCallInfo fcinfo, const WfSending *sending, char *callback_url)
{
	char   *ttl = DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(3)));
	char   *instance = sending->instance != 0 ? psprintf(INT64_FORMAT, sending->instance) : NULL;
	WfField arguments[] = {WF_OPERATION_TEXT("name", sending->name),
						   WF_OPERATION_TEXT("key", sending->key),
						   WF_OPERATION_JSONB("data", sending->data),
						   WF_OPERATION_TEXT("ttl", ttl),
						   WF_OPERATION_TEXT("message_id", sending->message_id),
						   WF_OPERATION_TEXT("instance", instance),
						   WF_OPERATION_TEXT("to_all", sending->to_all ? "true" : "false")};

	if (callback_url != NULL && sending->instance == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a message with a callback_url goes to one instance"), errhint("Name that: instance => ..."));
	store(WF_CALL_SEND_MESSAGE, sending->instance, callback_url, arguments, lengthof(arguments));
}

/*
 * workflow.send_message(name text, key "any type", data jsonb, ttl interval, message_id text, instance bigint,
 * to_all boolean) → text: delivered, queued, kept, missed or duplicate
 *
 * Errors: 21000 if several wait, or several processes start on it, unless to_all; 22004 for a NULL name; 22023 for a name,
 * key, message_id, ttl or instance that cannot be, and for data with which no instance can start; 23505 for the business
 * key of a living instance; 42501 for a ttl without a right to that; 54000 for data that are larger than
 * workflow.max_data; 40001 for a conflict in a serializable transaction.
 */
Datum
workflow_send_message(PG_FUNCTION_ARGS)
{
	WfSending sending;
	WfAccess  access;
	WfUnsent  unsent;
	WfSent	  sent;
	char	 *callback_url;

	PreventCommandIfReadOnly("workflow.send_message()");
	read_message_arguments(fcinfo, &sending);
	if (wf_argument_async(fcinfo, 7, &callback_url))
	{
		send_later(fcinfo, &sending, callback_url);
		PG_RETURN_NULL();
	}
	wf_store_enter(&access);
	sending.role = access.caller;
	sent = wf_message_send(&sending, &(WfBringing){bring, start}, &unsent);
	if (sent == WF_SENT_AMBIGUOUS && unsent.starts)
		report_several_starts(&sending, &unsent);
	if (sent == WF_SENT_AMBIGUOUS)
		report_several(&sending, &unsent);
	if (sent == WF_SENT_UNFIT)
		report_unfit(&sending, &unsent);
	if (sent == WF_SENT_FORBIDDEN)
		report_forbidden(&sending);
	wf_store_leave(&access);
	if (sent == WF_SENT_DUPLICATE || sent == WF_SENT_MISSED)
		wf_durable_require();
	PG_RETURN_TEXT_P(cstring_to_text(wf_sent_name(sent)));
}

/*
 * workflow.send_signal(name text, data jsonb) → void
 *
 * Errors: 22004 for a NULL name, 22023 for one that cannot be, 54000 for data that are larger than
 * workflow.max_data.
 */
Datum
workflow_send_signal(PG_FUNCTION_ARGS)
{
	WfSending sending = {0};
	WfAccess  access;

	PreventCommandIfReadOnly("workflow.send_signal()");
	sending.name = wf_argument_text_required(fcinfo, 0, "name");
	sending.data = wf_argument_jsonb(fcinfo, 1);
	require_fit(&sending);
	if (wf_argument_async(fcinfo, 2, NULL))
	{
		WfField arguments[] = {WF_OPERATION_TEXT("name", sending.name), WF_OPERATION_JSONB("data", sending.data)};

		store(WF_CALL_SEND_SIGNAL, 0, NULL, arguments, lengthof(arguments));
		PG_RETURN_VOID();
	}
	wf_store_enter(&access);
	wf_signal_queue(sending.name, sending.data, access.caller, 0);
	wf_store_leave(&access);
	PG_RETURN_VOID();
}

/*
 * workflow.withdraw_message(message bigint) → boolean: false if the caller has none kept under this number
 *
 * Errors: 22004 for NULL; 40001 for a conflict in a serializable transaction.
 */
Datum
workflow_withdraw_message(PG_FUNCTION_ARGS)
{
	WfAccess access;
	bool	 withdrawn;

	PreventCommandIfReadOnly("workflow.withdraw_message()");
	wf_argument_require(fcinfo, 0, "message");
	wf_store_enter(&access);
	withdrawn = wf_kept_withdraw(PG_GETARG_INT64(0), access.caller);
	wf_store_leave(&access);
	if (!withdrawn)
		wf_durable_require();
	PG_RETURN_BOOL(withdrawn);
}
