/*
 * row_writer.c
 *		What write_back.c needs to write to the rows of an attached table: its key, columns and plans.
 *
 * They are kept for each attachment until the table changes. A relcache callback, which must not free what is in use,
 * marks them as not valid; the next write-back makes them anew.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "worker/row_writer.h"

static HTAB *writers = NULL;

static const ErrorData *
lost_column(const char *name, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ErrorData	 *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	error->message = psprintf("the table has no column \"%s\" any more", name);
	error->detail =
		pstrdup("Give it back its name, or detach the table and attach it with the columns that it has now.");
	MemoryContextSwitchTo(old);
	return error;
}

static void
forget_writer(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	WfRowWriter	   *writer;

	hash_seq_init(&status, writers);
	while ((writer = hash_seq_search(&status)) != NULL)
	{
		bool own = !OidIsValid(relid) || writer->relid == relid || writer->keyed == relid;

		if (own)
			writer->valid = false;
		if (own || writer->wide)
			writer->unchanged = false;
	}
}

WfRowWriter *
wf_row_writer_find(int attachment)
{
	WfRowWriter *writer;
	bool		 found;

	if (writers == NULL)
	{
		HASHCTL ctl = {.keysize = sizeof(int), .entrysize = sizeof(WfRowWriter)};

		writers = hash_create("workflow write-backs", 16, &ctl, HASH_ELEM | HASH_BLOBS);
		CacheRegisterRelcacheCallback(forget_writer, (Datum) 0);
	}
	writer = hash_search(writers, &attachment, HASH_ENTER, &found);
	if (!found)
	{
		memset(writer, 0, sizeof(*writer));
		writer->attachment = attachment;
	}
	return writer;
}

static void
reset_writer(WfRowWriter *writer)
{
	if (writer->lock != NULL)
		SPI_freeplan(writer->lock);
	if (writer->see != NULL)
		SPI_freeplan(writer->see);
	if (writer->update != NULL)
		SPI_freeplan(writer->update);
	if (writer->context != NULL)
		MemoryContextDelete(writer->context);
	writer->lock = writer->see = writer->update = NULL;
	writer->context = NULL;
	writer->lost = NULL;
	writer->valid = false;
}

static SPIPlanPtr
prepare_plan(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), sql);
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	return plan;
}

bool
wf_row_writer_shows(const WfRowWriter *writer)
{
	for (int i = 0; i < writer->ncolumns; i++)
		if (writer->columns[i].attno != 0)
			return true;
	return false;
}

static void
prepare_plans(WfRowWriter *writer, Relation rel)
{
	Oid			   types[INDEX_MAX_KEYS + WF_MAX_SHOWS];
	int			   nargs = writer->key.n;
	StringInfoData select;
	StringInfoData update;
	const char	  *separator = "";
	StringInfoData columns;

	initStringInfo(&columns);
	initStringInfo(&select);
	initStringInfo(&update);
	appendStringInfoString(&update, "UPDATE ");
	wf_row_append_table(&update, RelationGetRelid(rel));
	appendStringInfoString(&update, " SET ");
	for (int i = 0; i < writer->key.n; i++)
		types[i] = writer->key.columns[i].type;
	for (int i = 0; i < writer->ncolumns; i++)
	{
		WfRowColumn *column = &writer->columns[i];

		if (column->attno == 0)
			continue;
		types[nargs++] = column->type;
		appendStringInfo(&columns, "%s%s", separator, quote_identifier(column->name));
		appendStringInfo(&update, "%s%s = $%d", separator, quote_identifier(column->name), nargs);
		separator = ", ";
	}
	appendStringInfo(&select, "SELECT %s%stableoid FROM ", columns.data, separator);
	wf_row_append_table(&select, RelationGetRelid(rel));
	wf_row_append_key_condition(&select, &writer->key);
	wf_row_append_key_condition(&update, &writer->key);
	appendStringInfoString(&select, " FOR NO KEY UPDATE");
	appendStringInfo(&update, " RETURNING %s", columns.data);
	writer->lock = prepare_plan(select.data, writer->key.n, types);
	if (wf_row_writer_shows(writer))
		writer->update = prepare_plan(update.data, nargs, types);
}

void
wf_row_writer_see(WfRowWriter *writer, Relation rel)
{
	Oid			   types[INDEX_MAX_KEYS];
	StringInfoData sql;

	if (writer->see != NULL)
		return;
	for (int i = 0; i < writer->key.n; i++)
		types[i] = writer->key.columns[i].type;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT FROM ");
	wf_row_append_table(&sql, RelationGetRelid(rel));
	wf_row_append_key_condition(&sql, &writer->key);
	writer->see = prepare_plan(sql.data, writer->key.n, types);
}

static void
find_column(WfRowWriter *writer, Relation rel, WfShows shows, const char *name)
{
	writer->columns[shows].attno = 0;
	if (name != NULL && !wf_row_column(RelationGetDescr(rel), name, &writer->columns[shows], writer->context))
		writer->lost = lost_column(name, writer->context);
}

static void
find_columns(WfRowWriter *writer, Relation rel, const WfAttachment *attachment)
{
	writer->ncolumns = WF_SHOWS_RESULTS + attachment->nresults;
	writer->columns = MemoryContextAllocZero(writer->context, sizeof(WfRowColumn) * writer->ncolumns);
	find_column(writer, rel, WF_SHOWS_SERIAL_NUMBER, attachment->serial_column);
	find_column(writer, rel, WF_SHOWS_STATUS, attachment->status_column);
	find_column(writer, rel, WF_SHOWS_INSTANCE, attachment->instance_column);
	for (int i = 0; i < attachment->nresults; i++)
		find_column(writer, rel, WF_SHOWS_RESULTS + i, attachment->results[i].column);
}

void
wf_row_writer_set_up(WfRowWriter *writer, Relation keyed, Relation rel, const WfAttachment *attachment)
{
	if (!writer->valid)
	{
		reset_writer(writer);
		writer->relid = RelationGetRelid(rel);
		writer->keyed = RelationGetRelid(keyed);
		writer->context = AllocSetContextCreate(TopMemoryContext, "workflow write-back", ALLOCSET_SMALL_SIZES);
		wf_row_key(keyed, RelationGetDescr(rel), &writer->key, writer->context);
		find_columns(writer, rel, attachment);
		writer->valid = true;
	}
	if (writer->key.n > 0 && writer->lock == NULL)
		prepare_plans(writer, rel);
}
