/*
 * instance.c
 *		workflow.start, workflow.set_data, workflow.cancel: what callers do with whole instances.
 *
 * set_data and cancel hold the lock of the instance until the end of the transaction; start needs
 * none, since nobody else sees the new instance. Called asynchronously, none of them waits for a lock.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/operation.h"
#include "api/target.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/business_key.h"
#include "store/durable.h"
#include "store/identity.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/row.h"
#include "store/trace.h"
#include "store/version.h"

WF_FUNCTION(workflow_start);
WF_FUNCTION(workflow_instance_of_key);
WF_FUNCTION(workflow_set_data);
WF_FUNCTION(workflow_cancel);

/* ---- start ---- */

static int64
start_instance(const char *process, int version, WfStart *start)
{
	WfAccess access;
	WfBatch *batch;
	int64	 instance;

	PreventCommandIfReadOnly("workflow.start()");
	wf_store_enter(&access);
	start->process = wf_process_by_name(process, version, &start->suspended);
	wf_privilege_require(start->process->process_id, access.caller, WF_PRIVILEGE_START, WF_PRIVILEGE_START);
	wf_business_key_require_free(start->process, start->business_key);
	start->traceparent = wf_trace_given();
	start->instance = wf_operation_take_reserved();
	batch = wf_batch_begin();
	batch->by_call = true;
	instance = wf_engine_start(batch, start)->id;
	wf_business_key_flush(batch, start->process, start->business_key);
	wf_batch_end(batch);
	wf_store_leave(&access);
	return instance;
}

/* What can be known now is checked now. */
static int64
start_later(const char *process, int version, WfStart *start, char *callback_url)
{
	WfAccess	access;
	WfOperation operation = {.call = WF_CALL_START, .callback_url = callback_url};
	WfField		arguments[] = {WF_OPERATION_TEXT("process", process), WF_OPERATION_JSONB("data", start->data),
							   WF_OPERATION_TEXT("business_key", start->business_key),
							   WF_OPERATION_TEXT("version", version != 0 ? psprintf("%d", version) : NULL)};

	PreventCommandIfReadOnly("workflow.start()");
	wf_store_enter(&access);
	start->process = wf_process_by_name(process, version, &start->suspended);
	wf_privilege_require(start->process->process_id, access.caller, WF_PRIVILEGE_START, WF_PRIVILEGE_START);
	wf_business_key_require_free(start->process, start->business_key);
	wf_engine_require_data(start);
	operation.process_id = start->process->process_id;
	operation.instance = wf_next_instance();
	wf_operation_call(&operation, &access, arguments, lengthof(arguments));
	wf_store_leave(&access);
	return operation.instance;
}

/* The business key as text, whatever its type, as keys of attached tables are. */
static char *
key_argument(FunctionCallInfo fcinfo, int n)
{
	Oid	  type = get_fn_expr_argtype(fcinfo->flinfo, n);
	char *key;

	if (PG_ARGISNULL(n))
		return NULL;
	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of the business key");
	key = wf_row_value_text(PG_GETARG_DATUM(n), type);
	if (strlen(key) > WF_MAX_BUSINESS_KEY)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a business key has at most %d bytes", WF_MAX_BUSINESS_KEY));
	return key;
}

/*
 * workflow.start(process text, data jsonb, business_key "any type", version integer, mode text, callback_url text) → bigint, the
 * number of the instance, reserved if the mode is async
 *
 * Errors: 42704 for an unknown process or version, 55000 if it was undefined, 42501 without the
 * privilege start, 22023 for data that are no object, 54000 if they are larger than
 * workflow.max_data, 23505 if the key belongs to a living instance; those of a callback_url: api/operation.h.
 */
Datum
workflow_start(PG_FUNCTION_ARGS)
{
	char   *process = wf_argument_text_required(fcinfo, 0, "process");
	WfStart start = {.data = wf_argument_object(fcinfo, 1, "data"), .business_key = key_argument(fcinfo, 2)};
	int		version = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	char   *callback_url;

	if (!PG_ARGISNULL(3) && version <= 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("versions are counted from 1, not %d", version));
	if (wf_argument_async(fcinfo, 4, &callback_url))
		PG_RETURN_INT64(start_later(process, version, &start, callback_url));
	PG_RETURN_INT64(start_instance(process, version, &start));
}

/*
 * workflow.instance_of_key(process text, business_key "any type") → bigint: the living instance with that key; NULL: there is none
 *
 * Errors: 42704 for an unknown process, 42501 without start or view.
 */
