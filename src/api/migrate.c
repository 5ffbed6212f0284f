/*
 * migrate.c
 *		workflow.migrate: take instances to another version of their process.
 *
 * An instance moves as a whole or stays as it is; what keeps one is told in rows. Those of a process are taken in
 * ascending order, a chunk at a time, as workflow.suspend_process does; their locks are held until the end of the transaction.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/target.h"
#include "compat.h"
#include "engine/engine.h"
#include "engine/migrate.h"
#include "model/issue.h"
#include "model/json.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/delivery.h"
#include "store/durable.h"
#include "store/privilege.h"
#include "store/query.h"
#include "store/subscription.h"
#include "store/version.h"

#define CHUNK	   500
#define LITERAL(n) #n
#define LIMIT(n)   " LIMIT " LITERAL(n)

static WfQuery q_next = {
	.sql = "SELECT instance FROM workflow_data.instance WHERE process_id = $1 AND instance > $2 AND version = $3 "
		   "ORDER BY instance" LIMIT(CHUNK),
	.nargs = 3,
	.argtypes = {INT4OID, INT8OID, INT4OID},
};

WF_FUNCTION(workflow_migrate);
WF_FUNCTION(workflow_migrate_process);

/* ---- the mapping ---- */

static const char *
step_name_of(const void *names, int i)
{
	return ((const WfDefinition *) names)->steps[i].name;
}

/* The step that the mapping names, of one of the versions. */
static int
find_named(const WfProcess *process, const char *name)
{
	const WfDefinition *def = process->def;
	int					step = wf_definition_step(def, name);
	int					near;

	if (step >= 0 && step != def->process_step)
		return step;
	near = wf_issue_nearest(name, def, def->nsteps, step_name_of);
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("version %d of process \"%s\" has no step \"%s\", which the mapping names", process->version,
				   process->name, wf_issue_clip(name)),
			near >= 0 && near != def->process_step ? errhint("%s", wf_issue_perhaps(def->steps[near].name, name)) : 0);
}

/* Read {"old step": "new step", …}: by index of the old step, the index of the new one; -1: it is not named. */
static int *
read_mapping(const WfProcess *from, const WfProcess *to, Jsonb *mapping)
{
	int				  *steps = palloc(sizeof(int) * from->def->nsteps);
	JsonbIterator	  *it;
	JsonbIteratorToken token;
	JsonbValue		   value;
	int				   old = 0;

	for (int i = 0; i < from->def->nsteps; i++)
		steps[i] = -1;
	if (mapping == NULL)
		return steps;
	it = JsonbIteratorInit(&mapping->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			old = find_named(from, pnstrdup(value.val.string.val, value.val.string.len));
		else if (token == WJB_VALUE && value.type == jbvString)
			steps[old] = find_named(to, pnstrdup(value.val.string.val, value.val.string.len));
		else if (token == WJB_VALUE)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the mapping of step \"%s\" is not the name of a step", from->def->steps[old].name),
					errhint("A mapping is an object such as {\"old step\": \"new step\"}."));
	}
	return steps;
}

static WfMigration
plan_migration(WfProcess *from, WfProcess *to, Jsonb *mapping)
{
	return (WfMigration){to, wf_version_map(from->def, to->def, read_mapping(from, to, mapping))};
}

/* ---- instances ---- */

static bool
has_callback_handlers(const WfDefinition *def)
{
	for (int i = 0; i < def->nsteps; i++)
		if (wf_step_callback_handler(&def->steps[i]) >= 0)
			return true;
	return false;
}

static bool
has_subscriptions(const WfDefinition *def)
{
	for (int i = 0; i < def->nsteps; i++)
		if (def->steps[i].nsubscribed > 0)
			return true;
	return false;
}

static void
put_obstacle(ReturnSetInfo *rows, int64 instance, const char *obstacle)
{
	Datum values[2] = {Int64GetDatum(instance), CStringGetTextDatum(obstacle)};
	bool  nulls[2] = {false, false};

	tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
}

/* Migrate an instance whose visits are loaded. Returns whether that was done. */
static bool
migrate_instance(WfBatch *batch, WfInstance *instance, const WfMigration *migration, ReturnSetInfo *rows)
{
	List	 *obstacles = wf_engine_migrate(batch, instance, migration);
	ListCell *lc;

	foreach (lc, obstacles)
		put_obstacle(rows, instance->id, lfirst(lc));
	return obstacles == NIL;
}

