/*
 * issue.c
 *		The issues of a definition: collecting them, and reporting all of them in one error.
 *
 * Strings of an issue are copied into the CurrentMemoryContext of the moment when it is added.
 */
#include "compat.h"

#include <limits.h>

#include "common/string.h"
#include "common/unicode_norm.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/varlena.h"

#include "model/issue.h"

#define MAX_ISSUES		  100
#define MAX_PLACES		  3 /* places that one hint names at most */
#define CLIP_BYTES		  64
#define MAX_GUESSED_CHARS 64 /* longer names are not compared */
#define CLIP_REASON_BYTES 240

static const char not_yet[] = "not supported yet";

bool
wf_issues_full(const WfIssues *issues)
{
	return issues->n >= MAX_ISSUES;
}

/* Hints about what the keys of a definition take, for faults that have no hint of their own. */
static const struct
{
	const char *key;
	const char *hint;
} takes[] = {
	{"step", "A step has a name of its own, a string of 1 to 200 bytes."},
	{"next", "It is the name of a step, or a list of them; without it the following step is next."},
	{"start", "It is the name of a step; without it the first one listed is entered first."},
	{"sql",
	 "One statement; its parameters are visit.data, visit.serial_number, visit.instance, visit.business_key, visit.step, visit.attempt, visit.item and visit.index."},
	{"when", "A jsonpath predicate, such as \"$.amount > 100\"."},
	{"success", "A jsonpath predicate, such as \"$result.response.status == \\\"OK\\\"\"."},
	{"choose", "Branches {\"when\": predicate, \"next\": step}; the last one may be without \"when\"."},
	{"max", "How often it is tried again: 3 makes four attempts at most."},
	{"timeout", "An interval of zero or more, such as \"30 s\" or \"2 days\"."},
	{"heartbeat", "An interval of more than zero, such as \"10 minutes\"."},
	{"warn_waiting", "An interval, such as \"2 days\", after which a wait is told of; \"0\": never."},
	{"channel", "A channel for LISTEN, of 1 to 63 bytes."},
	{"payload", "A text of less than 8000 bytes."},
	{"body", "One of body, text, form, multipart and bytes, or none."},
	{"text", "One of body, text, form, multipart and bytes, or none."},
	{"form", "One of body, text, form, multipart and bytes, or none: {field: text}."},
	{"multipart",
	 "One of body, text, form, multipart and bytes, or none: {field: text}, or with files {field: {\"bytes\": base64, \"filename\": text}}."},
	{"bytes", "One of body, text, form, multipart and bytes, or none: text in base64."},
	{"headers", "{name: text}, each on one line."},
	{"data", "An object: defaults, under the data given at start."},
	{"set", "{field: template}"},
	{"save", "{field: template}, or true for all of $result.response."},
	{"save_reply", "{field: template}"},
	{"catch", "Entries {\"on\": outcomes or codes, \"next\": step}, or with an event in place of \"on\"."},
	{"on", "An outcome, an error code, a list of them, or \"*\"."},
	{"end", "true, \"scope\", {\"error\": code, \"message\": text} or {\"abort\": reason}."},
	{"error", "A code, 1 to 200 characters, which callers see."},
	{"wait",
	 "true, or an event: {\"callback\": true}, {\"after\": interval}, {\"until\": timestamp}, {\"message\": name, \"key\": text}, {\"signal\": name} or {\"condition\": predicate}."},
	{"first_of", "Events with \"next\": [{\"message\": name, \"next\": step}, {\"after\": interval, \"next\": step}]."},
	{"condition", "A jsonpath predicate over the data, such as \"$.approvals >= 2\"."},
	{"send", "{\"message\": name, \"key\": text, \"data\": template}, {\"signal\": name} or {\"escalation\": code}."},
	{"call", "{\"process\": name, \"data\": {field: template}}, with \"version\" and \"business_key\" if need be."},
	{"start_on",
	 "[{\"message\": name, \"key\": constant, \"business_key\": template, \"step\": name}]; all but \"message\" may be left out."},
	{"steps", "An array of steps, each an object: {\"step\": name, ...}."},
	{"else", "It is the name of a step, or a list of them."},
	{"local", "{field: template}, fields that the steps of the sub-process see as data."},
	{"http", "{\"server\": name, \"path\": text, \"body\": template} and the like."},
	{"notify", "{\"channel\": text, \"payload\": template}"},
	{"query", "{name: text}"},
	{"retry", "{\"max\": number, \"delay\": interval} and the like."},
	{"cancel", "{\"path\": text, \"method\": text} and the like."}};

