/*
 * callback.c
 *		workflow.complete and workflow.fail: an outside system completes a visit.
 *
 * This is the hot path: lock and load the instance, load the visit, move, flush. The result `true`
 * means that this call ends the visit, once it has committed.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "api/completion.h"
#include "api/meant.h"
#include "api/operation.h"
#include "engine/engine.h"
#include "model/template.h"
#include "store/access.h"
#include "store/durable.h"
#include "store/late.h"
#include "store/privilege.h"
#include "store/version.h"

#define MAX_CODE_LENGTH 200

WF_FUNCTION(workflow_complete);
WF_FUNCTION(workflow_fail);

static Jsonb *
error_of_completion(const WfCompletion *completion, int attempt)
{
	WfFault fault = {.code = completion->code, .message = completion->message};

	return completion->failed ? wf_engine_error(&fault, attempt) : NULL;
}

/*
 * What the table of late callbacks gets. A late failure is recorded with its code and message, lest
 * it look like a late success.
 */
static Jsonb *
record_of(const WfCompletion *completion)
{
	WfField fields[3];

	if (!completion->failed)
		return completion->data;
	memset(fields, 0, sizeof(fields));
	fields[0] = (WfField){.key = "code", .kind = WF_FIELD_TEXT, .text = completion->code};
	fields[1] = (WfField){.key = "message", .kind = WF_FIELD_TEXT, .text = completion->message};
	fields[2] = (WfField){.key = "data", .jsonb = completion->data};
	return wf_jsonb_object(fields, lengthof(fields));
}

/*
 * Is the completion small enough? A row holds its data several times: alone, in $result, and in
 * what is made of that.
 */
bool
wf_completion_fits(const WfCompletion *completion)
{
	size_t bytes = completion->data != NULL ? VARSIZE(completion->data) : 0;

	return bytes + (completion->message != NULL ? strlen(completion->message) : 0) <= WF_COMPLETION_MAX_BYTES;
}

static void
require_fit(const WfCompletion *completion)
{
	if (!wf_completion_fits(completion))
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("what ends a visit has at most %d MB", WF_COMPLETION_MAX_BYTES / (1024 * 1024)),
				errhint("Store it elsewhere, and give its address."));
}

/*
 * May the role complete an incident by hand? Only administrators may: they resolve incidents in
 * other ways too.
 */
static bool
is_by_hand(const WfTarget *target, const WfCompletion *completion, Oid role)
{
	return target->visit->state == WF_STATE_INCIDENT && !completion->webhook &&
		   wf_privilege_has(target->process_id, role, WF_PRIVILEGE_ADMIN);
}

/* Work is done, or has failed. */
static bool
bring_work(WfTarget *target, const WfMeant *meant, const WfCompletion *completion)
{
	WfFault fault = {.code = completion->code, .message = completion->message};
	WfDone	done = {.data = completion->data, .error = error_of_completion(completion, target->visit->attempt + 1)};

	return wf_engine_worked(target->batch, target->visit, &meant->work, &done, completion->failed ? &fault : NULL,
							!completion->no_retry);
}

/* Let happen what is meant. Returns false if it is too late for that. */
static bool
bring(WfTarget *target, const WfSerial *serial, const WfCompletion *completion, Oid role)
{
	WfVisit *visit = target->visit;
	WfMeant	 meant = wf_meant(target, serial, completion, role);
	WfDone	 done = {.data = completion->data, .error = error_of_completion(completion, visit->attempt)};

	switch (meant.what)
	{
		case WF_MEANT_CALLBACK:
			return wf_engine_callback(target->batch, visit, done.data, done.error,
									  is_by_hand(target, completion, role));
		case WF_MEANT_TASK:
			done.person = meant.task->person;
			return wf_engine_done(target->batch, visit, WF_EVENT_TASK, &done);
		case WF_MEANT_WORK:
			return bring_work(target, &meant, completion);
		case WF_MEANT_LOST:
			return false;
		case WF_MEANT_LOCKED:
		case WF_MEANT_NOTHING:
		case WF_MEANT_BY_HAND:
			break;
	}
	wf_meant_refuse(&meant, serial);
}

/* Has the visit ended, or is its end known? If not, and a completion is too late all the same, somebody else does its work, or its task is over. */
static bool
is_over(const WfVisit *visit)
{
	return visit == NULL || visit->ended || wf_has_accepted(visit) || visit->state == WF_STATE_INCIDENT;
}

bool
wf_completion_apply(WfTarget *target, const WfSerial *serial, const WfCompletion *completion, Oid role)
{
	WfVisit *visit = target->visit;

	require_fit(completion);
	target->batch->caller = role;
	target->batch->webhook = completion->webhook;
	target->batch->call = completion->failed ? "fail" : "complete";
	if (visit != NULL && !visit->ended && bring(target, serial, completion, role))
		return true;
	if ((completion->lock_token != NULL || target->by_task) && !is_over(visit))
		return false;
	wf_late_require_seen(serial->instance, serial->visit);
	wf_late_record(serial->instance, serial->visit, target->process_id, role, completion->webhook,
				   record_of(completion));
	return false;
}

