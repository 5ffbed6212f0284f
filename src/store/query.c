/*
 * query.c
 *		Kept plans, and relations that live in memory.
 *
 * Plans are generic and made of nested loops over keys only: a batch may hold one row or a hundred
 * thousand, the tables may be empty when a plan is made and huge when it is used, and a key look-up
 * per row is right for all of them. A plan can be made again within any execution (an ANALYZE
 * elsewhere is enough), so every execution runs under the same planner settings, and tells the
 * planner that tables are large: a plan for an empty table would scan it for ever. Plans live as
 * long as the backend.
 *
 * Reads on which something is decided see the latest snapshot, as foreign key checks do: under
 * REPEATABLE READ they would otherwise miss a visit that was committed after the caller's snapshot.
 */
#include "compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"
#include "utils/snapmgr.h"

#include "store/query.h"

#define ROWS_NAME "moved"

static TupleDesc
shape_desc(WfShape *shape)
{
	if (shape->desc == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	  desc = CreateTemplateTupleDesc(shape->ncolumns);

		for (int i = 0; i < shape->ncolumns; i++)
			TupleDescInitEntry(desc, i + 1, shape->columns[i].name, shape->columns[i].type, -1, 0);
		TupleDescFinalize(desc);
		shape->desc = desc;
		MemoryContextSwitchTo(old);
	}
	return shape->desc;
}

void
wf_rows_begin(WfRows *rows, WfShape *shape)
{
	rows->shape = shape;
	rows->store = tuplestore_begin_heap(false, false, work_mem);
	rows->n = 0;
}

void
wf_rows_put(WfRows *rows, Datum *values, bool *nulls)
{
	tuplestore_putvalues(rows->store, shape_desc(rows->shape), values, nulls);
	rows->n++;
}

void
wf_rows_end(WfRows *rows)
{
	tuplestore_end(rows->store);
	rows->store = NULL;
}

static bool			  running = false; /* one of our queries is being planned or run */
static WfRelationHook previous_relation_hook = NULL;

static void
tables_are_large(WF_RELATION_HOOK_PARAMETERS)
{
	ListCell *lc;

	if (previous_relation_hook != NULL)
		previous_relation_hook(WF_RELATION_HOOK_ARGUMENTS);
	if (!running || !WF_RELATION_HOOK_IS_TABLE || WF_RELATION_HOOK_RELID < FirstNormalObjectId)
		return; /* sizes of catalogs are left as they are */
	rel->pages = 100000;
	rel->tuples = 1000000;
	foreach (lc, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(lc);

		index->pages = 10000;
		index->tuples = rel->tuples;
	}
}

void
wf_query_init(void)
{
	previous_relation_hook = WF_RELATION_HOOK;
	WF_RELATION_HOOK = tables_are_large;
}

/* Planner settings, as plain variables: it is cheap enough to set them around every execution. */
typedef struct Switches
{
	bool on[2];
	bool off[8];
	int	 cache_mode;
	bool running;
} Switches;

static bool *const switched_on[] = {&enable_nestloop, &enable_indexscan};
static bool *const switched_off[] = {&enable_seqscan,  &enable_hashjoin, &enable_mergejoin, &enable_bitmapscan,
									 &enable_material, &enable_memoize,	 &enable_hashagg,	&jit_enabled};

static void
switch_over(Switches *saved)
{
	for (int i = 0; i < lengthof(switched_on); i++)
	{
		saved->on[i] = *switched_on[i];
		*switched_on[i] = true;
	}
	for (int i = 0; i < lengthof(switched_off); i++)
	{
		saved->off[i] = *switched_off[i];
		*switched_off[i] = false;
	}
	saved->cache_mode = plan_cache_mode;
	plan_cache_mode = PLAN_CACHE_MODE_FORCE_GENERIC_PLAN;
	saved->running = running;
	running = true;
}

static void
switch_back(const Switches *saved)
{
	for (int i = 0; i < lengthof(switched_on); i++)
		*switched_on[i] = saved->on[i];
	for (int i = 0; i < lengthof(switched_off); i++)
		*switched_off[i] = saved->off[i];
	plan_cache_mode = saved->cache_mode;
	running = saved->running;
}

/* Prepare a plan, which is freed with the connection to SPI. */
static void
prepare_query(WfQuery *query)
{
	query->plan = SPI_prepare_cursor(query->sql, query->nargs, query->argtypes, CURSOR_OPT_GENERIC_PLAN);
	if (query->plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), query->sql);
}

