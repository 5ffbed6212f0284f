/*
 * attach_keep.c
 *		The trigger that keeps the columns in which attached rows show their instances.
 *
 * An application that saves a stale object, or all columns of an upsert, would put NULL or numbers
 * that were never issued there, and nothing would correct them before the instance moves. So an
 * UPDATE leaves these columns as they are, even one of the table's owner, since applications
 * connect as owners. Superusers may change them, and the next write-back corrects that; but for numbers of rows that were not inserted. What a
 * write-back itself writes passes unchanged by other triggers, which fire before this one.
 *
 * The names of the columns are arguments of the trigger, so that an UPDATE needs no look-up. A
 * condition in WHEN would do as well, but would keep the columns from being dropped or given
 * another type.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "api/attach_internal.h"
#include "store/attachment.h"
#include "store/version.h"

WF_FUNCTION(workflow_keep_columns);

/* The kept columns by their numbers in this table or partition; valid for one statement. */
typedef struct Kept
{
	int		   n;
	AttrNumber attnos[FLEXIBLE_ARRAY_MEMBER];
} Kept;

static TriggerData *
keep_trigger_data(FunctionCallInfo fcinfo)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("function \"%s\" is called by the triggers of attached tables only",
					   "workflow_data.keep_columns"),
				errhint("Use workflow.attach."));
	return trigdata;
}

/*
 * Find the kept columns by name. A renamed or dropped column is no longer kept; INSERT fails on it
 * as well.
 */
static Kept *
find_columns(FunctionCallInfo fcinfo, const TriggerData *trigdata)
{
	const Trigger *trigger = trigdata->tg_trigger;
	Kept		  *kept = fcinfo->flinfo->fn_extra;

	if (kept != NULL)
		return kept;
	kept = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, offsetof(Kept, attnos) + sizeof(AttrNumber) * trigger->tgnargs);
	kept->n = 0;
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		int attno = SPI_fnumber(RelationGetDescr(trigdata->tg_relation), trigger->tgargs[i]);

		if (attno > 0)
			kept->attnos[kept->n++] = attno;
	}
	fcinfo->flinfo->fn_extra = kept;
	return kept;
}

/* The value that the column must have: what a write-back writes, else the old value. */
static Datum
value_to_keep(const TriggerData *trigdata, const WfWriting *writing, AttrNumber attno, bool *isnull)
{
	TupleDesc desc = RelationGetDescr(trigdata->tg_relation);

	for (int i = 0; writing != NULL && i < writing->n; i++)
		if (strcmp(writing->names[i], NameStr(TupleDescAttr(desc, attno - 1)->attname)) == 0)
		{
			*isnull = writing->nulls[i];
			return writing->values[i];
		}
	return heap_getattr(trigdata->tg_trigtuple, attno, desc, isnull);
}

/*
 * Does the new row differ in this column? Values are compared byte by byte, since one that is
 * merely equal in the sense of its type was written all the same.
 */
static bool
is_changed(const TriggerData *trigdata, const WfWriting *writing, AttrNumber attno)
{
	TupleDesc		  desc = RelationGetDescr(trigdata->tg_relation);
	Form_pg_attribute att = TupleDescAttr(desc, attno - 1);
	bool			  old_isnull;
	bool			  new_isnull;
	Datum			  old = value_to_keep(trigdata, writing, attno, &old_isnull);
	Datum new = heap_getattr(trigdata->tg_newtuple, attno, desc, &new_isnull);

	if (old_isnull || new_isnull)
		return old_isnull != new_isnull;
	return !datum_image_eq(old, new, att->attbyval, att->attlen);
}

/*
 * The write-back that updates this row, or NULL. Updates that the table's own triggers and rules
 * make meanwhile, of other rows or tables, are no part of it.
 */
const WfWriting *
wf_attached_writing(FunctionCallInfo fcinfo, Relation rel)
{
	const WfWriting *writing = wf_attachment_writing;

	if (writing == NULL || DatumGetInt32(pg_trigger_depth(fcinfo)) != 1)
		return NULL;
	if (RelationGetRelid(rel) == writing->relation)
		return writing;
	return rel->rd_rel->relispartition &&
				   list_member_oid(get_partition_ancestors(RelationGetRelid(rel)), writing->relation)
			   ? writing
			   : NULL;
}

static HeapTuple
restore(const TriggerData *trigdata, const WfWriting *writing, const Kept *kept)
{
	TupleDesc desc = RelationGetDescr(trigdata->tg_relation);
	int		 *columns = palloc(sizeof(int) * kept->n);
	Datum	 *values = palloc(sizeof(Datum) * kept->n);
	bool	 *nulls = palloc(sizeof(bool) * kept->n);

	for (int i = 0; i < kept->n; i++)
	{
		columns[i] = kept->attnos[i];
		values[i] = value_to_keep(trigdata, writing, columns[i], &nulls[i]);
	}
	return heap_modify_tuple_by_cols(trigdata->tg_newtuple, desc, kept->n, columns, values, nulls);
}

/* Does the row get a number that was issued to one that an upsert has not inserted? No instance will ever have it. */
static bool
is_of_excluded_row(const TriggerData *trigdata, const Kept *kept)
{
	TupleDesc desc = RelationGetDescr(trigdata->tg_relation);

	for (int i = 0; i < kept->n; i++)
	{
		bool  isnull;
		Datum value = heap_getattr(trigdata->tg_newtuple, kept->attnos[i], desc, &isnull);
		Oid	  type = getBaseType(TupleDescAttr(desc, kept->attnos[i] - 1)->atttypid);

		if (isnull)
			continue;
		if ((type == TEXTOID || type == VARCHAROID)
				? wf_numbers_is_unused(strtoll(TextDatumGetCString(value), NULL, 10))
				: type == INT8OID && wf_numbers_is_unused(DatumGetInt64(value)))
			return true;
	}
	return false;
}

Datum
workflow_keep_columns(PG_FUNCTION_ARGS)
{
	TriggerData		*trigdata = keep_trigger_data(fcinfo);
	Kept			*kept = find_columns(fcinfo, trigdata);
	const WfWriting *writing = wf_attached_writing(fcinfo, trigdata->tg_relation);

	if (writing == NULL)
		wf_move_expect(trigdata->tg_relation, trigdata->tg_trigtuple, trigdata->tg_newtuple);
	for (int i = 0; i < kept->n; i++)
		if (is_changed(trigdata, writing, kept->attnos[i]))
			PG_RETURN_POINTER(writing == NULL && superuser() && !is_of_excluded_row(trigdata, kept)
								  ? trigdata->tg_newtuple
								  : restore(trigdata, writing, kept));
	PG_RETURN_POINTER(trigdata->tg_newtuple);
}
