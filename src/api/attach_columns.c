/*
 * attach_columns.c
 *		Which columns of a table can show what: checked when it is attached.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "api/attach_internal.h"
#include "store/row_result.h"

#define LONGEST_SERIAL_NUMBER 39 /* two bigints and "_" */
#define LONGEST_STATUS		  9	 /* the longest is "completed" */

static void
refuse_column(const char *argument, const char *name, const char *why, const char *hint)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("column \"%s\" cannot be the %s", name, argument),
			errdetail("%s", why), hint != NULL ? errhint("%s", hint) : 0);
}

/*
 * Check that a text column has space for the longest value that may come, not only for the short
 * numbers of the beginning: numbers jump (see store/identity.c).
 */
static void
check_column_length(const char *argument, const char *name, Oid base, int32 typmod, int longest)
{
	int room = typmod - VARHDRSZ;

	if ((base == VARCHAROID || base == BPCHAROID) && typmod >= VARHDRSZ && room < longest)
		refuse_column(argument, name, psprintf("It holds %d characters.", room),
					  psprintf("Up to %d may be needed: make it a column of type text.", longest));
}

/*
 * Check the type of a column that shows something. `longest` is the length of the longest text that
 * will be written to it; 0: a number will be.
 */
static void
check_type(const char *argument, const char *name, Oid type, int32 typmod, int longest)
{
	Oid	 base = getBaseTypeAndTypmod(type, &typmod);
	bool number = longest == 0;
	char category;
	bool preferred;

	if (number && base != INT8OID && base != NUMERICOID)
		refuse_column(argument, name, psprintf("It is of type %s.", format_type_be(type)),
					  "Numbers of instances need a column of type bigint.");
	if (number)
		return;
	get_type_category_preferred(base, &category, &preferred);
	if (category != TYPCATEGORY_STRING)
		refuse_column(argument, name, psprintf("It is of type %s.", format_type_be(type)),
					  "It needs a column of type text.");
	check_column_length(argument, name, base, typmod, longest);
}

/* Check that it is a column that can be written to. Returns its number. */
static AttrNumber
check_writable(Relation rel, const char *argument, const char *name)
{
	AttrNumber		  keys[INDEX_MAX_KEYS];
	int				  nkeys = wf_row_key_attnos(rel, keys);
	AttrNumber		  attno = get_attnum(RelationGetRelid(rel), name);
	Form_pg_attribute att;

	if (attno == InvalidAttrNumber)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("column \"%s\" of table \"%s\" does not exist", name, RelationGetRelationName(rel)));
	if (attno < 0)
		refuse_column(argument, name, "It is a system column.", NULL);
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	if (att->attgenerated != '\0' || att->attidentity != '\0')
		refuse_column(argument, name, "It is generated.", NULL);
	for (int i = 0; i < nkeys; i++)
		if (keys[i] == attno)
			refuse_column(argument, name, "It is part of the primary key.", NULL);
	return attno;
}

static void
check_column(Relation rel, const char *argument, const char *name, int longest, bool needs_null)
{
	AttrNumber		  attno = check_writable(rel, argument, name);
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);

	if (needs_null && att->attnotnull)
		refuse_column(argument, name, "It is NOT NULL, and there are times when it has no value.",
					  "Use ALTER TABLE ... ALTER COLUMN ... DROP NOT NULL.");
	check_type(argument, name, att->atttypid, att->atttypmod, longest);
}

static void
check_result(Relation rel, const WfResultColumn *result)
{
	const char *message;
	const char *hint = NULL;

	(void) check_writable(rel, "column of a result", result->column);
	if (wf_row_result_compile(result->path, &message, &hint) == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("column \"%s\" cannot show \"%s\"", result->column, result->path),
				errdetail("\"%s\": %s.", result->path, message),
				hint != NULL ? errhint("%s", hint) : errhint("It is a jsonpath over the data, such as '$.receipt'."));
}

/* ---- columns that show something: each only one thing ---- */

List *
wf_attach_shown_columns(const WfAttachment *attachment)
{
	const char *fixed[] = {attachment->serial_column, attachment->status_column, attachment->instance_column};
	List	   *names = NIL;

	for (int i = 0; i < lengthof(fixed); i++)
		if (fixed[i] != NULL)
			names = lappend(names, unconstify(char *, fixed[i]));
	for (int i = 0; i < attachment->nresults; i++)
		names = lappend(names, unconstify(char *, attachment->results[i].column));
	return names;
}

static bool
is_among(const char *name, const List *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(list_nth(names, i), name) == 0)
			return true;
	return false;
}

static void
check_distinct(const WfAttachment *wanted, const WfAttachment *others, int n)
{
	List *mine = wf_attach_shown_columns(wanted);

	for (int i = 0; i < list_length(mine); i++)
	{
		const char *name = list_nth(mine, i);

		if (is_among(name, mine, i))
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("column \"%s\" is given twice", name));
		for (int k = 0; k < n; k++)
		{
			List *theirs = wf_attach_shown_columns(&others[k]);

			if (is_among(name, theirs, list_length(theirs)))
				ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column \"%s\" already shows instances of process \"%s\"", name, others[k].process));
		}
	}
}

void
wf_attach_check_columns(Relation rel, const WfAttachment *wanted, const WfAttachment *others, int n)
{
	bool conditional = wanted->condition != NULL;

	if (wanted->serial_column != NULL)
		check_column(rel, "serial_column", wanted->serial_column, LONGEST_SERIAL_NUMBER, true);
	if (wanted->status_column != NULL)
		check_column(rel, "status_column", wanted->status_column, LONGEST_STATUS, conditional);
	if (wanted->instance_column != NULL)
		check_column(rel, "instance_column", wanted->instance_column, 0, conditional);
	for (int i = 0; i < wanted->nresults; i++)
		check_result(rel, &wanted->results[i]);
	check_distinct(wanted, others, n);
}
