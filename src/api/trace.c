/*
 * trace.c
 *		The numbers of traces and spans, for the views.
 *
 * They tell nothing but what they are made of, which the caller has to know.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/trace.h"
#include "store/version.h"

WF_FUNCTION(workflow_trace_id);
WF_FUNCTION(workflow_span_id);

/* workflow_data.trace_id(instance bigint, started_at timestamptz, traceparent text) → text */
Datum
workflow_trace_id(PG_FUNCTION_ARGS)
{
	char *given = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	char  trace[WF_TRACE_ID_LEN + 1];

	/* one that no row has */
	if (given != NULL && strlen(given) != WF_TRACEPARENT_LEN)
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) ||
		!wf_trace_of_instance(PG_GETARG_INT64(0), PG_GETARG_TIMESTAMPTZ(1), given, trace))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(trace));
}

/* workflow_data.span_id(visit bigint, attempt integer) → text */
Datum
workflow_span_id(PG_FUNCTION_ARGS)
{
	char span[WF_SPAN_ID_LEN + 1];

	if (!wf_trace_of_attempt(PG_GETARG_INT64(0), PG_GETARG_INT32(1), span))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(span));
}
