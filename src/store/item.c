/*
 * item.c
 *		The items of visits that go through a list, one row each.
 *
 * Rows belong to whoever has locked the instance. They are written and deleted together for a whole list; what
 * an item has given is written together for all that have ended in a batch. A list that begins in a batch is one
 * document in memory there.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"

#include "compat.h"
#include "model/json.h"
#include "store/item.h"
#include "store/query.h"

/* What a batch knows of a list. */
struct WfItemList
{
	WfVisit *whole;
	Jsonb	*list;			/* it has begun in this batch; NULL: before */
	Jsonb  **responses;		/* then: of each item; NULL: none */
	bool	 may_be_stored; /* there may be rows, which are in the way */
	bool	 is_dropped;
	List	*given; /* of Given: not written yet */
	/* Items that were read ahead: these of them. */
	Jsonb **ahead;
	int64	ahead_from;
	int64	ahead_to;
	int		window; /* so many are read at a time */
};

#define MAX_WINDOW 256

typedef struct Given
{
	int	   index;
	Jsonb *response;
} Given;

static const WfColumn list_columns[] = {{"instance", INT8OID},
										{"visit", INT8OID},
										{"process_id", INT4OID},
										{"list", JSONBOID}};
static const WfColumn given_columns[] = {{"instance", INT8OID},
										 {"visit", INT8OID},
										 {"index", INT4OID},
										 {"response", JSONBOID}};
static const WfColumn key_columns[] = {{"instance", INT8OID}, {"visit", INT8OID}};

static WfShape list_shape = {list_columns, lengthof(list_columns)};
static WfShape given_shape = {given_columns, lengthof(given_columns)};
static WfShape key_shape = {key_columns, lengthof(key_columns)};

static WfQuery q_insert = {
	.sql = "INSERT INTO workflow_data.item (instance, visit, index, process_id, item) "
		   "SELECT m.instance, m.visit, e.n - 1, m.process_id, e.item "
		   "FROM moved m, jsonb_array_elements(m.list) WITH ORDINALITY AS e (item, n)",
	.shape = &list_shape,
};
static WfQuery q_give = {
	.sql = "UPDATE workflow_data.item i SET response = m.response FROM moved m "
		   "WHERE i.instance = m.instance AND i.visit = m.visit AND i.index = m.index",
	.shape = &given_shape,
};
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.item i USING moved m WHERE i.instance = m.instance AND i.visit = m.visit",
	.shape = &key_shape,
};
static WfQuery q_range = {
	.sql = "SELECT i.item FROM workflow_data.item i WHERE i.instance = $1 AND i.visit = $2 AND i.index >= $3 "
		   "AND i.index < $4 ORDER BY i.index",
	.nargs = 4,
	.argtypes = {INT8OID, INT8OID, INT4OID, INT4OID},
};
static WfQuery q_load = {
	.sql = "SELECT k.n, i.item FROM ROWS FROM (unnest($1), unnest($2), unnest($3)) WITH ORDINALITY "
		   "AS k (instance, visit, index, n) JOIN workflow_data.item i "
		   "ON i.instance = k.instance AND i.visit = k.visit AND i.index = k.index",
	.nargs = 3,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID},
};
static WfQuery q_collect = {
	.sql = "SELECT jsonb_agg(i.response ORDER BY i.index) FROM workflow_data.item i "
		   "WHERE i.instance = $1 AND i.visit = $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static WfItemList *
list_of(WfBatch *batch, WfVisit *whole)
{
	MemoryContext old;

	if (whole->item_list != NULL)
		return whole->item_list;
	old = MemoryContextSwitchTo(batch->context);
	whole->item_list = palloc0(sizeof(WfItemList));
	whole->item_list->whole = whole;
	whole->item_list->may_be_stored = !whole->is_new;
	batch->item_lists = lappend(batch->item_lists, whole->item_list);
	MemoryContextSwitchTo(old);
	return whole->item_list;
}

void
wf_items_begin(WfBatch *batch, WfVisit *whole, Jsonb *list)
{
	WfItemList *items = list_of(batch, whole);

	items->list = list;
	items->responses = MemoryContextAllocZero(batch->context, sizeof(Jsonb *) * Max(JB_ROOT_COUNT(list), 1));
	items->given = NIL;
}

void
wf_items_drop(WfBatch *batch, WfVisit *whole)
{
	list_of(batch, whole)->is_dropped = true;
}

/* ---- items ---- */

static void
read_memory(WfBatch *batch, Jsonb *list, int64 from, int n, Jsonb **values)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	for (int i = 0; i < n; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&list->root, (uint32) (from + i));

		values[i] = JsonbValueToJsonb(value);
		pfree(value);
	}
	MemoryContextSwitchTo(old);
}

