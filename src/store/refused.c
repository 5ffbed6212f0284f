/*
 * refused.c
 *		Rows that logical replication has brought, and that could not be brought to their instances.
 *
 * An error would stop the replication of all tables, and of all other rows. So it is kept here which row it was, and why; what the row
 * is by then is found at the table, when it is tried again.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "store/query.h"
#include "store/refused.h"

/* Bytes of an error message that are kept. */
#define LONGEST_ERROR 2000

static WfQuery q_add = {
	.sql =
		"INSERT INTO workflow_data.refused_row (attachment, process_id, business_key, operation, since, sqlstate, error) "
		"VALUES ($1, $2, $3, $4, clock_timestamp(), $5, $6)",
	.nargs = 6,
	.argtypes = {INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID},
};
static WfQuery q_again = {
	.sql = "UPDATE workflow_data.refused_row SET sqlstate = $3, error = $4 "
		   "WHERE attachment = $1 AND business_key IS NOT DISTINCT FROM $2",
	.nargs = 4,
	.argtypes = {INT4OID, TEXTOID, TEXTOID, TEXTOID},
};
static WfQuery q_keys = {
	.sql =
		"SELECT business_key FROM workflow_data.refused_row WHERE attachment = $1 GROUP BY business_key ORDER BY min(refused)",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_delete = {
	.sql = "DELETE FROM workflow_data.refused_row WHERE attachment = $1 AND business_key IS NOT DISTINCT FROM $2",
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID},
};
static WfQuery q_delete_all = {
	.sql = "DELETE FROM workflow_data.refused_row WHERE attachment = $1",
	.nargs = 1,
	.argtypes = {INT4OID},
};

static Datum
error_text(const char *error)
{
	return PointerGetDatum(cstring_to_text_with_len(error, pg_mbcliplen(error, strlen(error), LONGEST_ERROR)));
}

static Datum
key_text(const char *key)
{
	return key != NULL ? CStringGetTextDatum(key) : (Datum) 0;
}

void
wf_refused_add(const WfRefused *refused)
{
	Datum values[6] = {Int32GetDatum(refused->attachment),
					   Int32GetDatum(refused->process_id),
					   key_text(refused->key),
					   CStringGetTextDatum(refused->operation),
					   CStringGetTextDatum(unpack_sql_state(refused->sqlerrcode)),
					   error_text(refused->error)};
	char  nulls[6] = {' ', ' ', refused->key != NULL ? ' ' : 'n', ' ', ' ', ' '};

	wf_query_run(&q_add, values, nulls);
}

int
wf_refused_keys(int attachment, char ***keys)
{
	Datum values[1] = {Int32GetDatum(attachment)};
	int	  n = (int) wf_query_run(&q_keys, values, NULL);

	*keys = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*keys)[i] = wf_result_text(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return n;
}

void
wf_refused_delete(int attachment, const char *key)
{
	Datum values[2] = {Int32GetDatum(attachment), key_text(key)};
	char  nulls[2] = {' ', key != NULL ? ' ' : 'n'};

	wf_query_run(&q_delete, values, nulls);
}

void
wf_refused_again(const WfRefused *refused)
{
	Datum values[4] = {Int32GetDatum(refused->attachment), key_text(refused->key),
					   CStringGetTextDatum(unpack_sql_state(refused->sqlerrcode)), error_text(refused->error)};
	char  nulls[4] = {' ', refused->key != NULL ? ' ' : 'n', ' ', ' '};

	wf_query_run(&q_again, values, nulls);
}

void
wf_refused_delete_all(int attachment)
{
	Datum values[1] = {Int32GetDatum(attachment)};

	wf_query_run(&q_delete_all, values, NULL);
}