bool
wf_completion_end(WfTarget *target, WfAccess *access, bool accepted)
{
	if (accepted)
		wf_batch_flush(target->batch);
	wf_batch_end(target->batch);
	wf_store_leave(access);
	if (!accepted)
		wf_durable_require();
	return accepted;
}

bool
wf_completion_code_fits(const char *code)
{
	return code[0] != '\0' && pg_mbstrlen(code) <= MAX_CODE_LENGTH;
}

void
wf_completion_require_code(const char *code)
{
	if (!wf_completion_code_fits(code))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("an error code has 1 to %d characters", MAX_CODE_LENGTH),
				errhint("It is what \"catch\" compares: a short word such as REJECTED."));
}

static bool
call_back(const char *function, const WfSerial *serial, const WfCompletion *completion)
{
	WfAccess access;
	WfTarget target;
	bool	 accepted;

	PreventCommandIfReadOnly(function);
	wf_store_enter(&access);
	wf_target_task(&target, serial, access.caller, WF_PRIVILEGE_COMPLETE);
	accepted = wf_completion_apply(&target, serial, completion, access.caller);
	return wf_completion_end(&target, &access, accepted);
}

/* Store the call instead. The fields are those that only this call has. */
static void
call_back_later(const char *function, WfOperationCall call, const WfSerial *serial, const WfCompletion *completion,
				const char *retry, char *callback_url)
{
	WfAccess	access;
	WfTarget	target;
	WfOperation operation = {.call = call,
							 .instance = serial->instance,
							 .visit = serial->visit,
							 .callback_url = callback_url};
	char	   *number = psprintf(INT64_FORMAT "_" INT64_FORMAT, serial->instance, serial->visit);
	char	   *token = completion->lock_token != NULL
							? DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(completion->lock_token)))
							: NULL;
	WfField		arguments[] = {WF_OPERATION_TEXT("serial_number", number),
							   WF_OPERATION_JSONB("data", completion->data),
							   WF_OPERATION_TEXT("lock_token", token),
							   WF_OPERATION_TEXT("code", completion->code),
							   WF_OPERATION_TEXT("message", completion->message),
							   WF_OPERATION_TEXT("retry", retry)};

	PreventCommandIfReadOnly(function);
	require_fit(completion);
	wf_store_enter(&access);
	wf_target_task_later(&target, serial, access.caller, WF_PRIVILEGE_COMPLETE, false);
	operation.process_id = target.process_id;
	wf_batch_end(target.batch);
	wf_operation_call(&operation, &access, arguments, lengthof(arguments));
	wf_store_leave(&access);
}

/*
 * workflow.complete(serial_number text, data jsonb, lock_token uuid, mode text, callback_url text) → boolean, NULL if the mode is async
 *
 * False: the visit had already ended; the late callback is recorded. Errors: 22P02 malformed, 42704
 * unknown, 42501 without the privilege complete, 54000 for data that are too large, 55000 if the
 * visit takes no callback, 40001 for a conflict in a serializable transaction.
 */
Datum
workflow_complete(PG_FUNCTION_ARGS)
{
	WfSerial	 serial = wf_argument_serial(fcinfo, 0);
	WfCompletion completion = {.data = wf_argument_jsonb(fcinfo, 1), .lock_token = wf_argument_uuid(fcinfo, 2)};
	char		*callback_url;

	if (wf_argument_async(fcinfo, 3, &callback_url))
	{
		call_back_later("workflow.complete()", WF_CALL_COMPLETE, &serial, &completion, NULL, callback_url);
		PG_RETURN_NULL();
	}
	PG_RETURN_BOOL(call_back("workflow.complete()", &serial, &completion));
}

/*
 * workflow.fail(serial_number text, code text, message text, data jsonb, retry boolean, lock_token uuid, mode text, callback_url text) → boolean,
 * NULL if the mode is async
 *
 * As workflow.complete, with an error that `catch` sees by its code. Errors: those of
 * workflow.complete, and 22023 for a code that is empty or too long.
 */
Datum
workflow_fail(PG_FUNCTION_ARGS)
{
	WfSerial	 serial = wf_argument_serial(fcinfo, 0);
	char		*code = wf_argument_text(fcinfo, 1);
	WfCompletion completion = {.data = wf_argument_jsonb(fcinfo, 3),
							   .failed = true,
							   .code = code != NULL ? code : WF_COMPLETION_DEFAULT_CODE,
							   .message = wf_argument_text(fcinfo, 2),
							   .no_retry = !PG_ARGISNULL(4) && !PG_GETARG_BOOL(4),
							   .lock_token = wf_argument_uuid(fcinfo, 5)};
	char		*callback_url;

	wf_completion_require_code(completion.code);
	if (wf_argument_async(fcinfo, 6, &callback_url))
	{
		call_back_later("workflow.fail()", WF_CALL_FAIL, &serial, &completion, completion.no_retry ? "false" : "true",
						callback_url);
		PG_RETURN_NULL();
	}
	PG_RETURN_BOOL(call_back("workflow.fail()", &serial, &completion));
}