/* Read what belongs to the visits beside their rows. */
static void
load_rest(WfBatch *batch, const WfDefinition *from)
{
	if (has_subscriptions(from))
		wf_subscriptions_read(batch);
	if (has_callback_handlers(from))
		wf_deliveries_mark_callbacks(batch);
}

static void
audit_migration(Oid caller, int process_id, int64 instance, int from_version, int version, int64 moved)
{
	wf_audit(
		&(WfAudit){.call = "migrate",
				   .caller = caller,
				   .process_id = process_id,
				   .instance = instance,
				   .arguments = {{.key = "from_version", .kind = WF_FIELD_INT, .number = from_version},
								 {.key = "version", .kind = WF_FIELD_INT, .number = version},
								 {.key = "instances", .kind = WF_FIELD_INT, .number = moved, .omit = instance != 0}}});
}

static int
version_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	wf_argument_require(fcinfo, n, name);
	return PG_GETARG_INT32(n);
}

static Jsonb *
mapping_argument(FunctionCallInfo fcinfo, int n)
{
	Jsonb *mapping = wf_argument_jsonb(fcinfo, n);

	if (mapping != NULL && !JB_ROOT_IS_OBJECT(mapping))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"mapping\" must be a JSON object"),
				errhint("A mapping is an object such as {\"old step\": \"new step\"}."));
	return mapping;
}

/* ---- one instance ---- */

static void
migrate_one(WfTarget *target, int version, Jsonb *mapping, Oid caller, ReturnSetInfo *rows)
{
	WfInstance *instance = target->instance;
	WfProcess  *from = instance->process;
	WfMigration migration = plan_migration(from, wf_process_get(target->process_id, version), mapping);

	if (version == from->version)
		return;
	wf_batch_load_all_visits(target->batch, instance);
	load_rest(target->batch, from->def);
	if (!migrate_instance(target->batch, instance, &migration, rows))
		return;
	wf_subscriptions_flush(target->batch);
	wf_engine_migrated(target->batch, instance);
	wf_batch_flush(target->batch);
	audit_migration(caller, target->process_id, instance->id, from->version, version, 1);
}

/*
 * workflow.migrate(instance bigint, version integer, mapping jsonb) → setof (instance, obstacle): what keeps it from
 * that; no row: it was done, or it has that version
 *
 * Errors: 42704 for an unknown instance or version, 42501 without admin, 22023 for a mapping that is none, or names steps
 * that are not there.
 */
Datum
workflow_migrate(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;
	Jsonb		  *mapping = mapping_argument(fcinfo, 2);
	int			   version = version_argument(fcinfo, 1, "version");
	WfAccess	   access;
	WfTarget	   target;
	bool		   lives;

	wf_argument_require(fcinfo, 0, "instance");
	InitMaterializedSRF(fcinfo, 0);
	PreventCommandIfReadOnly("workflow.migrate()");
	wf_store_enter(&access);
	wf_target_instance(&target, PG_GETARG_INT64(0), access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	lives = target.instance != NULL;
	if (lives)
		migrate_one(&target, version, mapping, access.caller, rows);
	else
		put_obstacle(rows, PG_GETARG_INT64(0), "it has ended");
	wf_batch_end(target.batch);
	wf_store_leave(&access);
	if (!lives)
		wf_durable_require();
	return (Datum) 0;
}

/* ---- all of a version ---- */

/* What each of them keeps of it: a row of the audit for each would be too many. */
static Jsonb *
told_of_each(Oid caller, const WfProcess *from, int version)
{
	WfField		 fields[] = {{.key = "at", .kind = WF_FIELD_INT, .number = GetCurrentTimestamp()},
							 {.key = "from", .kind = WF_FIELD_INT, .number = from->version},
							 {.key = "to", .kind = WF_FIELD_INT, .number = version},
							 {.key = "by", .kind = WF_FIELD_TEXT, .text = GetUserNameFromId(caller, false)}};
	WfJsonbState state = {0};
	JsonbValue	 one;

	wf_jsonb_value(wf_jsonb_object(fields, lengthof(fields)), &one);
	wf_jsonb_push(&state, WJB_BEGIN_ARRAY, NULL);
	wf_jsonb_push(&state, WJB_ELEM, &one);
	return JsonbValueToJsonb(wf_jsonb_push(&state, WJB_END_ARRAY, NULL));
}

static void
keep_migration(WfInstance *instance, Jsonb *told)
{
	Jsonb *before = instance->migrations;

	instance->migrations =
		before == NULL
			? told
			: DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(before), JsonbPGetDatum(told)));
}

