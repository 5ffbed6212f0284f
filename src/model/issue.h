/*
 * issue.h
 *		Helpers for wording issues: quoting what a user wrote, guessing what was meant.
 */
#ifndef WF_ISSUE_H
#define WF_ISSUE_H

#include "postgres.h"

#include "model/definition.h"

/*
 * Add an issue; strings are copied. `line` is that of the text, `step` the name of the step in which it is, or NULL;
 * `key` the key of a definition that it is about, or NULL: an issue without a hint gets the hint of that
 * key.
 */
extern void wf_issue_add(WfIssues *issues, const char *path, int line, const char *step, const char *key,
						 const char *hint, const char *fmt, va_list args) pg_attribute_printf(7, 0);

/* The place of an issue, for people: '$.steps[2].retry.max (step "charge")'. */
extern const char *wf_issue_place(const WfIssue *issue);

/* How many of the issues are kept. */
extern int wf_issues_kept(const WfIssues *issues);

/* Are there so many that further ones are only counted? Then hints need not be computed. */
extern bool wf_issues_full(const WfIssues *issues);

/* `text` as it fits into a message: cut at 64 bytes. */
extern const char *wf_issue_clip(const char *text);

/* The same with a higher limit, for messages of PostgreSQL. */
extern const char *wf_issue_clip_reason(const char *text);

/* A function that gives the i-th of the names to choose from; NULL entries are skipped. */
typedef const char *(*WfNameAt)(const void *names, int i);

/* The index of the name most like `wrong`, or -1 if none is near. */
extern int wf_issue_nearest(const char *wrong, const void *names, int n, WfNameAt name_at);

/* A WfNameAt for arrays of strings. */
extern const char *wf_issue_name_at(const void *names, int i);

/* The text 'Perhaps you meant "b" instead of "a".' */
extern const char *wf_issue_perhaps(const char *meant, const char *wrong);

#endif
