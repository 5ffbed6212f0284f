/*
 * warn_waiting.h
 *		After how long a wait for a callback is warned of.
 */
#ifndef WF_WARN_WAITING_H
#define WF_WARN_WAITING_H

#include "postgres.h"

#include "model/definition.h"
#include "store/due.h"

/*
 * The milliseconds after which a wait at this step is warned of, as the step says, or its process,
 * or else the setting; 0: never. `step` may be NULL, if the version does not have it.
 */
extern int64 wf_warn_after(const WfStep *step);

/*
 * After workflow.warn_waiting has changed to `seconds` (0: never), set the warning times of waits
 * that have no interval of their own: of the next `limit` visits after *cursor, which moves on.
 * Instances that are locked keep their times. Returns true if there may be more. To be called
 * inside wf_store_enter.
 */
extern bool wf_warn_anew(WfDueKey *cursor, int seconds, int limit);

#endif
