/*
 * retry.c
 *		The `retry` of a step, or of a definition for steps that have none: how often, after which
 *		pauses, and after which faults.
 *
 * Retried faults are kept as words that are compared with a fault: a status ("503"), a class of
 * them ("5xx"), a SQLSTATE, "connect", "timeout", "auth", or of a step whose work is fetched the code
 * of a worker. A word that the step's own action can never meet is an issue. All memory is in CurrentMemoryContext, that of the definition.
 */
#include "postgres.h"

#include "model/reader.h"

static const char on_hint[] =
	"Name status codes (503), classes of them (\"5xx\"), SQLSTATEs (\"40001\"), \"connect\", \"timeout\" or \"auth\"; "
	"a step that waits for a \"topic\" also codes of workers.";

static const char *const fault_words[] = {WF_CODE_CONNECT, WF_CODE_TIMEOUT, WF_CODE_AUTH};

/* ---- how often, and after which pauses ---- */

static void
read_max_field(WfReader *reader, const WfJson *node, void *target)
{
	size_t len;

	if (!wf_reader_expect(reader, node, WF_JSON_NUMBER, NULL))
		return;
	len = strlen(node->text);
	if (strspn(node->text, "0123456789") != len || len > 7 || atoi(node->text) > WF_MAX_RETRIES)
		wf_json_issue(reader->issues, node, NULL, "must be a whole number from 0 to %d", WF_MAX_RETRIES);
	else
		*(int *) target = atoi(node->text);
}

static void
read_delay_field(WfReader *reader, const WfJson *node, void *target)
{
	WfRetry *retry = target;
	int		 n = node->type == WF_JSON_ARRAY ? node->n : 1;

	if (n == 0)
		wf_json_issue(reader->issues, node, "Without a pause, leave it out.", "names no delay");
	if (n > WF_MAX_RETRY_DELAYS)
	{
		wf_json_issue(reader->issues, node, "The last one repeats.", "has more than %d delays", WF_MAX_RETRY_DELAYS);
		return;
	}
	retry->delays = palloc0(Max(n, 1) * sizeof(Interval));
	retry->ndelays = Max(n, 1);
	for (int i = 0; i < n; i++)
		wf_read_interval(reader, node->type == WF_JSON_ARRAY ? node->items[i] : node, &retry->delays[i]);
}

static void
read_backoff_field(WfReader *reader, const WfJson *node, void *target)
{
	static const char hint[] = "Write the factor by which each delay is longer than the one before, or \"linear\".";
	WfRetry			 *retry = target;
	double			  factor;

	if (node->type == WF_JSON_STRING && strcmp(node->text, "linear") == 0)
	{
		retry->linear = true;
		return;
	}
	if (node->type == WF_JSON_STRING)
	{
		wf_json_issue(reader->issues, node, hint, "\"%s\" is no way for delays to grow", wf_issue_clip(node->text));
		return;
	}
	if (!wf_reader_expect(reader, node, WF_JSON_NUMBER, hint))
		return;
	factor = strtod(node->text, NULL);
	if (!(factor >= 1 && factor <= 1000))
		wf_json_issue(reader->issues, node, "1 keeps the delay, 2 doubles it each time.", "must be from 1 to 1000");
	else
		retry->backoff = factor;
}

static void
read_max_delay(WfReader *reader, const WfJson *node, void *target)
{
	WfRetry *retry = target;

	retry->has_max_delay = wf_read_interval_checked(reader, node, &retry->max_delay);
}

/* ---- after which faults ---- */

bool
wf_is_status(const char *text)
{
	return text[0] >= '1' && text[0] <= '5' && strlen(text) == 3 && strspn(text, "0123456789") == 3;
}

bool
wf_is_status_class(const char *text)
{
	return text[0] >= '1' && text[0] <= '5' && pg_strcasecmp(text + 1, "xx") == 0;
}

/* A status of success in a list of errors is an issue, since it would never match. */
bool
wf_reader_is_failure(WfReader *reader, const WfJson *node)
{
	bool success = node->text[0] == '2' && (wf_is_status(node->text) || wf_is_status_class(node->text));

	if (success)
		wf_json_issue(reader->issues, node, "Whether such an answer is good enough is for \"success\" to judge.",
					  "%s is no failure", node->text);
	return !success;
}