static Jsonb *
copy_result(WfBatch *batch, uint64 row, int column)
{
	bool		  isnull;
	Datum		  datum = wf_result(row, column, &isnull);
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Jsonb		 *copy = isnull ? NULL : DatumGetJsonbPCopy(datum);

	MemoryContextSwitchTo(old);
	return copy;
}

static void
lost_items(const WfVisit *whole)
{
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
			errmsg("items of visit " INT64_FORMAT "_" INT64_FORMAT " are missing", whole->instance->id, whole->id),
			errhint("SELECT * FROM workflow.verify() looks for what else is wrong."));
}

/* Read ahead: the more often it is asked for, the more at a time. */
static void
read_ahead(WfBatch *batch, WfItemList *items, int64 from, int n)
{
	const WfVisit *whole = items->whole;
	int			   most = (int) Min(Max(n, items->window), whole->items.n - from);
	Datum		   args[4] = {Int64GetDatum(whole->instance->id), Int64GetDatum(whole->id), Int32GetDatum((int) from),
							  Int32GetDatum((int) from + most)};

	if (wf_query_run(&q_range, args, NULL) != (uint64) most)
		lost_items(whole);
	items->ahead = MemoryContextAlloc(batch->context, sizeof(Jsonb *) * most);
	for (int i = 0; i < most; i++)
		items->ahead[i] = copy_result(batch, i, 1);
	SPI_freetuptable(SPI_tuptable);
	items->ahead_from = from;
	items->ahead_to = from + most;
	items->window = Min(MAX_WINDOW, most * 2);
}

void
wf_items_read(WfBatch *batch, WfVisit *whole, int64 from, int n, Jsonb **values)
{
	WfItemList *items = list_of(batch, whole);

	if (items->list != NULL)
	{
		read_memory(batch, items->list, from, n, values);
		return;
	}
	if (from < items->ahead_from || from + n > items->ahead_to)
		read_ahead(batch, items, from, n);
	memcpy(values, items->ahead + (from - items->ahead_from), sizeof(Jsonb *) * n);
}

void
wf_items_load(WfBatch *batch, Snapshot snapshot)
{
	int		  n = list_length(batch->items);
	int64	 *keys = palloc(sizeof(int64) * n * 3);
	List	 *items = batch->items;
	Datum	  args[3];
	uint64	  rows;
	ListCell *lc;

	batch->items = NIL;
	foreach (lc, items)
	{
		const WfVisit *visit = lfirst(lc);
		int			   i = foreach_current_index(lc);

		keys[i] = visit->instance->id;
		keys[n + i] = visit->scope_id;
		keys[2 * n + i] = visit->item;
	}
	for (int i = 0; i < lengthof(args); i++)
		args[i] = wf_int64_array(keys + n * i, n);
	rows = snapshot != NULL ? wf_query_run_at(&q_load, args, snapshot) : wf_query_run(&q_load, args, NULL);
	for (uint64 i = 0; i < rows; i++)
		((WfVisit *) list_nth(items, (int) wf_result_int64(i, 1) - 1))->item_value = copy_result(batch, i, 2);
	SPI_freetuptable(SPI_tuptable);
	if (rows != (uint64) n)
		lost_items(((WfVisit *) linitial(items))->scope);
	pfree(keys);
}

/* ---- what they have given ---- */

void
wf_items_give(WfBatch *batch, WfVisit *whole, int index, Jsonb *response)
{
	WfItemList	 *items = list_of(batch, whole);
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Given		 *given = palloc(sizeof(Given));

	*given = (Given){index, response};
	items->given = lappend(items->given, given);
	if (items->list != NULL)
		items->responses[index] = response;
	MemoryContextSwitchTo(old);
}