static void
prepare_to_keep(WfQuery *query)
{
	prepare_query(query);
	if (SPI_keepplan(query->plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
}

/*
 * Run a query while a parallel plan is under way that has called a function of ours. It is one of
 * those of which views are made, and sees what the plan sees: no command may begin there.
 */
static int
execute_beside_plan(WfQuery *query, Datum *values, const char *nulls)
{
	return SPI_execute_snapshot(query->plan, values, nulls, InvalidSnapshot, InvalidSnapshot, true, false, 0);
}

/*
 * Run a query. Changes under SERIALIZABLE must not touch rows that the caller's snapshot does not
 * see: the crosscheck throws 40001, as for foreign keys. Under REPEATABLE READ the lock of the
 * instance is enough.
 */
static void
execute_plan(WfQuery *query, Datum *values, const char *nulls, bool changes)
{
	Snapshot snapshot = IsolationUsesXactSnapshot() ? GetLatestSnapshot() : InvalidSnapshot;
	Snapshot crosscheck = changes && IsolationIsSerializable() ? GetTransactionSnapshot() : InvalidSnapshot;
	int		 rc;

	if (query->plan == NULL)
		prepare_to_keep(query);
	if (IsInParallelMode())
		rc = execute_beside_plan(query, values, nulls);
	else
		rc = SPI_execute_snapshot(query->plan, values, nulls, snapshot, crosscheck, false, true, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s: %s", SPI_result_code_string(rc), query->sql);
}

static void
look_at(WfQuery *query, Datum *values, Snapshot at)
{
	int rc;

	if (query->plan == NULL)
		prepare_to_keep(query);
	rc = SPI_execute_snapshot(query->plan, values, NULL, at, InvalidSnapshot, true, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s: %s", SPI_result_code_string(rc), query->sql);
}

/* `at`: as that snapshot sees it, or NULL. */
static uint64
run_query(WfQuery *query, Datum *values, const char *nulls, bool changes, Snapshot at)
{
	MemoryContext context = CurrentMemoryContext; /* SPI leaves its own context current */
	Switches	  saved;

	switch_over(&saved);
	PG_TRY();
	{
		if (at != NULL)
			look_at(query, values, at);
		else
			execute_plan(query, values, nulls, changes);
	}
	PG_FINALLY();
	{
		switch_back(&saved);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return SPI_processed;
}

uint64
wf_query_run(WfQuery *query, Datum *values, const char *nulls)
{
	return run_query(query, values, nulls, false, NULL);
}

uint64
wf_query_run_at(WfQuery *query, Datum *values, Snapshot snapshot)
{
	return run_query(query, values, NULL, false, snapshot);
}

uint64
wf_query_run_text(const char *sql)
{
	WfQuery query = {.sql = sql};
	uint64	processed;

	prepare_query(&query);
	processed = run_query(&query, NULL, NULL, true, NULL);
	SPI_freeplan(query.plan);
	return processed;
}

static void
register_rows(EphemeralNamedRelation enr)
{
	enr->md.name = ROWS_NAME;
	enr->md.reliddesc = InvalidOid;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = 1; /* so that one plan serves all sizes */
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register rows");
}

void
wf_query_connect(void)
{
	EphemeralNamedRelationData none = {0};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	register_rows(&none);
	SPI_unregister_relation(ROWS_NAME);
}

uint64
wf_query_run_rows(WfQuery *query, WfRows *rows)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	uint64				   processed;

	enr->md.tupdesc = shape_desc(rows->shape);
	enr->reldata = rows->store;
	register_rows(enr);
	processed = run_query(query, NULL, NULL, true, NULL);
	SPI_unregister_relation(ROWS_NAME);
	pfree(enr);
	return processed;
}

Datum
wf_result(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

int64
wf_result_int64(uint64 row, int column)
{
	bool  isnull;
	Datum value = wf_result(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

char *
wf_result_text(uint64 row, int column)
{
	bool  isnull;
	Datum value = wf_result(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

Datum
wf_int64_array(const int64 *values, int n)
{
	Datum *datums = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		datums[i] = Int64GetDatum(values[i]);
	return PointerGetDatum(construct_array(datums, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum
wf_text_array(const char *const *values, int n)
{
	Datum *datums = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		datums[i] = CStringGetTextDatum(values[i]);
	return PointerGetDatum(construct_array(datums, n, TEXTOID, -1, false, TYPALIGN_INT));
}
