/*
 * arguments.c
 *		Arguments of SQL functions, and serial numbers as text.
 *
 * Pure functions: no SPI, no shared memory.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "common/int.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/arguments.h"
#include "model/issue.h"
#include "store/version.h"

/* space for the digits of two bigints, "_" and the terminating 0 */
#define SERIAL_BYTES 48

PG_FUNCTION_INFO_V1(workflow_serial_number);
PG_FUNCTION_INFO_V1(workflow_serial_instance);
PG_FUNCTION_INFO_V1(workflow_serial_visit);
PG_FUNCTION_INFO_V1(workflow_serial_instances);
WF_FUNCTION(workflow_serial_is_text);

void
wf_argument_require(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument \"%s\" must not be null", name));
}

char *
wf_argument_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

char *
wf_argument_text_required(FunctionCallInfo fcinfo, int n, const char *name)
{
	wf_argument_require(fcinfo, n, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

pg_uuid_t *
wf_argument_uuid(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_UUID_P(n);
}

Jsonb *
wf_argument_jsonb(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
}

Jsonb *
wf_argument_object(FunctionCallInfo fcinfo, int n, const char *name)
{
	Jsonb *value = wf_argument_jsonb(fcinfo, n);

	if (value != NULL && !JB_ROOT_IS_OBJECT(value))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"%s\" must be a JSON object", name),
				errhint("The data of an instance is an object, such as {\"amount\": 120}."));
	return value;
}

/* ---- serial numbers ---- */

/*
 * Read one of the two numbers of a serial number: digits without a leading zero, up to what a
 * bigint holds. Returns the position behind it, or NULL.
 */
static const char *
read_number(const char *p, const char *end, int64 *number)
{
	int64 value = 0;

	if (p == end || *p < '1' || *p > '9')
		return NULL;
	for (; p < end && *p >= '0' && *p <= '9'; p++)
	{
		if (pg_mul_s64_overflow(value, 10, &value) || pg_add_s64_overflow(value, *p - '0', &value))
			return NULL;
	}
	*number = value;
	return p;
}

bool
wf_serial_parse(const char *text, int len, WfSerial *serial)
{
	const char *end = text + len;
	const char *p = read_number(text, end, &serial->instance);

	return p != NULL && p < end && *p == '_' && read_number(p + 1, end, &serial->visit) == end;
}

/* What is wrong with a number that is none of a serial number; NULL: nothing that can be said. */
static const char *
number_problem(const char *p, size_t len)
{
	if (len == 0 || strspn(p, "0123456789") < len)
		return NULL;
	if (strspn(p, "0") >= len)
		return "Instances and visits are numbered from 1.";
	return p[0] == '0' ? "Numbers have no leading zeros." : "Numbers go up to 9223372036854775807.";
}

const char *
wf_serial_problem(const char *text)
{
	const char *split = strchr(text, '_');
	const char *problem = NULL;
	int64		number;

	if (split != NULL && strspn(text, "0123456789") == split - text &&
		split[strspn(split + 1, "0123456789") + 1] == '\0')
	{
		if (read_number(text, split, &number) != split)
			problem = number_problem(text, split - text);
		else
			problem = number_problem(split + 1, strlen(split + 1));
	}
	return problem != NULL ? problem : "A serial number is written <instance>_<visit>, such as 5_31.";
}

WfSerial
wf_argument_serial(FunctionCallInfo fcinfo, int n)
{
	WfSerial serial;
	text	*value;

	if (PG_ARGISNULL(n))
		ereport(
			ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument \"serial_number\" must not be null"),
			errhint(
				"A row of an attached table has one only while its instance waits; the views workflow.instances and workflow.incidents say what it does otherwise."));
	value = PG_GETARG_TEXT_PP(n);
	if (!wf_serial_parse(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &serial))
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg(WF_SERIAL_MALFORMED, wf_issue_clip(text_to_cstring(value))),
				errdetail("%s", wf_serial_problem(text_to_cstring(value))));
	return serial;
}

/* workflow.serial_number(instance bigint, visit bigint) → text: indexes and views call it. */
Datum
workflow_serial_number(PG_FUNCTION_ARGS)
{
	char buffer[SERIAL_BYTES];
	int	 len = pg_lltoa(PG_GETARG_INT64(0), buffer);

	buffer[len++] = '_';
	len += pg_lltoa(PG_GETARG_INT64(1), buffer + len);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buffer, len));
}

static bool
parse_text(Datum value, WfSerial *serial)
{
	text *number = DatumGetTextPP(value);

	return wf_serial_parse(VARDATA_ANY(number), VARSIZE_ANY_EXHDR(number), serial);
}

/* workflow_data.serial_instance(serial_number text) → bigint: the planner looks for it instead, as for the next two. */
Datum
workflow_serial_instance(PG_FUNCTION_ARGS)
{
	WfSerial serial;

	if (!parse_text(PG_GETARG_DATUM(0), &serial))
		PG_RETURN_NULL();
	PG_RETURN_INT64(serial.instance);
}

/* workflow_data.serial_visit(serial_number text) → bigint */
Datum
workflow_serial_visit(PG_FUNCTION_ARGS)
{
	WfSerial serial;

	if (!parse_text(PG_GETARG_DATUM(0), &serial))
		PG_RETURN_NULL();
	PG_RETURN_INT64(serial.visit);
}

/* workflow_data.serial_instances(serial_numbers text[]) → bigint[] */
Datum
workflow_serial_instances(PG_FUNCTION_ARGS)
{
	Datum *values;
	bool  *nulls;
	int	   n;
	int	   found = 0;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		WfSerial serial;

		if (!nulls[i] && parse_text(values[i], &serial))
			values[found++] = Int64GetDatum(serial.instance);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(values, found, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Refuse a serial number that is given as a number. Every function that takes a serial number as
 * text has a twin that takes a bigint and calls this: from PostgreSQL 16 on, 5_31 without quotes is
 * the number 531, which must not end another visit.
 */
Datum
workflow_serial_is_text(PG_FUNCTION_ARGS)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), errmsg("a serial number is text, not a number"),
			errdetail("PostgreSQL 16 and newer read 5_31 without quotes as the number 531."),
			errhint("Quote it: '5_31'."));
	PG_RETURN_NULL();
}
