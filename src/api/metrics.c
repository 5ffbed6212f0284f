/*
 * metrics.c
 *		Counts for the view metrics: never a key, a number or data of an instance.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"

#include "store/access.h"
#include "store/counts.h"
#include "store/query.h"
#include "store/version.h"

WF_FUNCTION(workflow_count_instances);
WF_FUNCTION(workflow_count_visits);
WF_FUNCTION(workflow_count_due);
WF_FUNCTION(workflow_count_write_backs);

static Datum
return_counts(FunctionCallInfo fcinfo, WfCounted counted)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WfAccess	   access;
	uint64		   n;

	InitMaterializedSRF(fcinfo, 0);
	wf_store_enter(&access);
	n = wf_count(counted, access.caller);
	for (uint64 i = 0; i < n; i++)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[i]);
	wf_store_leave(&access);
	return (Datum) 0;
}

/* workflow_data.count_instances() → setof (process, status, n) */
Datum
workflow_count_instances(PG_FUNCTION_ARGS)
{
	return return_counts(fcinfo, WF_COUNTED_INSTANCES);
}

/* workflow_data.count_visits() → setof (process, state, step, n, since) */
Datum
workflow_count_visits(PG_FUNCTION_ARGS)
{
	return return_counts(fcinfo, WF_COUNTED_VISITS);
}

/* workflow_data.count_due() → setof (work, process, server, n, since) */
Datum
workflow_count_due(PG_FUNCTION_ARGS)
{
	return return_counts(fcinfo, WF_COUNTED_DUE);
}

/* workflow_data.count_write_backs() → setof (process, relation, n, since) */
Datum
workflow_count_write_backs(PG_FUNCTION_ARGS)
{
	return return_counts(fcinfo, WF_COUNTED_WRITE_BACKS);
}
