/*
 * rerun.c
 *		workflow.rerun: an ended instance begins once more, as a new one.
 *
 * The new instance has the key and the attached row of the old one, so at most one of them lives. Which of two
 * sessions is first decides the unique index of keys: the other one is told that the key lives.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/target.h"
#include "engine/engine.h"
#include "model/issue.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/durable.h"
#include "store/history.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/subtransaction.h"
#include "store/trace.h"
#include "store/version.h"

#define KEY_INDEX "instance_business_key"

/* SQL that is put together */
/* clang-format off */
#define ENDED(table)                                                                                       \
	"SELECT p.process, h.attachment, h.business_key, h.data FROM workflow_data." table " h "               \
	"JOIN workflow_data.process p ON p.process_id = h.process_id WHERE h.instance = $1"
/* clang-format on */
static WfQuery q_ended = {
	.sql = ENDED("instance_history") " UNION ALL " ENDED("instance_stray"),
	.nargs = 1,
	.argtypes = {INT8OID},
};
static WfQuery q_living_key = {
	.sql = "SELECT 1 FROM workflow_data.instance WHERE process_id = $1 AND attachment = $2 AND business_key = $3",
	.nargs = 3,
	.argtypes = {INT4OID, INT4OID, TEXTOID},
};

WF_FUNCTION(workflow_rerun);

/* What is asked for. */
typedef struct Rerun
{
	int64  instance;
	char  *step;	/* NULL: the first one */
	Jsonb *data;	/* changes to its data, or NULL */
	int	   version; /* 0: the latest */
} Rerun;

/* ---- what has ended ---- */

static void
refuse_living(const WfTarget *target, int64 instance)
{
	if (target->instance != NULL)
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("instance " INT64_FORMAT " has not ended", instance),
			errhint(
				"Take its visit to another step with workflow.move, or end it first: SELECT workflow.cancel(" INT64_FORMAT
				").",
				instance));
}

/* Read what has ended. Somebody may have erased it since it was found. */
static void
read_ended(const Rerun *rerun, WfStart *start)
{
	Datum values[1] = {Int64GetDatum(rerun->instance)};
	bool  isnull;
	char *process;
	Datum data;

	if (wf_query_run(&q_ended, values, NULL) == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("instance " INT64_FORMAT " does not exist", rerun->instance),
				errdetail("It was never started, or is no longer kept in the history."));
	process = wf_result_text(0, 1);
	start->attachment = DatumGetInt32(wf_result(0, 2, &isnull));
	start->business_key = wf_result_text(0, 3);
	data = wf_result(0, 4, &isnull);
	start->data = DatumGetJsonbPCopy(data);
	if (rerun->data != NULL)
		start->data = wf_jsonb_merge(start->data, rerun->data);
	start->rerun_of = rerun->instance;
	start->traceparent = wf_trace_given();
	start->process = wf_process_by_name(process, rerun->version, &start->suspended);
}

/* ---- where it begins ---- */

static const WfStep *
find_step(const WfProcess *process, const char *name)
{
	const WfDefinition *def = process->def;
	const WfStep	   *step = &def->steps[wf_target_step(process, name)];
	int					top = def->process_step >= 0 ? def->steps[def->process_step].inner : 0;
	int					parent = def->lists[step->list].parent;

	if (step->list == top)
		return step;
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("no instance can begin at step \"%s\"", wf_issue_clip(name)),
			parent < 0 ? errdetail("Only handlers of the process lead to it.")
					   : errdetail("It is inside of step \"%s\".", def->steps[parent].name),
			errhint("Name a step of the process itself."));
}

/* ---- the new instance ---- */

static bool
key_lives(const WfStart *start)
{
	Datum values[3] = {Int32GetDatum(start->process->process_id), Int32GetDatum(start->attachment), 0};

	if (start->business_key == NULL)
		return false;
	values[2] = CStringGetTextDatum(start->business_key);
	return wf_query_run(&q_living_key, values, NULL) > 0;
}

static bool
flush(void *batch)
{
	wf_batch_flush(batch);
	return true;
}

/* Returns false if another session has started an instance with that key meanwhile. */
static bool
flush_with_key(WfBatch *batch, const WfStart *start)
{
	ErrorData *error;

	if (start->business_key == NULL)
		return flush(batch);
	error = wf_subtransaction_run(flush, batch);
	if (error == NULL)
		return true;
	if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION || error->constraint_name == NULL ||
		strcmp(error->constraint_name, KEY_INDEX) != 0)
		ReThrowError(error);
	return false;
}

static int64
run_again(const Rerun *rerun, WfTarget *target, Oid caller)
{
	WfStart		start = {0};
	WfInstance *instance;

	read_ended(rerun, &start);
	if (rerun->step != NULL)
		start.step = find_step(start.process, rerun->step);
	if (key_lives(&start))
		return 0;
	instance = wf_engine_start(target->batch, &start);
	if (!flush_with_key(target->batch, &start))
		return 0;
	wf_audit(&(WfAudit){.call = "rerun",
						.caller = caller,
						.process_id = target->process_id,
						.at = target->batch->now,
						.instance = rerun->instance,
						.arguments = {{.key = "instance", .kind = WF_FIELD_INT, .number = instance->id},
									  {.key = "version", .kind = WF_FIELD_INT, .number = start.process->version},
									  WF_AUDIT_TEXT("step", rerun->step)}});
	return instance->id;
}

/*
 * workflow.rerun(instance bigint, step text, data jsonb, version integer) → bigint, the number of the new
 * instance; NULL: its key lives
 *
 * Errors: 42704 for an unknown or erased instance, an unknown step or version; 42501 without admin; 55000 while it lives,
 * or if the process was undefined; 22023 for a step inside of another one, and data that are no object; 54000 if they
 * are larger than workflow.max_data.
 */
Datum
workflow_rerun(PG_FUNCTION_ARGS)
{
	Rerun	 rerun = {0};
	WfAccess access;
	WfTarget target;
	int64	 started;

	wf_argument_require(fcinfo, 0, "instance");
	rerun.instance = PG_GETARG_INT64(0);
	rerun.step = wf_argument_text(fcinfo, 1);
	rerun.data = wf_argument_object(fcinfo, 2, "data");
	rerun.version = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	if (!PG_ARGISNULL(3) && rerun.version <= 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("versions are counted from 1, not %d", rerun.version));
	PreventCommandIfReadOnly("workflow.rerun()");
	wf_store_enter(&access);
	wf_target_instance(&target, rerun.instance, access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	refuse_living(&target, rerun.instance);
	started = run_again(&rerun, &target, access.caller);
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (started != 0)
		PG_RETURN_INT64(started);
	wf_durable_require();
	PG_RETURN_NULL();
}
