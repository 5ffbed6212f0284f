/*
 * row.c
 *		Rows of users' tables: their primary keys as text, and acting as the table's owner.
 *
 * A key is stored as text, compared as text and turned back into values by other sessions, so it
 * must not depend on DateStyle, TimeZone and the like. The text of the usual types does not; for
 * other types the settings are pinned while values are written or read. What is set up here lives
 * in the context that the caller gives.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

#include "model/template.h"
#include "store/row.h"

static const char *const pinned_settings[][2] = {{"datestyle", "ISO, MDY"},
												 {"intervalstyle", "postgres"},
												 {"timezone", "UTC"},
												 {"extra_float_digits", "1"},
												 {"bytea_output", "hex"},
												 {"lc_monetary", "C"},
												 {"search_path", "pg_catalog, pg_temp"}};

/* ---- columns ---- */

bool
wf_row_column(TupleDesc desc, const char *name, WfRowColumn *column, MemoryContext context)
{
	memset(column, 0, sizeof(*column));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Oid				  function;
		bool			  isvarlena;

		if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0)
			continue;
		column->name = MemoryContextStrdup(context, name);
		column->attno = att->attnum;
		column->type = att->atttypid;
		column->typmod = att->atttypmod;
		getTypeInputInfo(att->atttypid, &function, &column->ioparam);
		fmgr_info_cxt(function, &column->input, context);
		getTypeOutputInfo(att->atttypid, &function, &isvarlena);
		fmgr_info_cxt(function, &column->output, context);
		return true;
	}
	return false;
}

static void
strip_padding(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == ' ')
		text[--len] = '\0';
}

char *
wf_row_text(WfRowColumn *column, HeapTuple tuple, TupleDesc desc)
{
	bool  isnull;
	Datum value = heap_getattr(tuple, column->attno, desc, &isnull);

	if (isnull)
		return NULL;
	return wf_row_strip(column, OutputFunctionCall(&column->output, value));
}

char *
wf_row_strip(const WfRowColumn *column, char *text)
{
	if (getBaseType(column->type) == BPCHAROID)
		strip_padding(text);
	return text;
}

Datum
wf_row_input(WfRowColumn *column, char *text)
{
	return InputFunctionCall(&column->input, text, column->ioparam, column->typmod);
}

/* ---- primary keys ---- */

int
wf_row_key_attnos(Relation rel, AttrNumber *attnos)
{
	List	 *indexes = RelationGetIndexList(rel);
	ListCell *lc;
	int		  n = 0;

	foreach (lc, indexes)
	{
		HeapTuple	  tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		index = (Form_pg_index) GETSTRUCT(tuple);
		if (index->indisprimary)
		{
			n = index->indnkeyatts;
			for (int i = 0; i < n; i++)
				attnos[i] = index->indkey.values[i];
		}
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	return n;
}

/* Is this a type whose text, as it is made here, is the same in every session? */
static bool
is_plain_name(Oid base)
{
	switch (base)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case OIDOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case UUIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		default:
			return get_typtype(base) == TYPTYPE_ENUM;
	}
}

void
wf_row_key(Relation keyed, TupleDesc desc, WfRowKey *key, MemoryContext context)
{
	AttrNumber attnos[INDEX_MAX_KEYS];

	key->n = wf_row_key_attnos(keyed, attnos);
	key->plain = true;
	key->columns = MemoryContextAllocZero(context, sizeof(WfRowColumn) * Max(key->n, 1));
	key->bases = MemoryContextAllocZero(context, sizeof(Oid) * Max(key->n, 1));
	for (int i = 0; i < key->n; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(keyed), attnos[i] - 1);

		if (!wf_row_column(desc, NameStr(att->attname), &key->columns[i], context))
			elog(ERROR, "partition lacks column \"%s\"", NameStr(att->attname));
		key->bases[i] = getBaseType(att->atttypid);
		key->plain &= is_plain_name(key->bases[i]);
	}
}

static int
pin_settings(bool plain)
{
	int level;

	if (plain)
		return 0;
	level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(pinned_settings); i++)
		(void) set_config_option(pinned_settings[i][0], pinned_settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

static void
unpin_settings(int level)
{
	if (level > 0)
		AtEOXact_GUC(false, level);
}

/*
 * The text of a date or time. NULL for other types: the text of their output functions is the same
 * everywhere once settings are pinned.
 */
static char *
date_text(Datum value, Oid base)
{
	char	  buffer[MAXDATELEN + 1];
	const int utc = 0;

	switch (base)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return pstrdup(JsonEncodeDateTime(buffer, value, base, base == TIMESTAMPTZOID ? &utc : NULL));
		default:
			return NULL;
	}
}

static char *
column_text(WfRowKey *key, int i, HeapTuple tuple, TupleDesc desc)
{
	WfRowColumn *column = &key->columns[i];
	bool		 isnull;
	Datum		 value = heap_getattr(tuple, column->attno, desc, &isnull);
	char		*text = isnull ? NULL : date_text(value, key->bases[i]);

	return text != NULL ? text : wf_row_text(column, tuple, desc);
}

static void
set_string(JsonbValue *value, char *text)
{
	value->type = jbvString;
	value->val.string.val = text;
	value->val.string.len = strlen(text);
}

