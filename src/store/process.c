/*
 * process.c
 *		Look-ups of processes and their versions. Compiled versions are kept by process_cache.c.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "store/access.h"
#include "store/process.h"
#include "store/process_cache.h"
#include "store/query.h"

static WfQuery q_version = {
	.sql = "SELECT p.process, v.search_path, v.definition::text, v.xmin, v.timezone "
		   "FROM workflow_data.process_version v JOIN workflow_data.process p USING (process_id) "
		   "WHERE v.process_id = $1 AND v.version = $2",
	.nargs = 2,
	.argtypes = {INT4OID, INT4OID},
};
static WfQuery q_has_version = {
	.sql = "SELECT 1 FROM workflow_data.process_version WHERE process_id = $1 AND version = $2",
	.nargs = 2,
	.argtypes = {INT4OID, INT4OID},
};
static WfQuery q_last_version = {
	.sql = "SELECT max(version) FROM workflow_data.process_version WHERE process_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_is_suspended = {
	.sql = "SELECT suspended FROM workflow_data.process WHERE process_id = $1 FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_set_suspended = {
	.sql = "UPDATE workflow_data.process SET suspended = $2 WHERE process_id = $1",
	.nargs = 2,
	.argtypes = {INT4OID, BOOLOID},
};

static WfProcess *
compile(int process_id, int version, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	WfProcess	 *process = palloc0(sizeof(WfProcess));
	WfIssues	  issues = {0};

	process->process_id = process_id;
	process->version = version;
	process->name = wf_result_text(0, 1);
	process->search_path = wf_result_text(0, 2);
	process->timezone = wf_result_text(0, 5);
	process->def = wf_definition_compile(wf_result_text(0, 3), NULL, &issues);
	MemoryContextSwitchTo(old);
	if (process->def == NULL)
		wf_issues_report(process->name, &issues);
	return process;
}

/* ---- rows of processes ---- */

/* Columns of the table `process`, in its order. */
enum
{
	PROCESS_ID = 1,
	PROCESS_NAME = 2,
	PROCESS_OWNER = 3,
	PROCESS_OWNER_NAME = 4,
	PROCESS_LATEST = 5,
	PROCESS_SUSPENDED = 6
};

/* What is looked up so often. */
typedef struct ProcessRow
{
	int		 process_id;
	int		 latest;
	bool	 suspended;
	Oid		 owner;
	NameData owner_name;
	char	*name;
} ProcessRow;

static Datum
process_column(HeapTuple tuple, Relation table, int column)
{
	bool isnull;

	return heap_getattr(tuple, column, RelationGetDescr(table), &isnull);
}

/*
 * Find a process, as the latest snapshot shows it. Every start does, and every look at what is due; a query
 * would take a tenth of their time.
 */
static bool
find_row(const char *index, ScanKey key, ProcessRow *row)
{
	Relation	table = table_open(wf_store_relation("process"), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(table, wf_store_relation(index), true, snapshot, 1, key);
	HeapTuple	tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
	{
		row->process_id = DatumGetInt32(process_column(tuple, table, PROCESS_ID));
		row->latest = DatumGetInt32(process_column(tuple, table, PROCESS_LATEST));
		row->suspended = DatumGetBool(process_column(tuple, table, PROCESS_SUSPENDED));
		row->owner = DatumGetObjectId(process_column(tuple, table, PROCESS_OWNER));
		row->name = TextDatumGetCString(process_column(tuple, table, PROCESS_NAME));
		row->owner_name = *DatumGetName(process_column(tuple, table, PROCESS_OWNER_NAME));
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(table, AccessShareLock);
	return tuple != NULL;
}

static bool
find_by_name(const char *name, ProcessRow *row)
{
	ScanKeyData key;

	ScanKeyEntryInitialize(&key, 0, PROCESS_NAME, BTEqualStrategyNumber, TEXTOID, DEFAULT_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(name));
	return find_row("process_process_key", &key, row);
}

static bool
find_by_id(int process_id, ProcessRow *row)
{
	ScanKeyData key;

	if (!IsInParallelMode())
		CommandCounterIncrement(); /* one that was just defined is seen, as by a query */
	ScanKeyInit(&key, PROCESS_ID, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(process_id));
	return find_row("process_pkey", &key, row);
}

bool
wf_process_owner_stored(int process_id, Oid *owner, NameData *name)
{
	ProcessRow row;

	if (!find_by_id(process_id, &row))
		return false;
	*owner = row.owner;
	*name = row.owner_name;
	return true;
}

char *
wf_process_name(int process_id)
{
	ProcessRow row;

	if (!find_by_id(process_id, &row))
		elog(ERROR, "process %d does not exist", process_id);
	return row.name;
}

/* ---- versions ---- */

static void
report_missing(int process_id, int version)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("version %d of process \"%s\" does not exist", version, wf_process_name(process_id)),
			errhint("See the view workflow.processes."));
}

