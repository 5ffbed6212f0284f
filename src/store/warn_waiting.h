/*
 * warn_waiting.h
 *		After how long a wait for a callback is told of.
 */
#ifndef WF_WARN_WAITING_H
#define WF_WARN_WAITING_H

#include "postgres.h"

#include "model/definition.h"
#include "store/due.h"

/* In milliseconds, as the step says, or its process, or else the setting; 0: never. NULL: a step that is not there. */
extern int64 wf_warn_after(const WfStep *step);

/*
 * workflow.warn_waiting has changed to `seconds` (0: never): set when to tell of what waits already and has no interval of its own, of the
 * next `limit` visits after *cursor, which moves on. What somebody has locked keeps its time. True if there may be more. Inside
 * wf_store_enter.
 */
extern bool wf_warn_anew(WfDueKey *cursor, int seconds, int limit);

#endif
