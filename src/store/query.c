/*
 * query.c
 *		Kept plans, and relations that live in memory.
 *
 * Plans are generic and made with nested loops over keys only: a batch may hold one row or a hundred thousand, the
 * tables may be empty when a plan is made and huge when it is used, and a key look-up per row is right for all of them.
 * The planner settings are in force only in the call that (re)plans. Plans live as long as the backend.
 *
 * Deciding reads see the latest snapshot, as foreign key checks do: under REPEATABLE READ a visit that was committed
 * after the caller's snapshot would otherwise be missed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
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
		TupleDesc	desc = CreateTemplateTupleDesc(shape->ncolumns);

		for (int i = 0; i < shape->ncolumns; i++)
			TupleDescInitEntry(desc, i + 1, shape->columns[i].name, shape->columns[i].type, -1, 0);
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

static void
planner_settings(void)
{
	static const char *const off[] = {"enable_seqscan", "enable_hashjoin", "enable_mergejoin",
		"enable_bitmapscan", "enable_material", "enable_memoize", "jit"};

	for (int i = 0; i < lengthof(off); i++)
		(void) set_config_option(off[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	(void) set_config_option("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

static void
prepare(WfQuery *query)
{
	query->plan = SPI_prepare_cursor(query->sql, query->nargs, query->argtypes,
									 CURSOR_OPT_GENERIC_PLAN);
	if (query->plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), query->sql);
	if (SPI_keepplan(query->plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
}

static uint64
execute(WfQuery *query, Datum *values, const char *nulls)
{
	Snapshot	snapshot = IsolationUsesXactSnapshot() ? GetLatestSnapshot() : InvalidSnapshot;
	int			rc = SPI_execute_snapshot(query->plan, values, nulls, snapshot, InvalidSnapshot, false,
										  true, 0);

	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s: %s", SPI_result_code_string(rc), query->sql);
	return SPI_processed;
}

uint64
wf_query_run(WfQuery *query, Datum *values, const char *nulls)
{
	uint64		processed;
	int			guc_level;

	if (likely(query->plan != NULL && SPI_plan_is_valid(query->plan)))
		return execute(query, values, nulls);

	guc_level = NewGUCNestLevel();
	planner_settings();
	if (query->plan == NULL)
		prepare(query);
	processed = execute(query, values, nulls);
	AtEOXact_GUC(false, guc_level);
	return processed;
}

uint64
wf_query_run_rows(WfQuery *query, WfRows *rows)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	uint64		processed;

	enr->md.name = ROWS_NAME;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = shape_desc(rows->shape);
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = 1; /* one plan for all sizes */
	enr->reldata = rows->store;
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register rows");
	processed = wf_query_run(query, NULL, NULL);
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
	bool		isnull;
	Datum		value = wf_result(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

char *
wf_result_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = wf_result(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}
