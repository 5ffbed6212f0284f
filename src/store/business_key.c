/*
 * business_key.c
 *		Business keys: of the living instances of a process, each has one of its own.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/business_key.h"
#include "store/query.h"

#define KEY_INDEX "instance_business_key"

static WfQuery q_living = {
	.sql = "SELECT instance FROM workflow_data.instance "
		   "WHERE process_id = $1 AND attachment = 0 AND business_key = $2",
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID},
};

int64
wf_business_key_living(int process_id, const char *business_key)
{
	Datum values[2] = {Int32GetDatum(process_id), CStringGetTextDatum(business_key)};

	return wf_query_run(&q_living, values, NULL) > 0 ? wf_result_int64(0, 1) : 0;
}

/* ERROR 23505. `instance` is the living instance with that key, or 0 if it cannot be named. */
static void
report_duplicate(const WfProcess *process, const char *business_key, int64 instance)
{
	ereport(ERROR, errcode(ERRCODE_UNIQUE_VIOLATION),
			errmsg("process \"%s\" has a living instance with business key \"%s\" already", process->name,
				   business_key),
			instance != 0 ? errdetail("It is instance " INT64_FORMAT ".", instance) : 0,
			errhint("The key is free again when that instance has ended."));
}

void
wf_business_key_require_free(const WfProcess *process, const char *business_key)
{
	int64 living = business_key != NULL ? wf_business_key_living(process->process_id, business_key) : 0;

	if (living != 0)
		report_duplicate(process, business_key, living);
}

/*
 * Another session may have started one with that key meanwhile: the unique index decides, and its error is replaced by
 * one about processes and keys.
 */
static void
flush_with_key(WfBatch *batch, const WfProcess *process, const char *business_key)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		wf_batch_flush(batch);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->constraint_name != NULL &&
			strcmp(error->constraint_name, KEY_INDEX) == 0)
		{
			FlushErrorState();
			report_duplicate(process, business_key, 0);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void
wf_business_key_flush(WfBatch *batch, const WfProcess *process, const char *business_key)
{
	if (business_key != NULL)
		flush_with_key(batch, process, business_key);
	else
		wf_batch_flush(batch);
}
