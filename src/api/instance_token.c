/*
 * instance_token.c
 *		workflow.instance_token and workflow.instance_of_token: who started an instance is known again, whoever he is.
 *
 * The token proves that somebody was given it; what he may do with the instance is for those to say who ask: nothing in the
 * schema workflow takes it in place of a privilege, but looking at the status.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/arguments.h"
#include "api/target.h"
#include "store/access.h"
#include "store/late.h"
#include "store/operation.h"
#include "store/token.h"
#include "store/version.h"

WF_FUNCTION(workflow_instance_token);
WF_FUNCTION(workflow_instance_of_token);

#define STATUS_PENDING "pending"

/*
 * workflow.instance_token(instance bigint) → text
 *
 * Errors: 42704 unknown, 42501 without start or admin, as for workflow.set_data.
 */
Datum
workflow_instance_token(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	WfAccess	  access;
	WfTarget	  target;
	char		 *token;

	wf_argument_require(fcinfo, 0, "instance");
	wf_store_enter(&access);
	wf_target_instance_later(&target, PG_GETARG_INT64(0), access.caller, WF_PRIVILEGE_START, WF_PRIVILEGE_ADMIN);
	if (!wf_token_load_key())
		elog(ERROR, "this database has no key for tokens");
	token = MemoryContextStrdup(context, wf_token_make_instance(PG_GETARG_INT64(0)));
	wf_store_leave(&access);
	PG_RETURN_TEXT_P(cstring_to_text(token));
}

/* Read the number of the instance. Returns the proof behind it; errors never show the token. */
static const char *
read_token(FunctionCallInfo fcinfo, int64 *instance)
{
	char *text = wf_argument_text_required(fcinfo, 0, "token");
	char *dot = strchr(text, '.');
	bool  is_number = dot != NULL && dot - text <= 19 && text[0] != '0' && strspn(text, "0123456789") == dot - text;

	errno = 0;
	*instance = is_number ? strtoi64(text, NULL, 10) : 0;
	if (*instance <= 0 || errno == ERANGE || strlen(dot + 1) != WF_TOKEN_PROOF_LEN)
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), errmsg("malformed token"),
				errdetail("A token of an instance is a number, a dot and %d characters.", WF_TOKEN_PROOF_LEN));
	return dot + 1;
}

/* Palloc'd; NULL if there is no such instance, nor will be. */
static char *
status_of(int64 instance)
{
	char *status = wf_late_status(instance);

	/* one that has been started meanwhile is there by now */
	if (status == NULL)
		status = wf_operation_starts(instance) != 0 ? pstrdup(STATUS_PENDING) : wf_late_status(instance);
	return status;
}

/*
 * workflow.instance_of_token(token text) → (instance bigint, status text)
 *
 * The token is looked at before anything is looked up: whether there is an instance is nothing that others find out.
 * Errors: 22P02 malformed, 28000 wrong.
 */
Datum
workflow_instance_of_token(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	int64		  instance;
	const char	 *proof = read_token(fcinfo, &instance);
	Datum		  values[2] = {Int64GetDatum(instance)};
	bool		  nulls[2] = {false};
	TupleDesc	  shape;
	WfAccess	  access;
	char		 *status;

	if (get_call_result_type(fcinfo, NULL, &shape) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!wf_token_load_key() || !wf_token_is_instance(instance, proof))
		ereport(ERROR, errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("wrong token"),
				errdetail("It was not made by this database, or for another purpose."));
	wf_store_enter(&access);
	status = status_of(instance);
	if (status != NULL)
		status = MemoryContextStrdup(context, status);
	wf_store_leave(&access);
	nulls[1] = status == NULL;
	if (status != NULL)
		values[1] = CStringGetTextDatum(status);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}
