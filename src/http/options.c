/*
 * options.c
 *		Values of the options of servers and user mappings: read the same way when they are set and
 *		when they are used.
 *
 * Pure functions: no state, and a bad value throws nothing.
 */
#include "compat.h"

#include <limits.h>

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "http/options.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

/* The body of a reply becomes jsonb, in which no string may be longer. */
#define MAX_MAX_RESPONSE  (256 * 1024 * 1024 - 1)
#define MAX_MAX_IN_FLIGHT 10000
/* A request keeps one of its server's places for so long at most. */
#define MAX_TIMEOUT_MS (24 * 60 * 60 * 1000)

const char *
wf_option_get(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst(cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

/* Read an interval as interval_in does, but without throwing. */
static bool
read_interval_value(const char *text, Interval *interval)
{
	struct pg_itm_in itm = {0};
	char			 work[256];
	char			*field[MAXDATEFIELDS];
	int				 ftype[MAXDATEFIELDS];
	int				 nfields;
	int				 dtype;
	int				 error;

	error = ParseDateTime(text, work, sizeof(work), field, ftype, MAXDATEFIELDS, &nfields);
	if (error == 0)
		error = DecodeInterval(field, ftype, nfields, INTERVAL_FULL_RANGE, &dtype, &itm);
	if (error == DTERR_BAD_FORMAT)
	{
		char *copy = pstrdup(text);

		error = DecodeISO8601Interval(copy, &dtype, &itm);
	}
	return error == 0 && dtype == DTK_DELTA && itmin2interval(&itm, interval) == 0;
}

const char *
wf_option_milliseconds(const char *text, int *result)
{
	Interval interval;
	double	 ms;

	if (!read_interval_value(text, &interval))
		return "an interval, such as \"30 s\"";
	ms = interval.time / 1000.0 + ((double) interval.day + 30.0 * interval.month) * (USECS_PER_DAY / 1000);
	if (ms < 1 || ms > INT_MAX)
		return "an interval between 1 ms and 24 days";
	*result = (int) ms;
	return NULL;
}

const char *
wf_option_timeout(const char *text, int *result)
{
	int ms;

	if (wf_option_milliseconds(text, &ms) != NULL || ms > MAX_TIMEOUT_MS)
		return "an interval between 1 ms and 24 hours, such as \"30 s\"";
	*result = ms;
	return NULL;
}

const char *
wf_option_count(const char *text, int *result)
{
	/* a value of zero must be spelled "0", since the view `servers` compares the text */
	if (!parse_int(text, result, 0, NULL) || (*result == 0 && strcmp(text, "0") != 0) || *result < 0 ||
		*result > MAX_MAX_IN_FLIGHT)
		return "a whole number between 0 and " CppAsString2(MAX_MAX_IN_FLIGHT);
	return NULL;
}

const char *
wf_option_bytes(const char *text, int64 *result)
{
	int bytes;

	if (!parse_int(text, &bytes, GUC_UNIT_BYTE, NULL) || bytes < 1 || bytes > MAX_MAX_RESPONSE)
		return "a number of bytes below 256MB, plain or with a unit: B, kB, MB";
	*result = bytes;
	return NULL;
}

const char *
wf_option_boolean(const char *text, bool *result)
{
	return parse_bool(text, result) ? NULL : "a Boolean value";
}

const char *
wf_option_file(const char *text)
{
	return is_absolute_path(text) ? NULL : "an absolute path of a file on the server";
}

List *
wf_option_list_of_server(HeapTuple tuple, TupleDesc desc)
{
	bool  isnull;
	Datum options = heap_getattr(tuple, Anum_pg_foreign_server_srvoptions, desc, &isnull);

	return isnull ? NIL : untransformRelOptions(options);
}