static bool
is_sqlstate(const char *text)
{
	return strlen(text) == 5 && strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5;
}

bool
wf_is_retry_word(const char *text)
{
	for (int i = 0; i < lengthof(fault_words); i++)
	{
		if (strcmp(text, fault_words[i]) == 0)
			return true;
	}
	return false;
}

/* The spelling in which a word is compared: "5XX" is "5xx", "40p01" is "40P01". */
static const char *
usual_spelling(const char *text)
{
	char *word = pstrdup(text);

	if (wf_is_status_class(text))
		word[1] = word[2] = 'x';
	else if (strlen(text) == 5 && strpbrk(text, "0123456789"))
	{
		for (char *p = word; *p; p++)
			*p = pg_ascii_toupper((unsigned char) *p);
	}
	return word;
}

static void
add_unknown_word(WfReader *reader, const WfJson *node)
{
	int near = -1;

	if (!wf_issues_full(reader->issues))
		near = wf_issue_nearest(node->text, fault_words, lengthof(fault_words), wf_issue_name_at);
	wf_json_issue(reader->issues, node, near >= 0 ? wf_issue_perhaps(fault_words[near], node->text) : on_hint,
				  "\"%s\" is nothing that could be retried", wf_issue_clip(node->text));
}

static bool
is_known_word(const char *word)
{
	return wf_is_status(word) || wf_is_status_class(word) || is_sqlstate(word) || wf_is_retry_word(word);
}

/* What is unknown can be the code of a worker: whether the step has one is known when all of it was read. */
static void
read_on_word(WfReader *reader, const WfJson *node, WfRetry *retry)
{
	const char *word;

	if (node->type == WF_JSON_NUMBER)
	{
		if (wf_is_status(node->text) && wf_reader_is_failure(reader, node))
			retry->on[retry->non++] = node->text;
		else if (wf_is_status(node->text))
			return;
		else if (is_sqlstate(node->text))
			wf_json_issue(reader->issues, node, psprintf("Write \"%s\".", node->text), "a SQLSTATE is a string");
		else
			wf_json_issue(reader->issues, node, on_hint, "must be a status code from 100 to 599");
		return;
	}
	if (!wf_reader_expect(reader, node, WF_JSON_STRING, on_hint))
		return;
	word = usual_spelling(node->text);
	if (!wf_reader_is_failure(reader, node))
		return;
	if (is_known_word(word) || (reader->step != NULL && node->text[0] != '\0'))
		retry->on[retry->non++] = word;
	else
		add_unknown_word(reader, node);
}

static void
read_retry_on(WfReader *reader, const WfJson *node, void *target)
{
	WfRetry *retry = target;
	int		 n = node->type == WF_JSON_ARRAY ? node->n : 1;

	if (n == 0)
		wf_json_issue(reader->issues, node, "For the usual errors, leave it out; for no retry, leave out \"retry\".",
					  "retries nothing");
	if (n > WF_MAX_RETRY_WORDS)
	{
		wf_json_issue(reader->issues, node, NULL, "has more than %d entries", WF_MAX_RETRY_WORDS);
		return;
	}
	retry->on = palloc0(Max(n, 1) * sizeof(char *));
	retry->non = 0;
	for (int i = 0; i < n; i++)
		read_on_word(reader, node->type == WF_JSON_ARRAY ? node->items[i] : node, retry);
}

/* ---- retry as a whole ---- */

static const char *const growing[] = {"linear"};

static const WfJsonShape max_shape = {.types = WF_TAKES_NUMBER, .whole = true, .maximum = WF_MAX_RETRIES};
static const WfJsonShape delay_shape = {.types = WF_TAKES_STRING | WF_TAKES_ARRAY,
										.not_blank = true,
										.items = &wf_shape_interval,
										.min_items = 1,
										.max_items = WF_MAX_RETRY_DELAYS};
static const WfJsonShape backoff_shape = {.types = WF_TAKES_STRING | WF_TAKES_NUMBER,
										  WF_WORDS(growing),
										  .minimum = 1,
										  .maximum = 1000};
static const WfJsonShape word_shape = {.types = WF_TAKES_STRING | WF_TAKES_NUMBER,
									   .not_blank = true,
									   WF_STATUS_NUMBERS};