WfProcess *
wf_process_get(int process_id, int version)
{
	Oid			  relid = wf_store_relation("process_version");
	WfProcess	 *process = wf_process_cache_find(relid, process_id, version);
	Datum		  values[2] = {Int32GetDatum(process_id), Int32GetDatum(version)};
	MemoryContext context;
	TransactionId xmin;
	bool		  isnull;

	if (likely(process != NULL))
		return process;
	if (wf_query_run(&q_version, values, NULL) == 0)
		report_missing(process_id, version);
	xmin = DatumGetTransactionId(wf_result(0, 4, &isnull));
	context = AllocSetContextCreate(CurTransactionContext, "workflow process", ALLOCSET_SMALL_SIZES);
	process = compile(process_id, version, context);
	if (!TransactionIdIsNormal(xmin) || !TransactionIdIsCurrentTransactionId(xmin))
		xmin = InvalidTransactionId;
	wf_process_cache_keep(relid, process, context, xmin);
	return process;
}

int
wf_process_id(const char *name)
{
	ProcessRow row;

	return find_by_name(name, &row) ? row.process_id : 0;
}

/* Is the version there? One that is compiled is known to be. */
static bool
has_version(int process_id, int version)
{
	Datum values[2] = {Int32GetDatum(process_id), Int32GetDatum(version)};

	return wf_process_cache_find(wf_store_relation("process_version"), process_id, version) != NULL ||
		   wf_query_run(&q_has_version, values, NULL) > 0;
}

static WfProcessMissing
find_version(const char *name, int version, ProcessRow *row)
{
	if (!find_by_name(name, row))
		return WF_PROCESS_UNKNOWN;
	if (row->latest == 0)
		return WF_PROCESS_UNDEFINED;
	return version == 0 || has_version(row->process_id, version) ? WF_PROCESS_THERE : WF_PROCESS_VERSION;
}

int
wf_process_find(const char *name, int version, WfProcessMissing *missing)
{
	ProcessRow row;

	*missing = find_version(name, version, &row);
	return *missing == WF_PROCESS_UNKNOWN ? 0 : row.process_id;
}

WfProcess *
wf_process_look_up(const char *name, int version, bool *suspended, WfProcessMissing *missing)
{
	ProcessRow row;

	*missing = find_version(name, version, &row);
	if (*missing != WF_PROCESS_THERE)
		return NULL;
	*suspended = row.suspended;
	return wf_process_get(row.process_id, version != 0 ? version : row.latest);
}

WfProcess *
wf_process_by_name(const char *name, int version, bool *suspended)
{
	ProcessRow row;

	if (!find_by_name(name, &row))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process \"%s\" does not exist", name),
				errhint("Define it with workflow.define."));
	if (suspended != NULL)
		*suspended = row.suspended;
	if (row.latest == 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("process \"%s\" was undefined: it takes no new instances", name),
				errhint("Define it again with workflow.define."));
	return wf_process_get(row.process_id, version != 0 ? version : row.latest);
}

int
wf_process_last_version(int process_id)
{
	Datum values[1] = {Int32GetDatum(process_id)};
	bool  isnull;

	wf_query_run(&q_last_version, values, NULL);
	return DatumGetInt32(wf_result(0, 1, &isnull));
}

WfProcess *
wf_process_latest(int process_id, bool *suspended)
{
	ProcessRow row;

	if (!find_by_id(process_id, &row))
		return NULL;
	*suspended = row.suspended;
	return row.latest != 0 ? wf_process_get(process_id, row.latest) : NULL;
}

bool
wf_process_is_suspended(int process_id)
{
	ProcessRow row;

	return find_by_id(process_id, &row) && row.suspended;
}

bool
wf_process_set_suspended(int process_id, bool suspended)
{
	Datum values[2] = {Int32GetDatum(process_id), BoolGetDatum(suspended)};
	bool  isnull;

	wf_query_run(&q_is_suspended, values, NULL);
	if (DatumGetBool(wf_result(0, 1, &isnull)) == suspended)
		return false;
	wf_query_run(&q_set_suspended, values, NULL);
	return true;
}
