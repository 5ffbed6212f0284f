/*
 * operator.c
 *		What operators do: mending incidents, adopting a copy.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/target.h"
#include "engine/engine.h"
#include "shmem/shmem.h"
#include "store/access.h"
#include "store/identity.h"
#include "store/privilege.h"
#include "store/query.h"

static WfQuery q_count_living = {.sql = "SELECT count(*) FROM workflow.instance"};

PG_FUNCTION_INFO_V1(workflow_retry);
PG_FUNCTION_INFO_V1(workflow_skip);
PG_FUNCTION_INFO_V1(workflow_adopt);
PG_FUNCTION_INFO_V1(workflow_identity_changed);

/* ---- incidents ---- */

/* Take up an incident again, or go on as if it had succeeded. */
static bool
mend(const char *function, const WfSerial *serial, bool skip, Jsonb *data)
{
	WfAccess	access;
	WfTarget	target;
	bool		lives;

	PreventCommandIfReadOnly(function);
	wf_store_enter(&access);
	wf_target_visit(&target, serial);
	wf_privilege_require(target.process_id, access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	lives = target.visit != NULL;
	if (lives)
	{
		if (skip)
			wf_engine_skip(target.batch, target.visit, data);
		else
			wf_engine_retry(target.batch, target.visit);
		wf_batch_flush(target.batch);
	}
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	return lives;
}

/*
 * workflow.retry(serial_number text) → boolean: false if the visit has ended
 *
 * Errors: 22P02 malformed, 42704 unknown, 42501 without admin, 55000 if it is no incident.
 */
Datum
workflow_retry(PG_FUNCTION_ARGS)
{
	WfSerial	serial = wf_argument_serial(fcinfo, 0);

	PG_RETURN_BOOL(mend("workflow.retry()", &serial, false, NULL));
}

/* workflow.skip(serial_number text, data jsonb) → boolean; errors as for retry */
Datum
workflow_skip(PG_FUNCTION_ARGS)
{
	WfSerial	serial = wf_argument_serial(fcinfo, 0);

	PG_RETURN_BOOL(mend("workflow.skip()", &serial, true, wf_argument_jsonb(fcinfo, 1)));
}

/* ---- copies ---- */

/* workflow.adopt() → bigint, the number of living instances that now go on here */
Datum
workflow_adopt(PG_FUNCTION_ARGS)
{
	WfAccess	access;
	int64		living;

	PreventCommandIfReadOnly("workflow.adopt()");
	wf_store_enter(&access);
	wf_identity_adopt();
	wf_query_run(&q_count_living, NULL, NULL);
	living = wf_result_int64(0, 1);
	wf_note_everything();
	wf_store_leave(&access);
	PG_RETURN_INT64(living);
}

/* Trigger of the table identity: a restore has brought rows, and whose they are has to be found out. */
Datum
workflow_identity_changed(PG_FUNCTION_ARGS)
{
	wf_note_everything();
	PG_RETURN_POINTER(NULL);
}
