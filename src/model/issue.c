/*
 * issue.c
 *		The faults of a definition: collecting them, and reporting all of them in one error.
 *
 * Strings of an issue are copied into the CurrentMemoryContext at the time it is added.
 */
#include "postgres.h"

#include <limits.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/varlena.h"

#include "model/issue.h"

#define MAX_ISSUES 100
#define MAX_PLACES 3				/* that one hint names */
#define CLIP_BYTES 64
#define CLIP_REASON_BYTES 240

static const char not_yet[] = "not supported yet";

bool
wf_issues_full(const WfIssues *issues)
{
	return issues->n >= MAX_ISSUES;
}

/* What the keys of a definition take, for faults that say no more themselves. */
static const struct
{
	const char *key;
	const char *hint;
} takes[] = {
	{"step", "A step has a name of its own, a string of 1 to 200 bytes."},
	{"next", "It is the name of a step; without it the following step is next."},
	{"start", "It is the name of a step; without it the first one listed is entered first."},
	{"sql", "One statement; its parameters are visit.data, visit.serial_number, visit.instance, visit.business_key, visit.step, visit.attempt, and visit.item and visit.index, which are null as there are no loops yet."},
	{"when", "A jsonpath predicate, such as \"$.amount > 100\"."},
	{"success", "A jsonpath predicate, such as \"$result.response.status == \\\"OK\\\"\"."},
	{"choose", "Branches {\"when\": predicate, \"next\": step}; the last one may be without \"when\"."},
	{"max", "How often it is tried again: 3 makes four attempts at most."},
	{"timeout", "An interval of zero or more, such as \"30 s\" or \"2 days\"."},
	{"heartbeat", "An interval of more than zero, such as \"10 minutes\"."},
	{"channel", "A channel for LISTEN, of 1 to 63 bytes."},
	{"payload", "A text of less than 8000 bytes."},
	{"body", "One of body, text and form, or none."},
	{"text", "One of body, text and form, or none."},
	{"form", "One of body, text and form, or none: {field: text}."},
	{"headers", "{name: text}, each on one line."},
	{"data", "An object: defaults, under the data given at start."},
	{"set", "{field: template}"},
	{"save", "{field: template}, or true for all of $result.response."},
	{"save_reply", "{field: template}"},
	{"catch", "Entries {\"on\": outcomes or codes, \"next\": step}, or with \"after\" or \"until\" in place of \"on\"."},
	{"on", "An outcome, an error code, a list of them, or \"*\"."},
	{"end", "true, {\"error\": code, \"message\": text} or {\"abort\": reason}."},
	{"error", "A code, 1 to 200 characters, which callers see."},
	{"wait", "true, {\"callback\": true}, {\"after\": interval} or {\"until\": timestamp}."},
	{"steps", "An array of steps, each an object: {\"step\": name, ...}."}};

/* The last key of a path such as $.steps[0].retry.on[2] */
static const char *
default_hint(const char *path, const char *message)
{
	const char *dot = strrchr(path, '.');
	size_t		len = dot != NULL ? strcspn(dot + 1, "[") : 0;

	if (strstr(message, not_yet) != NULL)
		return "The README lists the limits of this version.";
	for (int i = 0; dot != NULL && i < lengthof(takes); i++)
		if (strlen(takes[i].key) == len && strncmp(takes[i].key, dot + 1, len) == 0)
			return takes[i].hint;
	return "The README says under \"Processes\" what goes where.";
}

void
wf_issue_addv(WfIssues *issues, const char *path, const char *hint, const char *fmt, va_list args)
{
	StringInfoData message;
	WfIssue    *issue;

	if (issues->n++ >= MAX_ISSUES)
		return;

	initStringInfo(&message);
	for (;;)
	{
		va_list		again;
		int			needed;

		va_copy(again, args);
		needed = appendStringInfoVA(&message, fmt, again);
		va_end(again);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}

	if (issues->n > issues->allocated)
	{
		issues->allocated = Max(8, issues->allocated * 2);
		if (issues->items)
			issues->items = repalloc(issues->items, issues->allocated * sizeof(WfIssue));
		else
			issues->items = palloc(issues->allocated * sizeof(WfIssue));
	}
	issue = &issues->items[issues->n - 1];
	issue->path = pstrdup(path);
	issue->message = message.data;
	issue->hint = pstrdup(hint ? hint : default_hint(path, issue->message));
}

void
wf_issue_add(WfIssues *issues, const char *path, const char *hint, const char *fmt, ...)
{
	va_list		args;

	va_start(args, fmt);
	wf_issue_addv(issues, path, hint, fmt, args);
	va_end(args);
}

