/*
 * timeline_words.c
 *		How workflow.timeline() says times, errors and numbers.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "api/timeline_internal.h"
#include "store/query.h"

#define MAX_DETAIL 200 /* bytes of a message or progress shown in one line */

char *
wf_told_span(TimestampTz from, TimestampTz to)
{
	int64 us = Max(to - from, 0);
	int64 s = us / USECS_PER_SEC;

	if (us < USECS_PER_SEC)
		return psprintf(INT64_FORMAT " ms", us / 1000);
	if (s < SECS_PER_MINUTE)
		return psprintf("%d.%d s", (int) s, (int) (us % USECS_PER_SEC / (USECS_PER_SEC / 10)));
	if (s < SECS_PER_HOUR)
		return psprintf(INT64_FORMAT " min %02d s", s / SECS_PER_MINUTE, (int) (s % SECS_PER_MINUTE));
	if (s < SECS_PER_DAY)
		return psprintf(INT64_FORMAT " h %02d min", s / SECS_PER_HOUR, (int) (s % SECS_PER_HOUR / SECS_PER_MINUTE));
	return psprintf(INT64_FORMAT " d %02d h", s / SECS_PER_DAY, (int) (s % SECS_PER_DAY / SECS_PER_HOUR));
}

const char *
wf_told_clip(char *text)
{
	int len = text != NULL ? strlen(text) : 0;
	int kept;

	if (len <= MAX_DETAIL)
		return text;
	kept = pg_mbcliplen(text, len, MAX_DETAIL);
	text[kept] = '\0';
	return psprintf("%s...", text);
}

const char *
wf_told_because(const char *outcome, const char *code, char *message)
{
	if (code != NULL && strcmp(code, outcome) == 0)
		code = NULL;
	if (code == NULL && message == NULL)
		return "";
	if (code == NULL || message == NULL)
		return psprintf(": %s", code != NULL ? code : wf_told_clip(message));
	return psprintf(": %s, %s", code, wf_told_clip(message));
}

TimestampTz
wf_told_time(uint64 row, int column)
{
	return wf_result_int64(row, column);
}

int
wf_told_int(uint64 row, int column)
{
	bool  isnull;
	Datum value = wf_result(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

char *
wf_told_time_text(TimestampTz at)
{
	return pstrdup(timestamptz_to_str(at));
}

const char *
wf_told_child(const char *words, uint64 row, int column)
{
	int64 child = wf_result_int64(row, column);

	return child != 0 ? psprintf("%s instance " INT64_FORMAT, words, child) : "";
}