/* Set a value of a JSON array: numbers and booleans as such, all else as strings. */
static void
set_json(JsonbValue *value, Oid base, char *text)
{
	Numeric number;

	switch (base)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			number = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
														 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
			if (numeric_is_nan(number) || numeric_is_inf(number))
				set_string(value, text);
			else
			{
				value->type = jbvNumeric;
				value->val.numeric = number;
			}
			break;
		case BOOLOID:
			value->type = jbvBool;
			value->val.boolean = text[0] == 't';
			break;
		default:
			set_string(value, text);
	}
}

static char *
array_text(WfRowKey *key, HeapTuple tuple, TupleDesc desc)
{
	JsonbValue *elems = palloc0(sizeof(JsonbValue) * key->n);
	JsonbValue	array;
	Jsonb	   *jsonb;

	for (int i = 0; i < key->n; i++)
	{
		char *text = column_text(key, i, tuple, desc);

		if (text == NULL)
			elems[i].type = jbvNull;
		else
			set_json(&elems[i], key->bases[i], text);
	}
	array.type = jbvArray;
	array.val.array.nElems = key->n;
	array.val.array.elems = elems;
	array.val.array.rawScalar = false;
	jsonb = JsonbValueToJsonb(&array);
	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

char *
wf_row_key_text(WfRowKey *key, HeapTuple tuple, TupleDesc desc)
{
	int	  level = pin_settings(key->plain);
	char *text = key->n == 1 ? column_text(key, 0, tuple, desc) : array_text(key, tuple, desc);

	unpin_settings(level);
	return text;
}

char *
wf_row_value_text(Datum value, Oid type)
{
	Oid	  base = getBaseType(type);
	char *text = date_text(value, base);
	Oid	  function;
	bool  isvarlena;
	int	  level;

	if (text != NULL)
		return text;
	getTypeOutputInfo(type, &function, &isvarlena);
	level = pin_settings(is_plain_name(base));
	text = OidOutputFunctionCall(function, value);
	unpin_settings(level);
	if (base == BPCHAROID)
		strip_padding(text);
	return text;
}

static bool
parse_array(WfRowKey *key, const char *text, Datum *values)
{
	Jsonb *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));

	if (!JB_ROOT_IS_ARRAY(jsonb) || JB_ROOT_IS_SCALAR(jsonb) || JB_ROOT_COUNT(jsonb) != key->n)
		return false;
	for (int i = 0; i < key->n; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(&jsonb->root, i);
		char	   *element_as_text = wf_jsonb_scalar_text(element);

		if (element_as_text == NULL)
			return false;
		values[i] = wf_row_input(&key->columns[i], element_as_text);
	}
	return true;
}

bool
wf_row_key_parse(WfRowKey *key, const char *text, Datum *values)
{
	int	 level;
	bool ok = true;

	if (key->n == 0)
		return false;
	level = pin_settings(key->plain);
	if (key->n == 1)
		values[0] = wf_row_input(&key->columns[0], pstrdup(text));
	else
		ok = parse_array(key, text, values);
	unpin_settings(level);
	return ok;
}

/* ---- SQL over rows ---- */

void
wf_row_append_table(StringInfo sql, Oid relid)
{
	if (get_rel_relkind(relid) == RELKIND_RELATION)
		appendStringInfoString(sql, "ONLY ");
	appendStringInfoString(sql, quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
														   get_rel_name(relid)));
}

/* Append the type's equality operator with its schema, since users' types have theirs in other schemas. */
static void
append_operator(StringInfo sql, Oid type)
{
	Oid				 operator= lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple		 tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "type %u has no equality operator", type);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(sql, " OPERATOR(%s.%s) ", quote_identifier(get_namespace_name(form->oprnamespace)),
					 NameStr(form->oprname));
	ReleaseSysCache(tuple);
}

void
wf_row_append_key_condition(StringInfo sql, const WfRowKey *key)
{
	for (int i = 0; i < key->n; i++)
	{
		appendStringInfo(sql, "%s%s", i == 0 ? " WHERE " : " AND ", quote_identifier(key->columns[i].name));
		append_operator(sql, key->columns[i].type);
		appendStringInfo(sql, "$%d", i + 1);
	}
}

/* ---- as the owner ---- */

Oid
wf_row_owner(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid		  owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Move pg_temp to the end of the path. A path that does not name it has it first, where temporary
 * tables would capture names.
 */
char *
wf_path_with_temp_last(const char *search_path)
{
	StringInfoData path;
	List		  *names;
	ListCell	  *lc;

	if (!SplitIdentifierString(pstrdup(search_path), ',', &names))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid search_path: \"%s\"", search_path));
	initStringInfo(&path);
	foreach (lc, names)
		if (strcmp(lfirst(lc), "pg_temp") != 0)
			appendStringInfo(&path, "%s, ", quote_identifier(lfirst(lc)));
	appendStringInfoString(&path, "pg_temp");
	return path.data;
}

void
wf_as_owner_begin(WfAsOwner *saved, Oid owner, const char *search_path)
{
	char *path = wf_path_with_temp_last(search_path);

	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	saved->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(owner, saved->sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
}

void
wf_as_owner_end(WfAsOwner *saved)
{
	SetUserIdAndSecContext(saved->user, saved->sec_context);
	AtEOXact_GUC(false, saved->guc_level);
}

void
wf_constraints_immediate(void)
{
	ConstraintsSetStmt *stmt = makeNode(ConstraintsSetStmt);

	stmt->constraints = NIL;
	stmt->deferred = false;
	AfterTriggerSetState(stmt);
}
