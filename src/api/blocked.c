/*
 * blocked.c
 *		What the view visits shows of visits with which workers cannot go on for want of something.
 *
 * It is in shared memory, whence anybody could have it for any number; so each function looks whether the caller may see the process.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "engine/engine.h"
#include "shmem/lacks.h"
#include "store/access.h"
#include "store/privilege.h"
#include "store/query.h"

PG_FUNCTION_INFO_V1(workflow_blocked_by);
PG_FUNCTION_INFO_V1(workflow_blocked_error);

static WfQuery q_process = {
	.sql = "SELECT process_id FROM workflow_data.instance WHERE instance = $1", .nargs = 1, .argtypes = {INT8OID}};

static bool
may_be_seen(int64 instance)
{
	Datum		values[1] = {Int64GetDatum(instance)};
	WfAccess	access;
	bool		isnull;
	bool		may = false;

	wf_store_enter(&access);
	if (wf_query_run(&q_process, values, NULL) > 0)
	{
		int			process_id = DatumGetInt32(wf_result(0, 1, &isnull));

		may = wf_privilege_has(process_id, access.caller, WF_PRIVILEGE_VIEW);
	}
	wf_store_leave(&access);
	return may;
}

/* What is lacking for a visit; false: nothing, or the caller is not to know. */
static bool
find(FunctionCallInfo fcinfo, WfLackRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	bool		found = wf_lack_find(PG_GETARG_INT64(0), PG_GETARG_INT64(1), row) && may_be_seen(row->instance);

	MemoryContextSwitchTo(context);
	return found;
}

/* workflow_data.blocked_by(instance bigint, visit bigint) → text: disk, memory, resources, lock, conflict, server; NULL: nothing */
Datum
workflow_blocked_by(PG_FUNCTION_ARGS)
{
	WfLackRow	row;

	if (!find(fcinfo, &row))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(wf_lack_name(row.lack)));
}

/* workflow_data.blocked_error(instance bigint, visit bigint, attempt integer) → jsonb: the error, as in workflow.incidents, or NULL */
Datum
workflow_blocked_error(PG_FUNCTION_ARGS)
{
	WfLackRow	row;
	WfFault		fault = {0};

	if (!find(fcinfo, &row))
		PG_RETURN_NULL();
	fault.code = row.sqlstate;
	fault.message = row.message;
	strlcpy(fault.sqlstate, row.sqlstate, sizeof(fault.sqlstate));
	PG_RETURN_JSONB_P(wf_engine_error(&fault, PG_GETARG_INT32(2)));
}