static const char *
default_hint(const char *key, const char *message)
{
	if (strstr(message, not_yet) != NULL)
		return "docs/reference.md lists the limits of this version.";
	for (int i = 0; key != NULL && i < lengthof(takes); i++)
		if (strcmp(takes[i].key, key) == 0)
			return takes[i].hint;
	return "docs/steps.md says what each key takes.";
}

static WfIssue *
new_issue(WfIssues *issues)
{
	if (issues->n++ >= MAX_ISSUES)
		return NULL;
	if (issues->n > issues->allocated)
	{
		issues->allocated = Max(8, issues->allocated * 2);
		if (issues->items)
			issues->items = repalloc(issues->items, issues->allocated * sizeof(WfIssue));
		else
			issues->items = palloc(issues->allocated * sizeof(WfIssue));
	}
	return &issues->items[issues->n - 1];
}

void
wf_issue_add(WfIssues *issues, const char *path, int line, const char *step, const char *key, const char *hint,
			 const char *fmt, va_list args)
{
	WfIssue		  *issue = new_issue(issues);
	StringInfoData message;

	if (issue == NULL)
		return;
	initStringInfo(&message);
	for (;;)
	{
		va_list again;
		int		needed;

		va_copy(again, args);
		needed = appendStringInfoVA(&message, fmt, again);
		va_end(again);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	issue->path = pstrdup(path);
	issue->line = line;
	issue->step = step != NULL ? pstrdup(step) : NULL;
	issue->message = message.data;
	issue->hint = pstrdup(hint ? hint : default_hint(key, issue->message));
}

const char *
wf_issue_place(const WfIssue *issue)
{
	if (issue->step == NULL)
		return issue->path;
	return psprintf("%s (step \"%s\")", issue->path, wf_issue_clip(issue->step));
}

int
wf_issues_kept(const WfIssues *issues)
{
	return Min(issues->n, MAX_ISSUES);
}

static bool
is_not_yet(const WfIssue *issue)
{
	size_t len = strlen(issue->message);
	size_t tail = strlen(not_yet);

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
 * Append the hint of the i-th issue, behind the places of all issues that have the same one;
 * nothing if an earlier issue has it. If there is only one issue, no place is needed.
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
		const char *path = wf_issue_place(&issues->items[j]);

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

/* Make the detail, with a line for each issue, and the hint, with a line for each different one. */
static void
put_together(const WfIssues *issues, StringInfo detail, StringInfo hint)
{
	int kept = wf_issues_kept(issues);

	initStringInfo(detail);
	initStringInfo(hint);
	for (int i = 0; i < kept; i++)
	{
		appendStringInfo(detail, "%s%s: %s", i > 0 ? "\n" : "", wf_issue_place(&issues->items[i]),
						 issues->items[i].message);
		append_hint(hint, issues, kept, i);
	}
	if (issues->n > kept)
		appendStringInfo(detail, "\nand %d more", issues->n - kept);
}

void
wf_issues_report(const char *process, const WfIssues *issues)
{
	StringInfoData detail;
	StringInfoData hint;
	bool		   all_not_yet = issues->n > 0;

	put_together(issues, &detail, &hint);
	for (int i = 0; i < wf_issues_kept(issues); i++)
		all_not_yet = all_not_yet && is_not_yet(&issues->items[i]);
	ereport(ERROR,
			(errcode(all_not_yet ? ERRCODE_FEATURE_NOT_SUPPORTED : ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_plural("definition of process \"%s\" has %d fault", "definition of process \"%s\" has %d faults",
						   issues->n, wf_issue_clip(process), issues->n),
			 errdetail_internal("%s", detail.data), errhint("%s", hint.data)));
	pg_unreachable();
}

void
wf_issues_notice(const char *process, const WfIssues *warnings)
{
	StringInfoData detail;
	StringInfoData hint;

	if (warnings->n == 0)
		return;
	put_together(warnings, &detail, &hint);
	ereport(NOTICE, (errmsg_plural("definition of process \"%s\" has %d warning",
								   "definition of process \"%s\" has %d warnings", warnings->n, wf_issue_clip(process),
								   warnings->n),
					 errdetail_internal("%s", detail.data), errhint("%s", hint.data)));
}

static const char *
clip_message(const char *text, int limit)
{
	int len = strlen(text);

	if (len <= limit)
		return text;
	return psprintf("%.*s...", pg_mbcliplen(text, len, limit), text);
}

const char *
wf_issue_clip(const char *text)
{
	return clip_message(text, CLIP_BYTES);
}

const char *
wf_issue_clip_reason(const char *text)
{
	return clip_message(text, CLIP_REASON_BYTES);
}

const char *
wf_issue_name_at(const void *names, int i)
{
	return ((const char *const *) names)[i];
}

/* ---- what was meant ---- */

/* The text in normal form C, or NULL if it has none of its own: ASCII, or another encoding. */
static pg_wchar *
normalized(const char *text)
{
	int		  len = strlen(text);
	pg_wchar *wide;

	if (GetDatabaseEncoding() != PG_UTF8 || pg_is_ascii(text))
		return NULL;
	wide = palloc((len + 1) * sizeof(pg_wchar));
	(void) pg_mb2wchar_with_len(text, wide, len);
	return unicode_normalize(UNICODE_NFC, wide);
}

/* Are these two different spellings of one name, such as with an accent that stands alone? */
static bool
looks_same(const pg_wchar *wide, const char *name)
{
	const pg_wchar *other = wide != NULL ? normalized(name) : NULL;

	if (other == NULL)
		return false;
	while (*wide != 0 && *wide == *other)
	{
		wide++;
		other++;
	}
	return *wide == *other;
}

/* Do the two names differ only by two neighbouring characters that have changed places? */
static bool
is_swap(const char *wrong, const char *name)
{
	int first;
	int second;

	while (*wrong && pg_mblen(wrong) == pg_mblen(name) && strncmp(wrong, name, pg_mblen(wrong)) == 0)
	{
		name += pg_mblen(wrong);
		wrong += pg_mblen(wrong);
	}
	if (*wrong == '\0' || wrong[pg_mblen(wrong)] == '\0')
		return false;
	first = pg_mblen(wrong);
	second = pg_mblen(wrong + first);
	return strncmp(wrong + first, name, second) == 0 && strncmp(wrong, name + second, first) == 0 &&
		   strcmp(wrong + first + second, name + second + first) == 0;
}

/*
 * How far apart two names are, in characters; INT_MAX: too far for a slip of the pen. `wide` is
 * what is wrong in its normal form, or NULL.
 */
static int
distance(const char *wrong, const pg_wchar *wide, const char *name)
{
	int wrong_chars = pg_mbstrlen(wrong);
	int name_chars = pg_mbstrlen(name);
	int limit = Max(1, Min(wrong_chars, name_chars) / 3);
	int steps;

	if (pg_strcasecmp(wrong, name) == 0 || looks_same(wide, name))
		return 0;
	if (wrong_chars == 0 || name_chars == 0 || wrong_chars > MAX_GUESSED_CHARS || name_chars > MAX_GUESSED_CHARS)
		return INT_MAX;
	if (is_swap(wrong, name))
		return 1;
	steps = varstr_levenshtein_less_equal(wrong, strlen(wrong), name, strlen(name), 1, 1, 1, limit, true);
	if (steps > limit || steps >= Max(wrong_chars, name_chars))
		return INT_MAX;
	return steps;
}

int
wf_issue_nearest(const char *wrong, const void *names, int n, WfNameAt name_at)
{
	const pg_wchar *wide = normalized(wrong);
	int				best = -1;
	int				best_distance = INT_MAX;

	for (int i = 0; i < n; i++)
	{
		const char *name = name_at(names, i);
		int			d;

		if (name == NULL)
			continue;
		d = distance(wrong, wide, name);
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
	if (looks_same(normalized(wrong), meant))
		return psprintf("\"%s\" looks the same and is another sequence of characters: write both in one normal form.",
						wf_issue_clip(meant));
	return psprintf("Perhaps you meant \"%s\" instead of \"%s\".", wf_issue_clip(meant), wf_issue_clip(wrong));
}
