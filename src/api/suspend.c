/*
 * suspend.c
 *		workflow.suspend, resume, suspend_process, resume_process: keep instances from moving, and
 *		let them go on.
 *
 * All hold the locks of their instances until the end of the transaction. Those of a process are
 * taken in ascending order, a chunk at a time, so that two such calls wait for each other instead
 * of deadlocking; the row of the process is locked before them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "api/target.h"
#include "engine/engine.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/durable.h"
#include "store/identity.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/version.h"

#define CHUNK	   1000
#define LITERAL(n) #n
#define LIMIT(n)   " LIMIT " LITERAL(n)

static WfQuery q_next = {
	.sql = "SELECT instance FROM workflow_data.instance WHERE process_id = $1 AND instance > $2 AND instance <= $4 "
		   "AND ((status = 'suspended') <> $3 OR $3 AND with_caller) ORDER BY instance" LIMIT(CHUNK),
	.nargs = 4,
	.argtypes = {INT4OID, INT8OID, BOOLOID, INT8OID},
};

WF_FUNCTION(workflow_suspend);
WF_FUNCTION(workflow_resume);
WF_FUNCTION(workflow_suspend_process);
WF_FUNCTION(workflow_resume_process);

/*
 * Suspend or resume all instances of the batch, which are loaded and locked. Returns how many were
 * changed.
 */
static int
change_suspension(WfBatch *batch, bool suspend)
{
	int		  n = 0;
	ListCell *lc;

	foreach (lc, batch->instances)
	{
		WfInstance *instance = lfirst(lc);

		if ((instance->status == WF_STATUS_SUSPENDED && !(suspend && instance->with_caller)) == suspend)
			continue;
		if (suspend)
			wf_engine_suspend(batch, instance, false);
		else
			wf_engine_resume(batch, instance);
		n++;
	}
	wf_batch_flush(batch);
	return n;
}

/* ---- one instance ---- */

static bool
change_one(FunctionCallInfo fcinfo, const char *function, const char *call, bool suspend)
{
	WfAccess access;
	WfTarget target;
	bool	 changed = false;

	wf_argument_require(fcinfo, 0, "instance");
	PreventCommandIfReadOnly(function);
	wf_store_enter(&access);
	wf_target_instance(&target, PG_GETARG_INT64(0), access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	if (target.instance != NULL)
		changed = change_suspension(target.batch, suspend) > 0;
	if (changed)
		wf_audit(&(WfAudit){.call = call,
							.caller = access.caller,
							.process_id = target.process_id,
							.at = target.batch->now,
							.instance = PG_GETARG_INT64(0)});
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!changed)
		wf_durable_require();
	return changed;
}

/*
 * workflow.suspend(instance bigint) → boolean: false if it is suspended already or has ended
 *
 * Errors: 42704 unknown, 42501 without admin.
 */
Datum
workflow_suspend(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(change_one(fcinfo, "workflow.suspend()", "suspend", true));
}

/*
 * workflow.resume(instance bigint) → boolean: false if it is not suspended
 *
 * Errors: as for workflow.suspend.
 */
Datum
workflow_resume(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(change_one(fcinfo, "workflow.resume()", "resume", false));
}

/* ---- all of a process ---- */

/*
 * Suspend or resume the next chunk of instances, those above *after and up to `last`. Returns how many were changed;
 * *more says whether there are further ones.
 */
static int
change_chunk(int process_id, bool suspend, int64 *after, int64 last, bool *more)
{
	Datum	 values[4] = {Int32GetDatum(process_id), Int64GetDatum(*after), BoolGetDatum(suspend), Int64GetDatum(last)};
	int		 n = (int) wf_query_run(&q_next, values, NULL);
	WfBatch *batch;
	int64	*ids;
	int		 changed;

	*more = n == CHUNK;
	if (n == 0)
		return 0;
	batch = wf_batch_begin();
	batch->by_call = true;
	batch->all_of = process_id;
	batch->all_to = last;
	ids = MemoryContextAlloc(batch->context, sizeof(int64) * n);
	for (int i = 0; i < n; i++)
		ids[i] = wf_result_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);
	*after = ids[n - 1];
	wf_batch_lock(batch, ids, n, WF_LOCK_WAIT);
	changed = change_suspension(batch, suspend);
	wf_batch_end(batch);
	return changed;
}

/*
 * Only those that are there at its begin: what these call meanwhile comes faster than it could follow. That is told by
 * its callers (engine/suspend.c), and what begins after the commit sees that its process is suspended.
 */
static int64
change_all(FunctionCallInfo fcinfo, const char *function, const char *call, bool suspend)
{
	char	*process = wf_argument_text_required(fcinfo, 0, "process");
	WfAccess access;
	int		 process_id;
	int64	 changed = 0;
	bool	 is_news;
	int64	 after = 0;
	int64	 last;
	bool	 more = true;

	PreventCommandIfReadOnly(function);
	wf_store_enter(&access);
	process_id = wf_process_id(process);
	if (process_id == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process \"%s\" does not exist", process));
	wf_privilege_require(process_id, access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	is_news = wf_process_set_suspended(process_id, suspend);
	last = wf_last_instance();
	while (more)
	{
		CHECK_FOR_INTERRUPTS();
		changed += change_chunk(process_id, suspend, &after, last, &more);
	}
	if (is_news || changed > 0)
		wf_audit(&(WfAudit){.call = call, .caller = access.caller, .process_id = process_id});
	wf_store_leave(&access);
	return changed;
}

/*
 * workflow.suspend_process(process text) → bigint, how many instances were not suspended before
 *
 * Instances started from then on are suspended at once. Errors: 42704 unknown, 42501 without admin.
 */
Datum
workflow_suspend_process(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(change_all(fcinfo, "workflow.suspend_process()", "suspend_process", true));
}

/*
 * workflow.resume_process(process text) → bigint, how many instances were suspended, one by one or
 * all at once
 *
 * Errors: as for workflow.suspend_process.
 */
Datum
workflow_resume_process(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(change_all(fcinfo, "workflow.resume_process()", "resume_process", false));
}
