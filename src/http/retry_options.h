/*
 * retry_options.h
 *		The options retry_* of a server: `retry` of steps that have none, and whose definition has none.
 */
#ifndef WF_RETRY_OPTIONS_H
#define WF_RETRY_OPTIONS_H

#include "model/retry.h"

/* What they are before any is read. */
extern void wf_retry_options_init(WfRetry *retry);

extern bool wf_is_retry_option(const char *name);

/* Read one of them: NULL, or what is expected instead (to follow "expected"). What is allocated is in CurrentMemoryContext. */
extern const char *wf_retry_option(const char *name, const char *value, WfRetry *retry);

#endif