Datum
workflow_instance_of_key(PG_FUNCTION_ARGS)
{
	WfAccess access;
	char	*process = wf_argument_text_required(fcinfo, 0, "process");
	char	*key;
	int		 process_id;
	int64	 instance;

	wf_argument_require(fcinfo, 1, "business_key");
	key = key_argument(fcinfo, 1);
	wf_store_enter(&access);
	process_id = wf_process_id(process);
	if (process_id == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process \"%s\" does not exist", process));
	wf_privilege_require(process_id, access.caller, WF_PRIVILEGE_START, WF_PRIVILEGE_VIEW);
	instance = wf_business_key_living(process_id, key);
	wf_store_leave(&access);
	if (instance == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(instance);
}

/* ---- set_data, cancel ---- */

/* With the arguments but the instance. */
static void
change_later(WfOperationCall call, int64 instance, char *callback_url, WfField *arguments, int n)
{
	WfAccess	access;
	WfTarget	target;
	WfOperation operation = {.call = call, .instance = instance, .callback_url = callback_url};

	wf_store_enter(&access);
	wf_target_instance_later(&target, instance, access.caller, WF_PRIVILEGE_START, WF_PRIVILEGE_ADMIN);
	operation.process_id = target.process_id;
	wf_operation_call(&operation, &access, arguments, n);
	wf_store_leave(&access);
}

/*
 * workflow.set_data(instance bigint, data jsonb, mode text, callback_url text) → boolean: false if the instance has ended; NULL if the mode is async
 *
 * Errors: 42704 unknown, 42501 without start or admin, 22023 for data that are no object, 54000 if
 * the merged data are larger than workflow.max_data.
 */
Datum
workflow_set_data(PG_FUNCTION_ARGS)
{
	WfAccess access;
	WfTarget target;
	Jsonb	*changes;
	char	*callback_url;
	bool	 lives;

	wf_argument_require(fcinfo, 0, "instance");
	wf_argument_require(fcinfo, 1, "data");
	changes = wf_argument_object(fcinfo, 1, "data");
	PreventCommandIfReadOnly("workflow.set_data()");
	if (wf_argument_async(fcinfo, 2, &callback_url))
	{
		WfField arguments[] = {{.key = "instance", .kind = WF_FIELD_INT, .number = PG_GETARG_INT64(0)},
							   WF_OPERATION_JSONB("data", changes)};

		wf_data_require_fit(changes);
		change_later(WF_CALL_SET_DATA, PG_GETARG_INT64(0), callback_url, arguments, lengthof(arguments));
		PG_RETURN_NULL();
	}
	wf_store_enter(&access);
	wf_target_instance(&target, PG_GETARG_INT64(0), access.caller, WF_PRIVILEGE_START, WF_PRIVILEGE_ADMIN);
	lives = target.instance != NULL;
	if (lives)
	{
		wf_engine_set_data(target.batch, target.instance, changes);
		wf_batch_flush(target.batch);
		wf_audit(&(WfAudit){.call = "set_data",
							.caller = access.caller,
							.process_id = target.process_id,
							.at = target.batch->now,
							.instance = target.instance->id});
	}
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!lives)
		wf_durable_require();
	PG_RETURN_BOOL(lives);
}

/*
 * workflow.cancel(instance bigint, reason text, mode text, callback_url text) → boolean: false if the instance had already ended; NULL if the mode is async
 *
 * Errors: 42704 unknown, 42501 without start or admin.
 */
Datum
workflow_cancel(PG_FUNCTION_ARGS)
{
	WfAccess access;
	WfTarget target;
	char	*reason = wf_argument_text(fcinfo, 1);
	char	*callback_url;
	bool	 lives;

	wf_argument_require(fcinfo, 0, "instance");
	PreventCommandIfReadOnly("workflow.cancel()");
	if (wf_argument_async(fcinfo, 2, &callback_url))
	{
		WfField arguments[] = {{.key = "instance", .kind = WF_FIELD_INT, .number = PG_GETARG_INT64(0)},
							   WF_OPERATION_TEXT("reason", reason)};

		change_later(WF_CALL_CANCEL, PG_GETARG_INT64(0), callback_url, arguments, lengthof(arguments));
		PG_RETURN_NULL();
	}
	wf_store_enter(&access);
	wf_target_instance(&target, PG_GETARG_INT64(0), access.caller, WF_PRIVILEGE_START, WF_PRIVILEGE_ADMIN);
	lives = target.instance != NULL;
	if (lives)
	{
		target.batch->call = "cancel";
		wf_engine_cancel(target.batch, target.instance, reason);
		wf_batch_flush(target.batch);
		wf_audit(&(WfAudit){.call = "cancel",
							.caller = access.caller,
							.process_id = target.process_id,
							.at = target.batch->now,
							.instance = target.instance->id,
							.arguments = {WF_AUDIT_TEXT("reason", reason)}});
	}
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!lives)
		wf_durable_require();
	PG_RETURN_BOOL(lives);
}