/*
 * Load the instances, which are locked in ascending order, and all of their visits, as far as memory allows. Returns how many were
 * looked at: some may have ended, or been taken to another version, while they were waited for.
 */
static int
load_chunk(WfBatch *batch, const int64 *ids, int n)
{
	int64 incomplete;
	int	  complete = 0;

	batch->memory_budget = WF_BATCH_MEMORY_BUDGET;
	wf_batch_lock(batch, ids, n, WF_LOCK_WAIT);
	while (complete < n && !wf_batch_is_deferred(batch, ids[complete], 0))
		complete++;
	batch->loaded = 0;
	incomplete = wf_batch_load_visits_of(batch, ids, complete);
	batch->memory_budget = 0;
	if (incomplete == ids[0])
	{
		wf_batch_load_all_visits(batch, wf_batch_instance(batch, ids[0]));
		return 1;
	}
	for (int i = 0; i < complete; i++)
		if (ids[i] == incomplete)
			return i;
	return complete;
}

/* Let those go on that were migrated. */
static void
go_on(WfBatch *batch, const WfProcess *from)
{
	ListCell *lc;

	foreach (lc, batch->instances)
	{
		WfInstance *instance = lfirst(lc);

		if (instance->changed && instance->process->version != from->version)
			wf_engine_migrated(batch, instance);
	}
}

/*
 * Migrate the next chunk of instances, those above *after. Returns how many were; *more says whether there are
 * further ones.
 */
static int
migrate_chunk(WfProcess *from, const WfMigration *migration, Jsonb *told, int64 *after, bool *more, ReturnSetInfo *rows)
{
	Datum	 values[3] = {Int32GetDatum(from->process_id), Int64GetDatum(*after), Int32GetDatum(from->version)};
	int		 n = (int) wf_query_run(&q_next, values, NULL);
	int		 moved = 0;
	WfBatch *batch;
	int64	 ids[CHUNK];
	int		 looked;

	*more = n > 0;
	if (n == 0)
		return 0;
	for (int i = 0; i < n; i++)
		ids[i] = wf_result_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);
	batch = wf_batch_begin();
	batch->by_call = true;
	looked = load_chunk(batch, ids, n);
	load_rest(batch, from->def);
	for (int i = 0; i < looked; i++)
	{
		WfInstance *instance = wf_batch_instance(batch, ids[i]);

		if (instance == NULL || instance->process->version != from->version ||
			!migrate_instance(batch, instance, migration, rows))
			continue;
		keep_migration(instance, told);
		moved++;
	}
	wf_subscriptions_flush(batch);
	go_on(batch, from);
	*after = ids[looked - 1];
	*more = looked < n || n == CHUNK;
	wf_batch_flush(batch);
	wf_batch_end(batch);
	return moved;
}

/*
 * workflow.migrate(process text, from_version integer, version integer, mapping jsonb) → setof (instance, obstacle): what
 * keeps instances from that; those without a row were migrated
 *
 * Errors: as for one instance; 42704 for an unknown process.
 */
Datum
workflow_migrate_process(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;
	char		  *name = wf_argument_text_required(fcinfo, 0, "process");
	int			   from_version = version_argument(fcinfo, 1, "from_version");
	int			   version = version_argument(fcinfo, 2, "version");
	Jsonb		  *mapping = mapping_argument(fcinfo, 3);
	WfProcess	  *from;
	WfMigration	   migration;
	Jsonb		  *told;
	WfAccess	   access;
	int			   process_id;
	int64		   moved = 0;
	int64		   after = 0;
	bool		   more = true;

	InitMaterializedSRF(fcinfo, 0);
	PreventCommandIfReadOnly("workflow.migrate()");
	wf_store_enter(&access);
	process_id = wf_process_id(name);
	if (process_id == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process \"%s\" does not exist", name));
	wf_privilege_require(process_id, access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	from = wf_process_get(process_id, from_version);
	migration = plan_migration(from, wf_process_get(process_id, version), mapping);
	told = told_of_each(access.caller, from, version);
	while (more && version != from_version)
	{
		CHECK_FOR_INTERRUPTS();
		moved += migrate_chunk(from, &migration, told, &after, &more, rows);
	}
	if (moved > 0)
		audit_migration(access.caller, process_id, 0, from_version, version, moved);
	wf_store_leave(&access);
	ereport(NOTICE,
			errmsg(INT64_FORMAT " %s of process \"%s\" %s taken from version %d to version %d", moved,
				   moved == 1 ? "instance" : "instances", name, moved == 1 ? "was" : "were", from_version, version));
	return (Datum) 0;
}
