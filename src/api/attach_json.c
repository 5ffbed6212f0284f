/*
 * attach_json.c
 *		Rows of attached tables as JSON, as to_jsonb makes it.
 *
 * to_jsonb finds out for each value of each row how its type becomes JSON, and sorts the keys of each object. Here both are
 * done once for a table, if all of its columns have types that everybody uses; for other tables it is to_jsonb that is called.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "api/attach_internal.h"

typedef struct Column Column;
typedef void (*Convert)(const Column *column, Datum value, JsonbValue *json);

struct Column
{
	int		 attno;
	Oid		 type; /* of a domain, what it is a domain of */
	Convert	 convert;
	FmgrInfo output;
};

struct WfRowJson
{
	int		   n;
	Column	  *columns; /* in the order of the keys in an object */
	JsonbPair *pairs;	/* with the keys; values are those of the last row */
	Datum	  *values;	/* of the last row */
	bool	  *nulls;
};

/* ---- values ---- */

static void
set_string(JsonbValue *json, char *text, int len)
{
	json->type = jbvString;
	json->val.string.val = text;
	json->val.string.len = len;
}

static void
convert_text(const Column *column, Datum value, JsonbValue *json)
{
	text *string = DatumGetTextPP(value);

	set_string(json, VARDATA_ANY(string), (int) VARSIZE_ANY_EXHDR(string));
}

static void
convert_other(const Column *column, Datum value, JsonbValue *json)
{
	char *string = OutputFunctionCall(unconstify(FmgrInfo *, &column->output), value);

	set_string(json, string, (int) strlen(string));
}

static void
convert_bool(const Column *column, Datum value, JsonbValue *json)
{
	json->type = jbvBool;
	json->val.boolean = DatumGetBool(value);
}

static void
convert_integer(const Column *column, Datum value, JsonbValue *json)
{
	int64 number = column->type == INT8OID	 ? DatumGetInt64(value)
				   : column->type == INT4OID ? DatumGetInt32(value)
											 : DatumGetInt16(value);

	json->type = jbvNumeric;
	json->val.numeric = int64_to_numeric(number);
}

static void
convert_numeric(const Column *column, Datum value, JsonbValue *json)
{
	Numeric number = DatumGetNumeric(value);

	if (numeric_is_nan(number) || numeric_is_inf(number))
	{
		convert_other(column, value, json);
		return;
	}
	json->type = jbvNumeric;
	json->val.numeric = number;
}

static void
convert_time(const Column *column, Datum value, JsonbValue *json)
{
	char  buffer[MAXDATELEN + 1];
	char *string = pstrdup(JsonEncodeDateTime(buffer, value, column->type, NULL));

	set_string(json, string, (int) strlen(string));
}

static const struct
{
	Oid		type;
	Convert convert;
} conversions[] = {
	{INT2OID, convert_integer},	   {INT4OID, convert_integer},	   {INT8OID, convert_integer},
	{NUMERICOID, convert_numeric}, {BOOLOID, convert_bool},		   {TEXTOID, convert_text},
	{VARCHAROID, convert_text},	   {BPCHAROID, convert_text},	   {DATEOID, convert_time},
	{TIMESTAMPOID, convert_time},  {TIMESTAMPTZOID, convert_time}, {UUIDOID, convert_other},
	{TIMEOID, convert_other},	   {TIMETZOID, convert_other},	   {INTERVALOID, convert_other},
};

static Convert
conversion_of(Oid type)
{
	for (int i = 0; i < lengthof(conversions); i++)
		if (conversions[i].type == type)
			return conversions[i].convert;
	return NULL;
}

/* ---- a table ---- */

typedef struct Named
{
	Form_pg_attribute att;
	size_t			  len;
} Named;

/* The order of keys in an object: shorter ones first. */
static int
compare_names(const void *a, const void *b)
{
	const Named *left = a;
	const Named *right = b;

	if (left->len != right->len)
		return left->len < right->len ? -1 : 1;
	return memcmp(NameStr(left->att->attname), NameStr(right->att->attname), left->len);
}

static int
sort_columns(TupleDesc desc, Named *named)
{
	int n = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			named[n++] = (Named){att, strlen(NameStr(att->attname))};
	}
	qsort(named, n, sizeof(Named), compare_names);
	return n;
}

static bool
set_up_column(Column *column, JsonbPair *pair, const Named *named, MemoryContext context)
{
	Oid	 output;
	bool isvarlena;

	column->attno = named->att->attnum;
	column->type = getBaseType(named->att->atttypid);
	column->convert = conversion_of(column->type);
	if (column->convert == NULL)
		return false;
	getTypeOutputInfo(column->type, &output, &isvarlena);
	fmgr_info_cxt(output, &column->output, context);
	set_string(&pair->key, pstrdup(NameStr(named->att->attname)), (int) named->len);
	return true;
}

WfRowJson *
wf_row_json_make(TupleDesc desc, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Named		 *named = palloc(sizeof(Named) * Max(desc->natts, 1));
	WfRowJson	 *json = palloc0(sizeof(WfRowJson));
	bool		  usual = true;

	json->n = sort_columns(desc, named);
	json->columns = palloc0(sizeof(Column) * Max(json->n, 1));
	json->pairs = palloc0(sizeof(JsonbPair) * Max(json->n, 1));
	json->values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	json->nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	for (int i = 0; i < json->n && usual; i++)
		usual = set_up_column(&json->columns[i], &json->pairs[i], &named[i], context);
	MemoryContextSwitchTo(old);
	return usual ? json : NULL;
}

Jsonb *
wf_row_json(WfRowJson *json, TupleDesc desc, HeapTuple tuple)
{
	JsonbValue object = {.type = jbvObject, .val.object = {json->n, json->pairs}};

	heap_deform_tuple(tuple, desc, json->values, json->nulls);
	for (int i = 0; i < json->n; i++)
	{
		const Column *column = &json->columns[i];

		if (json->nulls[column->attno - 1])
			json->pairs[i].value.type = jbvNull;
		else
			column->convert(column, json->values[column->attno - 1], &json->pairs[i].value);
	}
	return JsonbValueToJsonb(&object);
}