static const WfJsonShape on_shape = {.types = WF_TAKES_STRING | WF_TAKES_NUMBER | WF_TAKES_ARRAY,
									 .not_blank = true,
									 WF_STATUS_NUMBERS,
									 .items = &word_shape,
									 .min_items = 1,
									 .max_items = WF_MAX_RETRY_WORDS};

static const WfReaderField retry_fields[] = {
	{"max", read_max_field, &max_shape, offsetof(WfRetry, max), true},
	{"delay", read_delay_field, &delay_shape, 0},
	{"backoff", read_backoff_field, &backoff_shape, 0},
	{"max_delay", read_max_delay, &wf_shape_interval, 0},
	{"jitter", wf_read_interval, &wf_shape_interval, offsetof(WfRetry, jitter)},
	{"on", read_retry_on, &on_shape, 0},
};

const WfJsonShape wf_retry_shape = {.name = "retry",
									.says = "How often an attempt that has failed is made again, after which pauses.",
									.types = WF_TAKES_OBJECT,
									.what = "\"retry\"",
									WF_FIELDS(retry_fields)};

void
wf_read_retry(WfReader *reader, const WfJson *node, void *target)
{
	WfRetry *retry = target;

	*retry = (WfRetry){.given = true, .backoff = 1};
	if (node->type == WF_JSON_NUMBER)
	{
		(void) wf_reader_expect(reader, node, WF_JSON_OBJECT,
								psprintf("Write {\"max\": %s}.", wf_issue_clip(node->text)));
		return;
	}
	if (!wf_read_object(reader, node, &wf_retry_shape, retry))
		return;
	if (retry->delays == NULL)
	{
		retry->delays = palloc0(sizeof(Interval));
		retry->ndelays = 1;
	}
	for (int i = 0; retry->has_max_delay && i < retry->ndelays; i++)
	{
		if (wf_interval_compare(&retry->max_delay, &retry->delays[i]) >= 0)
			continue;
		wf_json_issue(reader->issues, wf_json_member(node, "max_delay"),
					  "It limits what \"backoff\" makes of the delay.", "is shorter than the delay itself");
		break;
	}
}

static bool
waits_for_worker(const WfStep *step)
{
	int entry = wf_step_entry(step, WF_EVENT_TOPIC);

	return entry >= 0 && entry < step->nwaits;
}

static void
check_known(WfReader *reader, const WfJson *on)
{
	int n = on->type == WF_JSON_ARRAY ? on->n : 1;

	for (int i = 0; i < n && n <= WF_MAX_RETRY_WORDS; i++)
	{
		const WfJson *word = on->type == WF_JSON_ARRAY ? on->items[i] : on;

		if (word->type == WF_JSON_STRING && word->text[0] != '\0' && !is_known_word(usual_spelling(word->text)))
			add_unknown_word(reader, word);
	}
}

/* Codes of workers are compared as they are written. */
static void
keep_spelling(const WfJson *on, WfRetry *retry)
{
	int n = on->type == WF_JSON_ARRAY ? on->n : 1;

	if (n != retry->non)
		return; /* there is an issue */
	for (int i = 0; i < n; i++)
		retry->on[i] = on->type == WF_JSON_ARRAY ? on->items[i]->text : on->text;
}

void
wf_retry_check(WfReader *reader, const WfJson *node)
{
	const WfStep *step = reader->step;
	const WfJson *on = wf_json_member(node, "on");
	bool		  http = step->action == WF_ACTION_HTTP;

	if (on == NULL)
		return;
	if (waits_for_worker(step))
	{
		keep_spelling(on, &reader->step->retry);
		return;
	}
	check_known(reader, on);
	if (!http && step->action != WF_ACTION_SQL)
		return;
	for (int i = 0; i < step->retry.non; i++)
	{
		const char *word = step->retry.on[i];

		if (!is_known_word(word) || is_sqlstate(word) != http)
			continue;
		wf_json_issue(reader->issues, on,
					  http ? "A request fails with a status code, \"connect\", \"timeout\" or \"auth\"."
						   : "SQL fails with a SQLSTATE: \"40001\", \"57014\" and the like.",
					  "\"%s\" is never what is wrong with \"%s\"", word, http ? "http" : "sql");
	}
}
