/*
 * issue.h
 *		Help for those who word issues: quoting what a user wrote, guessing what was meant.
 */
#ifndef WF_ISSUE_H
#define WF_ISSUE_H

#include "postgres.h"

#include "model/definition.h"

/*
 * Add one; strings are copied. `step`: the name of the step that it is in, or NULL. Without a hint it gets that of `key`,
 * the key of a definition that it is about, or NULL.
 */
extern void wf_issue_add(WfIssues *issues, const char *path, const char *step, const char *key, const char *hint,
						 const char *fmt, va_list args) pg_attribute_printf(6, 0);

/* Where it is, for people: '$.steps[2].retry.max (step "charge")'. */
extern const char *wf_issue_place(const WfIssue *issue);

/* How many of them are kept. */
extern int	wf_issues_kept(const WfIssues *issues);

/* Are there so many that more are only counted? Then there is no use in working out hints. */
extern bool wf_issues_full(const WfIssues *issues);

/* `text` fit for a message: cut at 64 bytes. */
extern const char *wf_issue_clip(const char *text);

/* Longer, for what PostgreSQL says about it. */
extern const char *wf_issue_clip_reason(const char *text);

/* The i-th of the names to choose from; NULL entries are skipped. */
typedef const char *(*WfNameAt) (const void *names, int i);

/* The index of the name most like `wrong`, or -1 if none is near. */
extern int	wf_issue_nearest(const char *wrong, const void *names, int n, WfNameAt name_at);

/* For arrays of strings. */
extern const char *wf_issue_name_at(const void *names, int i);

/* 'Perhaps you meant "b" instead of "a".' */
extern const char *wf_issue_perhaps(const char *meant, const char *wrong);

#endif