static void
put_given(WfRows *rows, WfItemList *items)
{
	const WfVisit *whole = items->whole;
	ListCell	  *lc;

	foreach (lc, items->given)
	{
		const Given *given = lfirst(lc);
		Datum values[] = {Int64GetDatum(whole->instance->id), Int64GetDatum(whole->id), Int32GetDatum(given->index),
						  JsonbPGetDatum(given->response)};
		bool  nulls[lengthof(given_columns)] = {0};

		if (rows->store == NULL)
			wf_rows_begin(rows, &given_shape);
		wf_rows_put(rows, values, nulls);
	}
	items->given = NIL;
}

static void
write_rows(WfQuery *query, WfRows *rows, bool each)
{
	if (rows->store == NULL)
		return;
	if (wf_query_run_rows(query, rows) != (uint64) rows->n && each)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access to an instance due to concurrent update"));
	wf_rows_end(rows);
}

static Jsonb *
collect_memory(const WfItemList *items)
{
	WfJsonbState state = {0};
	JsonbValue	 none = {.type = jbvNull};
	JsonbValue	 value;

	wf_jsonb_push(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < JB_ROOT_COUNT(items->list); i++)
	{
		if (items->responses[i] != NULL)
			wf_jsonb_value(items->responses[i], &value);
		wf_jsonb_push(&state, WJB_ELEM, items->responses[i] != NULL ? &value : &none);
	}
	return JsonbValueToJsonb(wf_jsonb_push(&state, WJB_END_ARRAY, NULL));
}

Jsonb *
wf_items_collect(WfBatch *batch, WfVisit *whole)
{
	WfItemList	 *items = list_of(batch, whole);
	Datum		  args[2] = {Int64GetDatum(whole->instance->id), Int64GetDatum(whole->id)};
	WfRows		  given = {0};
	MemoryContext old;
	Datum		  all;
	Jsonb		 *list;
	bool		  isnull;

	if (items->list != NULL)
	{
		old = wf_jsonb_begin();
		return wf_jsonb_end(old, collect_memory(items));
	}
	put_given(&given, items);
	write_rows(&q_give, &given, true);
	wf_query_run(&q_collect, args, NULL);
	all = wf_result(0, 1, &isnull);
	if (isnull)
		lost_items(whole);
	list = DatumGetJsonbPCopy(all);
	SPI_freetuptable(SPI_tuptable);
	return list;
}

/* ---- writing ---- */

static void
put_list(WfRows *rows, const WfItemList *items)
{
	const WfVisit *whole = items->whole;
	Datum		   values[] = {Int64GetDatum(whole->instance->id), Int64GetDatum(whole->id),
							   Int32GetDatum(whole->instance->process->process_id), JsonbPGetDatum(items->list)};
	bool		   nulls[lengthof(list_columns)] = {0};

	if (rows->store == NULL)
		wf_rows_begin(rows, &list_shape);
	wf_rows_put(rows, values, nulls);
}

static void
put_deleted(WfRows *rows, const WfVisit *whole)
{
	Datum values[] = {Int64GetDatum(whole->instance->id), Int64GetDatum(whole->id)};
	bool  nulls[lengthof(key_columns)] = {0};

	if (rows->store == NULL)
		wf_rows_begin(rows, &key_shape);
	wf_rows_put(rows, values, nulls);
}

/* Deleted first: a visit that is retried goes through the list anew. */
void
wf_items_flush(WfBatch *batch)
{
	WfRows	  lists = {0};
	WfRows	  given = {0};
	WfRows	  gone = {0};
	ListCell *lc;

	foreach (lc, batch->item_lists)
	{
		WfItemList *items = lfirst(lc);

		if (items->may_be_stored && (items->is_dropped || items->list != NULL))
			put_deleted(&gone, items->whole);
		if (items->is_dropped)
			continue;
		if (items->list != NULL && JB_ROOT_COUNT(items->list) > 0)
			put_list(&lists, items);
		put_given(&given, items);
	}
	batch->item_lists = NIL;
	write_rows(&q_delete, &gone, false);
	write_rows(&q_insert, &lists, false);
	write_rows(&q_give, &given, true);
}
