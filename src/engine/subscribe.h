/*
 * subscribe.h
 *		A visit begins to wait for messages and signals, and so do its handlers.
 */
#ifndef WF_SUBSCRIBE_H
#define WF_SUBSCRIBE_H

#include "engine/event.h"

/*
 * Make the subscriptions of the entries from `first` to before `end` that are messages or signals. Returns
 * false with *fault if a key cannot be worked out.
 */
extern bool wf_subscribe(WfBatch *batch, WfVisit *visit, int first, int end, WfFault *fault);

/* Work out the key of a message, in CurrentMemoryContext; NULL without a template. Returns false with *fault. */
extern bool wf_message_key(const WfTemplate *tmpl, const WfVariables *variables, const char **key, WfFault *fault);

/*
 * Work out what identifies a message, `what` says by what: the text of a scalar, in CurrentMemoryContext; *text is NULL
 * without a template. Returns false with *fault for anything else.
 */
extern bool wf_key_text(const WfTemplate *tmpl, const WfVariables *variables, const char *what, const char **text,
						WfFault *fault);

#endif
