/*
 * retry_options.c
 *		The options retry_* of a server: `retry` for steps that have none, and whose definition has
 *		none.
 *
 * The options are the keys of `retry`, with lists written with commas: retry_max '5', retry_delay
 * '100 ms, 1 s', retry_on '503, connect'.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/guc.h"

#include "http/options.h"
#include "http/retry_options.h"

static const char *
read_max_option(const char *value, WfRetry *retry)
{
	int max;

	if (!parse_int(value, &max, 0, NULL) || max < 0 || max > WF_MAX_RETRIES)
		return "a whole number between 0 and " CppAsString2(WF_MAX_RETRIES);
	retry->max = max;
	return NULL;
}

/* Read a pause. "0" is allowed here, as no pause. */
static const char *
read_interval_option(const char *value, Interval *interval)
{
	int			ms = 0;
	const char *expected = strcmp(value, "0") == 0 ? NULL : wf_option_milliseconds(value, &ms);

	if (expected == NULL)
		*interval = (Interval){.time = ms * INT64CONST(1000)};
	return expected;
}

/*
 * The next item of a comma-separated list, palloc'd, without the blanks around it; NULL if there
 * are no more.
 */
static char *
next_item(const char **rest)
{
	const char *begin = *rest;
	const char *end;

	if (begin == NULL)
		return NULL;
	end = begin + strcspn(begin, ",");
	*rest = *end == ',' ? end + 1 : NULL;
	while (begin < end && isspace((unsigned char) *begin))
		begin++;
	while (end > begin && isspace((unsigned char) end[-1]))
		end--;
	return pnstrdup(begin, end - begin);
}

static const char *
read_delay_option(const char *value, WfRetry *retry)
{
	Interval *delays = palloc(sizeof(Interval) * WF_MAX_RETRY_DELAYS);
	int		  n = 0;
	char	 *item;

	while ((item = next_item(&value)) != NULL)
	{
		const char *expected = n == WF_MAX_RETRY_DELAYS ? "at most " CppAsString2(WF_MAX_RETRY_DELAYS) " intervals"
														: read_interval_option(item, &delays[n]);

		if (expected != NULL)
			return expected;
		n++;
	}
	retry->delays = repalloc(delays, sizeof(Interval) * n);
	retry->ndelays = n;
	return NULL;
}

static const char *
read_backoff_option(const char *value, WfRetry *retry)
{
	char  *end;
	double factor;

	retry->linear = strcmp(value, "linear") == 0;
	if (retry->linear)
		return NULL;
	factor = strtod(value, &end);
	if (end == value || *end != '\0' || !(factor >= 1 && factor <= 1000))
		return "\"linear\" or a number between 1 and 1000";
	retry->backoff = factor;
	return NULL;
}

static const char *
read_on_option(const char *value, WfRetry *retry)
{
	const char **words = palloc(sizeof(char *) * WF_MAX_RETRY_WORDS);
	int			 n = 0;
	char		*item;

	while ((item = next_item(&value)) != NULL)
	{
		bool known = wf_is_status(item) || wf_is_status_class(item) || wf_is_retry_word(item);

		if (n == WF_MAX_RETRY_WORDS || !known || ((wf_is_status(item) || wf_is_status_class(item)) && item[0] == '2'))
			return "status codes (503), classes of them (5xx), connect or timeout, with commas between them";
		words[n++] = item;
	}
	retry->on = words;
	retry->non = n;
	return NULL;
}

void
wf_retry_options_init(WfRetry *retry)
{
	*retry = (WfRetry){.backoff = 1, .delays = palloc0(sizeof(Interval)), .ndelays = 1};
}

bool
wf_is_retry_option(const char *name)
{
	return strncmp(name, "retry_", strlen("retry_")) == 0;
}

const char *
wf_retry_option(const char *name, const char *value, WfRetry *retry)
{
	const char *expected = NULL;

	if (strcmp(name, "retry_max") == 0)
		expected = read_max_option(value, retry);
	else if (strcmp(name, "retry_delay") == 0)
		expected = read_delay_option(value, retry);
	else if (strcmp(name, "retry_backoff") == 0)
		expected = read_backoff_option(value, retry);
	else if (strcmp(name, "retry_max_delay") == 0)
	{
		expected = read_interval_option(value, &retry->max_delay);
		retry->has_max_delay = expected == NULL;
	}
	else if (strcmp(name, "retry_jitter") == 0)
		expected = read_interval_option(value, &retry->jitter);
	else if (strcmp(name, "retry_on") == 0)
		expected = read_on_option(value, retry);
	/* the other options have no effect without retry_max */
	retry->given |= strcmp(name, "retry_max") == 0 && expected == NULL;
	return expected;
}
