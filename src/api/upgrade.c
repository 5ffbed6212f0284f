/*
 * upgrade.c
 *		What the script of ALTER EXTENSION workflow UPDATE does in C. It makes functions of these, calls them and drops
 *		them.
 */
#include "compat.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "api/attach_internal.h"
#include "engine/upgrade.h"
#include "store/access.h"
#include "store/batch.h"
#include "store/query.h"

PG_FUNCTION_INFO_V1(workflow_upgrade_grant);
PG_FUNCTION_INFO_V1(workflow_upgrade_attached);
PG_FUNCTION_INFO_V1(workflow_upgrade_clocks);

static void
require_script(void)
{
	if (!creating_extension)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("only ALTER EXTENSION workflow UPDATE calls this"));
}

/*
 * Run a GRANT or REVOKE that users have made before. What a script grants is taken for the extension's own, which pg_dump
 * leaves out; so this is not in the script.
 */
Datum
workflow_upgrade_grant(PG_FUNCTION_ARGS)
{
	char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));

	require_script();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	creating_extension = false;
	PG_TRY();
	{
		if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "this is no GRANT or REVOKE: %s", sql);
	}
	PG_FINALLY();
	{
		creating_extension = true;
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}

/* ---- attached tables ---- */

static WfQuery q_attached = {
	.sql = "SELECT DISTINCT relation::oid::bigint FROM workflow_data.attachment "
		   "WHERE relation IS NOT NULL AND detached_at IS NULL ORDER BY 1",
};

/* Give attached tables the triggers that this version has. */
Datum
workflow_upgrade_attached(PG_FUNCTION_ARGS)
{
	WfAccess access;
	int64	*tables;
	uint64	 n;

	require_script();
	wf_store_enter(&access);
	n = wf_query_run(&q_attached, NULL, NULL);
	tables = palloc(sizeof(int64) * Max(n, 1));
	for (uint64 i = 0; i < n; i++)
		tables[i] = wf_result_int64(i, 1);
	for (uint64 i = 0; i < n; i++)
	{
		Relation rel = table_open((Oid) tables[i], ShareRowExclusiveLock);

		wf_attach_renew(rel);
		table_close(rel, NoLock);
	}
	wf_store_leave(&access);
	PG_RETURN_VOID();
}

/* ---- clocks of visits ---- */

#define CHUNK 1000

typedef struct Chunk
{
	int64 instances[CHUNK];
	int64 visits[CHUNK];
	int	  n;
} Chunk;

static WfQuery q_with_handlers = {
	.sql =
		"SELECT instance, visit FROM workflow_data.visit WHERE next_handler IS NOT NULL AND (instance, visit) > ($1, $2) "
		"ORDER BY instance, visit LIMIT 1000",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

/* The visits behind the last one of the chunk. Returns whether there are any. */
static bool
next_chunk(Chunk *chunk)
{
	int	  last = chunk->n - 1;
	Datum values[2] = {Int64GetDatum(last >= 0 ? chunk->instances[last] : 0),
					   Int64GetDatum(last >= 0 ? chunk->visits[last] : 0)};

	chunk->n = (int) wf_query_run(&q_with_handlers, values, NULL);
	for (int i = 0; i < chunk->n; i++)
	{
		chunk->instances[i] = wf_result_int64(i, 1);
		chunk->visits[i] = wf_result_int64(i, 2);
	}
	return chunk->n > 0;
}

static void
upgrade_clocks(const Chunk *chunk)
{
	WfBatch *batch = wf_batch_begin();

	wf_batch_lock(batch, chunk->instances, chunk->n, WF_LOCK_WAIT);
	wf_batch_load_visits(batch, chunk->instances, chunk->visits, chunk->n);
	for (int i = 0; i < chunk->n; i++)
	{
		WfVisit *visit = wf_batch_visit(batch, chunk->instances[i], chunk->visits[i]);

		if (visit != NULL)
			wf_engine_upgrade_clocks(batch, visit);
	}
	wf_batch_flush(batch);
	wf_batch_end(batch);
}

/* Compute the times of all handlers of visits that version 0.1 has left. */
Datum
workflow_upgrade_clocks(PG_FUNCTION_ARGS)
{
	WfAccess access;
	Chunk	*chunk = palloc0(sizeof(Chunk));

	require_script();
	wf_store_enter(&access);
	while (next_chunk(chunk))
		upgrade_clocks(chunk);
	wf_store_leave(&access);
	PG_RETURN_VOID();
}
