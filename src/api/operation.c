/*
 * operation.c
 *		Calls that are made asynchronously; workflow.last_operation.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "api/callback_url.h"
#include "api/operation.h"
#include "http/server.h"
#include "store/call_headers.h"
#include "store/privilege.h"
#include "store/trace.h"
#include "store/version.h"

WF_FUNCTION(workflow_last_operation);

bool
wf_argument_async(FunctionCallInfo fcinfo, int n, char **callback_url)
{
	const char *mode = wf_argument_text_required(fcinfo, n, "mode");
	bool		async = strcmp(mode, "async") == 0;

	if (!async && strcmp(mode, "sync") != 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown mode: \"%s\"", mode),
				errhint("It is \"sync\", or \"async\": then an executor carries out the call after the commit."));
	if (callback_url == NULL)
		return async;
	*callback_url = wf_argument_text(fcinfo, n + 1);
	if (*callback_url != NULL)
		wf_callback_url_require(*callback_url, async);
	return async;
}

static List *
add_names(List *names, List *others)
{
	ListCell *lc;

	foreach (lc, others)
	{
		bool	  has = false;
		ListCell *known;

		foreach (known, names)
			has |= strcmp(lfirst(known), lfirst(lc)) == 0;
		if (!has)
			names = lappend(names, lfirst(lc));
	}
	return names;
}

/*
 * What of the headers of this call mappings of the process's owner pass on, or, with a callback, of the caller. Messages lend nobody's
 * name.
 */
static Jsonb *
headers_passed_on(const WfOperation *operation)
{
	Jsonb	 *headers;
	List	 *names = NIL;
	WfField	 *fields;
	int		  n = 0;
	ListCell *lc;

	if (!wf_server_passes_on())
		return NULL;
	if (operation->process_id != 0)
		names = wf_server_headers_passed_on(wf_process_owner(operation->process_id));
	if (operation->callback_url != NULL)
		names = add_names(names, wf_server_headers_passed_on(operation->role));
	headers = names != NIL ? wf_call_headers() : NULL;
	if (headers == NULL)
		return NULL;
	fields = palloc0(sizeof(WfField) * list_length(names));
	foreach (lc, names)
	{
		char *value = wf_jsonb_get_text(headers, lfirst(lc));

		if (value != NULL)
			fields[n++] = (WfField){.key = lfirst(lc), .kind = WF_FIELD_TEXT, .text = value};
	}
	return n > 0 ? wf_jsonb_object(fields, n) : NULL;
}

void
wf_operation_call(WfOperation *operation, const WfAccess *access, WfField *arguments, int n)
{
	operation->role = access->caller;
	if (operation->callback_url != NULL)
		wf_callback_url_check(operation);
	operation->headers = headers_passed_on(operation);
	if (operation->call == WF_CALL_START)
		operation->traceparent = wf_trace_given();
	operation->arguments = wf_jsonb_object(arguments, n);
	(void) wf_operation_add(operation);
}

/*
 * workflow.last_operation() → bigint: the number of the last asynchronous call of this session, NULL if there was none
 */
Datum
workflow_last_operation(PG_FUNCTION_ARGS)
{
	int64 operation = wf_operation_last();

	if (operation == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(operation);
}