static bool
is_not_yet(const WfIssue *issue)
{
	size_t		len = strlen(issue->message);
	size_t		tail = strlen(not_yet);

	return len >= tail && strcmp(issue->message + len - tail, not_yet) == 0;
}

static bool
same_hint(const WfIssues *issues, int i, int j)
{
	const char *a = issues->items[i].hint;
	const char *b = issues->items[j].hint;

	return a && b && strcmp(a, b) == 0;
}

/*
 * The hint of the i-th, behind the places of all faults that have the same one; nothing if one before it has it. Of a
 * single fault everybody knows where it is.
 */
static void
append_hint(StringInfo out, const WfIssues *issues, int kept, int i)
{
	const char *last = NULL;
	int			places = 0;

	for (int j = 0; j < i; j++)
	{
		if (same_hint(issues, i, j))
			return;
	}
	if (out->len > 0)
		appendStringInfoChar(out, '\n');
	for (int j = i; issues->n > 1 && j < kept; j++)
	{
		const char *path = issues->items[j].path;

		if (!same_hint(issues, i, j) || (last && strcmp(path, last) == 0))
			continue;
		last = path;
		if (places++ < MAX_PLACES)
			appendStringInfo(out, "%s%s", places > 1 ? ", " : "", path);
	}
	if (places > MAX_PLACES)
		appendStringInfo(out, " and %d more", places - MAX_PLACES);
	appendStringInfo(out, "%s%s", places > 0 ? ": " : "", issues->items[i].hint);
}

void
wf_issues_report(const char *process, const WfIssues *issues)
{
	StringInfoData detail;
	StringInfoData hint;
	int			kept = Min(issues->n, MAX_ISSUES);
	bool		all_not_yet = kept > 0;

	initStringInfo(&detail);
	initStringInfo(&hint);
	for (int i = 0; i < kept; i++)
	{
		const WfIssue *issue = &issues->items[i];

		appendStringInfo(&detail, "%s%s: %s", i > 0 ? "\n" : "", issue->path, issue->message);
		if (issue->hint)
			append_hint(&hint, issues, kept, i);
		all_not_yet = all_not_yet && is_not_yet(issue);
	}
	if (issues->n > kept)
		appendStringInfo(&detail, "\nand %d more", issues->n - kept);

	ereport(ERROR,
			(errcode(all_not_yet ? ERRCODE_FEATURE_NOT_SUPPORTED : ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_plural("definition of process \"%s\" has %d fault",
						   "definition of process \"%s\" has %d faults",
						   issues->n, wf_issue_clip(process), issues->n),
			 errdetail_internal("%s", detail.data),
			 hint.len > 0 ? errhint("%s", hint.data) : 0));
	pg_unreachable();
}

static const char *
clip(const char *text, int limit)
{
	int			len = strlen(text);

	if (len <= limit)
		return text;
	return psprintf("%.*s...", pg_mbcliplen(text, len, limit), text);
}

const char *
wf_issue_clip(const char *text)
{
	return clip(text, CLIP_BYTES);
}

const char *
wf_issue_clip_reason(const char *text)
{
	return clip(text, CLIP_REASON_BYTES);
}

const char *
wf_issue_name_at(const void *names, int i)
{
	return ((const char *const *) names)[i];
}

/* How far apart two names are; INT_MAX: too far to be a slip of the pen. */
static int
distance(const char *wrong, const char *name)
{
	int			wrong_len = strlen(wrong);
	int			name_len = strlen(name);
	int			limit = Max(1, Min(wrong_len, name_len) / 3);
	int			steps;

	if (pg_strcasecmp(wrong, name) == 0)
		return 0;
	if (wrong_len == 0 || name_len == 0 || wrong_len > CLIP_BYTES || name_len > CLIP_BYTES)
		return INT_MAX;
	steps = varstr_levenshtein_less_equal(wrong, wrong_len, name, name_len, 1, 1, 1, limit, true);
	if (steps > limit || steps >= Max(wrong_len, name_len))
		return INT_MAX;
	return steps;
}

int
wf_issue_nearest(const char *wrong, const void *names, int n, WfNameAt name_at)
{
	int			best = -1;
	int			best_distance = INT_MAX;

	for (int i = 0; i < n; i++)
	{
		const char *name = name_at(names, i);
		int			d;

		if (name == NULL)
			continue;
		d = distance(wrong, name);
		if (d < best_distance)
		{
			best = i;
			best_distance = d;
		}
	}
	return best;
}

const char *
wf_issue_perhaps(const char *meant, const char *wrong)
{
	return psprintf("Perhaps you meant \"%s\" instead of \"%s\".", wf_issue_clip(meant), wf_issue_clip(wrong));
}
