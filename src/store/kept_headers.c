/*
 * kept_headers.c
 *		Headers of calls that are kept with visits: the rows of workflow_data.on_behalf.
 *
 * Rows belong to whoever has locked the instance. They are secrets: they go to statements as rows in memory, never as
 * text or parameters, which logs and statistics may show. They are logged as the visits are, since a request that is due
 * is durable with all that it needs.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"

#include "store/kept_headers.h"
#include "store/query.h"

static const WfColumn kept_columns[] = {{"instance", INT8OID},
										{"visit", INT8OID},
										{"request", JSONBOID},
										{"onwards", JSONBOID}};
static const WfColumn key_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}};

static WfShape kept_shape = {kept_columns, lengthof(kept_columns)};
static WfShape key_shape = {key_columns, lengthof(key_columns)};

static WfQuery q_insert = {
	.sql = "INSERT INTO workflow_data.on_behalf (instance, visit, request, onwards) "
		   "SELECT m.instance, m.visit, m.request, m.onwards FROM moved m",
	.shape = &kept_shape,
};
/* not each has a row: it may have been lost with a dump */
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.on_behalf o USING moved m WHERE o.instance = m.instance AND o.visit = m.visit",
	.shape = &key_shape,
};
static WfQuery q_read = {
	.sql = "SELECT o.request, o.onwards FROM workflow_data.visit v LEFT JOIN workflow_data.on_behalf o "
		   "ON o.instance = v.instance AND o.visit = v.visit WHERE v.instance = $1 AND v.visit = $2 AND v.on_behalf",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static Jsonb *
copy_result(int column)
{
	bool  isnull;
	Datum value = wf_result(0, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

bool
wf_kept_headers_read(WfBatch *batch, WfVisit *visit)
{
	WfKeptHeaders *kept = &visit->kept;
	Datum		   values[] = {Int64GetDatum(visit->instance->id), Int64GetDatum(visit->id)};
	MemoryContext  old;
	bool		   found;

	if (!kept->had_row || kept->was_read || kept->changed)
		return true;
	old = MemoryContextSwitchTo(batch->context);
	found = wf_query_run(&q_read, values, NULL) > 0;
	if (found)
	{
		kept->request = copy_result(1);
		kept->onwards = copy_result(2);
	}
	SPI_freetuptable(SPI_tuptable);
	kept->was_read = true;
	MemoryContextSwitchTo(old);
	return found;
}

void
wf_kept_headers_list(WfBatch *batch, WfVisit *visit)
{
	MemoryContext old;

	if (visit->kept.listed)
		return;
	old = MemoryContextSwitchTo(batch->context);
	batch->kept = lappend(batch->kept, visit);
	visit->kept.listed = true;
	MemoryContextSwitchTo(old);
}

/* Are its headers needed once the batch has ended? Those with a list are for items that are still to be begun. */
static bool
are_needed(const WfVisit *visit)
{
	const WfKeptHeaders *kept = &visit->kept;

	if (visit->ended || (kept->request == NULL && kept->onwards == NULL))
		return false;
	return visit->state == WF_STATE_CANCELLING || visit->def == NULL || visit->def->action != WF_ACTION_EACH ||
		   visit->state != WF_STATE_WAITING || wf_has_more_items(visit);
}

void
wf_kept_headers_settle(WfBatch *batch)
{
	ListCell *lc;

	foreach (lc, batch->kept)
	{
		WfVisit *visit = lfirst(lc);

		visit->kept.has_row = are_needed(visit);
		if (visit->kept.has_row != visit->kept.had_row)
			visit->changed = true;
	}
}

static void
put(WfRows *rows, WfShape *shape, const WfVisit *visit)
{
	const WfKeptHeaders *kept = &visit->kept;
	Datum values[] = {Int64GetDatum(visit->instance->id), Int64GetDatum(visit->id), JsonbPGetDatum(kept->request),
					  JsonbPGetDatum(kept->onwards)};
	bool  nulls[] = {false, false, kept->request == NULL, kept->onwards == NULL};

	if (rows->store == NULL)
		wf_rows_begin(rows, shape);
	wf_rows_put(rows, values, nulls);
}

static void
write_rows(WfQuery *query, WfRows *rows)
{
	if (rows->store == NULL)
		return;
	(void) wf_query_run_rows(query, rows);
	wf_rows_end(rows);
}

void
wf_kept_headers_flush(WfBatch *batch)
{
	WfRows	  gone = {0};
	WfRows	  kept = {0};
	ListCell *lc;

	foreach (lc, batch->kept)
	{
		WfVisit *visit = lfirst(lc);
		bool	 stays = visit->kept.has_row && !visit->kept.changed;

		if (visit->kept.had_row && !stays)
			put(&gone, &key_shape, visit);
		if (visit->kept.has_row && !stays)
			put(&kept, &kept_shape, visit);
		visit->kept.had_row = visit->kept.was_read = visit->kept.has_row;
		visit->kept.changed = visit->kept.listed = false;
	}
	write_rows(&q_delete, &gone);
	write_rows(&q_insert, &kept);
	batch->kept = NIL;
}
