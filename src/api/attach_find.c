/*
 * attach_find.c
 *		Whether rows of an attached table are there, by their keys, and where.
 *
 * That is asked as the table's owner, past its policies for row-level security, as foreign keys do it.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"

#include "api/attach_internal.h"

/* Run between these two. */
static void
enter(const WfAttachedTable *table, Oid owner, WfAsOwner *saved)
{
	Oid user;
	int sec_context;

	wf_as_owner_begin(saved, owner, table->items[0].row.search_path);
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(user, sec_context | SECURITY_NOFORCE_RLS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
leave(WfAsOwner *saved)
{
	SPI_finish();
	wf_as_owner_end(saved);
}

static SPIPlanPtr
prepare(const char *sql, const WfRowKey *key, int nargs)
{
	Oid		   types[INDEX_MAX_KEYS];
	SPIPlanPtr plan;

	for (int i = 0; i < nargs; i++)
		types[i] = key->columns[i].type;
	plan = SPI_prepare(sql, nargs, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), sql);
	return plan;
}

static bool
finds(SPIPlanPtr plan, Datum *values)
{
	int	 rc = SPI_execute_plan(plan, values, NULL, false, 1);
	bool found = SPI_processed > 0;

	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	SPI_freetuptable(SPI_tuptable);
	return found;
}

void
wf_rows_find(WfAttachedTable *table, Oid owner, char **keys, int n, bool *there)
{
	StringInfoData sql;
	WfAsOwner	   saved;
	SPIPlanPtr	   plan;
	Datum		   values[INDEX_MAX_KEYS];

	if (n == 0)
		return;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT FROM ");
	wf_row_append_table(&sql, table->root);
	wf_row_append_key_condition(&sql, &table->key);
	enter(table, owner, &saved);
	plan = prepare(sql.data, &table->key, table->key.n);
	for (int i = 0; i < n; i++)
		there[i] = wf_row_key_parse(&table->key, keys[i], values) && finds(plan, values);
	leave(&saved);
}

bool
wf_row_fetch(WfAttachedTable *table, Oid owner, const char *key, Oid *relid, ItemPointer tid)
{
	StringInfoData sql;
	WfAsOwner	   saved;
	Datum		   values[INDEX_MAX_KEYS];
	bool		   isnull;
	bool		   found = false;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT tableoid, ctid FROM ");
	wf_row_append_table(&sql, table->root);
	wf_row_append_key_condition(&sql, &table->key);
	enter(table, owner, &saved);
	if (wf_row_key_parse(&table->key, key, values))
	{
		if (SPI_execute_plan(prepare(sql.data, &table->key, table->key.n), values, NULL, false, 1) != SPI_OK_SELECT)
			elog(ERROR, "the row could not be looked for");
		found = SPI_processed > 0;
	}
	if (found)
	{
		HeapTuple row = SPI_tuptable->vals[0];
		TupleDesc desc = SPI_tuptable->tupdesc;

		*relid = DatumGetObjectId(SPI_getbinval(row, desc, 1, &isnull));
		*tid = *(ItemPointer) DatumGetPointer(SPI_getbinval(row, desc, 2, &isnull));
	}
	leave(&saved);
	return found;
}

bool
wf_rows_any(WfAttachedTable *table, Oid owner)
{
	StringInfoData sql;
	WfAsOwner	   saved;
	bool		   any;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT FROM ");
	wf_row_append_table(&sql, table->root);
	enter(table, owner, &saved);
	any = finds(prepare(sql.data, &table->key, 0), NULL);
	leave(&saved);
	return any;
}
