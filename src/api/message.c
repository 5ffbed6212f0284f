/*
 * message.c
 *		workflow.send_message and workflow.send_signal.
 *
 * A message for which exactly one visit waits moves that on at once, in the sender's transaction, if its
 * instance is free. That is tried in a subtransaction: whatever keeps it from moving, an error included, is
 * no business of the sender's, and the message becomes a delivery, which workers bring.
 */
#include "postgres.h"

#include "access/xact.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "engine/engine.h"
#include "model/issue.h"
#include "shmem/settings.h"
#include "store/access.h"
#include "store/delivery.h"
#include "store/due.h"
#include "store/durable.h"
#include "store/message.h"
#include "store/subtransaction.h"

/* So many messages are brought directly in one transaction. */
#define MOST_BROUGHT 32
#define MAX_TTL		 "1 year"

PG_FUNCTION_INFO_V1(workflow_send_message);
PG_FUNCTION_INFO_V1(workflow_send_signal);

/* ---- arguments ---- */

static char *
name_argument(FunctionCallInfo fcinfo)
{
	char *name = wf_argument_text_required(fcinfo, 0, "name");

	if (name[0] == '\0')
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"%s\" must not be empty", "name"));
	if (strlen(name) > WF_MESSAGE_MAX_NAME)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" has at most %d bytes", "name", WF_MESSAGE_MAX_NAME));
	return name;
}

static char *
key_argument(FunctionCallInfo fcinfo, int n, const char *name, bool may_be_empty)
{
	char *key = wf_argument_text(fcinfo, n);

	if (key != NULL && key[0] == '\0' && !may_be_empty)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"%s\" must not be empty", name));
	if (key != NULL && strlen(key) > WF_MESSAGE_MAX_KEY)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" has at most %d bytes", name, WF_MESSAGE_MAX_KEY));
	return key;
}

static TimestampTz
add_interval(TimestampTz at, Datum interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at), interval));
}

/* In milliseconds: months and days are counted from now. A ttl that is not 0 is at least one of them. */
static int64
ttl_argument(FunctionCallInfo fcinfo, int n)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum		longest =
		DirectFunctionCall3(interval_in, CStringGetDatum(MAX_TTL), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	TimestampTz until;

	wf_argument_require(fcinfo, n, "ttl");
	until = add_interval(now, PG_GETARG_DATUM(n));
	if (until > add_interval(now, longest))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" is at most %s", "ttl", MAX_TTL));
	if (until < now)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"%s\" must not be negative", "ttl"));
	return (until - now + 999) / 1000;
}

static Jsonb *
data_argument(FunctionCallInfo fcinfo, int n)
{
	Jsonb *data = wf_argument_jsonb(fcinfo, n);

	if (data != NULL && VARSIZE(data) > (Size) wf_setting_max_data * 1024)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("argument \"%s\" is too large", "data"),
				errdetail("It has %zu bytes; workflow.max_data allows %d kB.", (Size) VARSIZE(data),
						  wf_setting_max_data),
				errhint("Keep large documents in tables, and their keys in the data."));
	return data;
}

static void
read_message_arguments(FunctionCallInfo fcinfo, WfSending *sending)
{
	memset(sending, 0, sizeof(*sending));
	sending->name = name_argument(fcinfo);
	sending->key = key_argument(fcinfo, 1, "key", true);
	sending->data = data_argument(fcinfo, 2);
	sending->ttl_ms = ttl_argument(fcinfo, 3);
	sending->message_id = key_argument(fcinfo, 4, "message_id", false);
	wf_argument_require(fcinfo, 6, "to_all");
	sending->to_all = PG_GETARG_BOOL(6);
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
look_at_receiver(WfBatch *batch, const WfReceiver *receiver)
{
	int64		instance = receiver->instance;
	int64		number;
	WfInstance *locked;

	if (wf_batch_lock(batch, &instance, 1, WF_LOCK_SKIP) == 0)
		return wf_instances_living(&instance, 1, &number) > 0 ? WF_SENT_QUEUED : WF_SENT_MISSED;
	locked = wf_batch_instance(batch, instance);
	if (locked->status == WF_STATUS_SUSPENDED || wf_deliveries_have(&instance, 1, &number) > 0)
		return WF_SENT_QUEUED;
	if (!wf_receiver_waits(receiver->subscription))
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
	WfSent		sent;

	batch->caller = message->role;
	batch->call = "send_message";
	sent = look_at_receiver(batch, receiver);
	if (sent == WF_SENT_DELIVERED)
	{
		wf_batch_load_visits(batch, &receiver->instance, &receiver->visit, 1);
		visit = wf_batch_visit(batch, receiver->instance, receiver->visit);
		if (visit == NULL || !wf_engine_event(batch, visit, receiver->entry, &happening))
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

typedef struct Bringing
{
	const WfMessage	 *message;
	const WfReceiver *receiver;
	WfSent			  sent;
} Bringing;

static bool
run_bringing(void *arg)
{
	Bringing	 *bringing = arg;
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
	Bringing   bringing = {message, receiver, WF_SENT_QUEUED};
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

static void
report_several(const WfSending *sending, int waiting, const char *whose)
{
	ereport(ERROR, errcode(ERRCODE_CARDINALITY_VIOLATION),
			errmsg("%d visits wait for message \"%s\"", waiting, wf_issue_clip(sending->name)),
			errdetail("They are %s.", whose),
			sending->key == NULL
				? errhint(
					  "Give a key, if they wait with one, or the instance; or let all of them have it: to_all => true.")
				: errhint("Give the instance, or let all of them have it: to_all => true."));
}

static void
report_forbidden(const WfSending *sending)
{
	ereport(
		ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		errmsg("permission denied to keep message \"%s\"", wf_issue_clip(sending->name)),
		errdetail(
			"The privilege \"complete\" or \"start\" is needed on a process whose latest version names that message."),
		errhint("Without \"ttl\" it goes to whoever waits for it now, or to nobody."));
}

/*
 * workflow.send_message(name text, key text, data jsonb, ttl interval, message_id text, instance bigint,
 * to_all boolean) → text: delivered, queued, kept, missed or duplicate
 *
 * Errors: 21000 if several wait, unless to_all; 22004 for a NULL name; 22023 for a name, key,
 * message_id, ttl or instance that cannot be; 42501 for a ttl without a right to that; 54000 for data that are
 * larger than workflow.max_data; 40001 for a conflict in a serializable transaction.
 */
Datum
workflow_send_message(PG_FUNCTION_ARGS)
{
	WfSending sending;
	WfAccess  access;
	int		  waiting = 0;
	char	 *whose = NULL;
	WfSent	  sent;

	PreventCommandIfReadOnly("workflow.send_message()");
	read_message_arguments(fcinfo, &sending);
	wf_store_enter(&access);
	sending.role = access.caller;
	sent = wf_message_send(&sending, bring, &waiting, &whose);
	if (sent == WF_SENT_AMBIGUOUS)
		report_several(&sending, waiting, whose);
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
	char	*name;
	Jsonb	*data;
	WfAccess access;

	PreventCommandIfReadOnly("workflow.send_signal()");
	name = name_argument(fcinfo);
	data = data_argument(fcinfo, 1);
	wf_store_enter(&access);
	wf_signal_queue(name, data, access.caller, 0);
	wf_store_leave(&access);
	PG_RETURN_VOID();
}
