/*
 * retry_options.h
 *		The options retry_* of a server: `retry` for steps that have none, and whose definition has
 *		none.
 */
#ifndef WF_RETRY_OPTIONS_H
#define WF_RETRY_OPTIONS_H

#include "model/retry.h"

/* Set the defaults of `retry`, before the options are read. */
extern void wf_retry_options_init(WfRetry *retry);

/* Is this the name of one of these options? */
extern bool wf_is_retry_option(const char *name);

/*
 * Read the option `name` into *retry, allocated in CurrentMemoryContext. Returns NULL, or what is
 * expected instead, a text to follow "expected".
 */
extern const char *wf_retry_option(const char *name, const char *value, WfRetry *retry);

#endif
