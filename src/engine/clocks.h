/*
 * clocks.h
 *		When something happens to a visit: the times of events, timeouts, heartbeats and handlers,
 *		computed and stored in the visit.
 */
#ifndef WF_CLOCKS_H
#define WF_CLOCKS_H

#include "engine/variables.h"

/* The time that a text means: a time, or an interval from then on. Returns false with *fault if it is neither. */
extern bool wf_clock_due(WfVisit *visit, const char *text, TimestampTz from, TimestampTz *at, WfFault *fault);

/*
 * Compute `from` + duration, which may be constant or made of data. Returns false with *fault if
 * that gives no time.
 */
extern bool wf_clock_after(WfVisit *visit, const WfDuration *duration, const WfVariables *variables, TimestampTz from,
						   TimestampTz *at, WfFault *fault);
/*
 * Compute the times for which the visit waits, those of open entries; *at is the first of them, 0: it waits for
 * none. Returns false with *fault if one gives no time.
 */
extern bool wf_clock_plan_wait(WfBatch *batch, WfVisit *visit, const WfVariables *variables, const bool *open,
							   TimestampTz *at, WfFault *fault);

/*
 * Compute the heartbeat deadline, counted from now; 0 if the step has no heartbeat. Returns false
 * with *fault.
 */
extern bool wf_clock_heartbeat_deadline(WfBatch *batch, WfVisit *visit, const WfVariables *variables, TimestampTz *at,
										WfFault *fault);
/* A heartbeat came: set the heartbeat deadline anew. */
extern void wf_clock_listen(WfBatch *batch, WfVisit *visit);

/* The entry whose time comes first; of those with the same time, the one that is listed first. */
extern int wf_clock_first_of_wait(const WfVisit *visit);

/* Compute when the handlers with times begin. Returns false with *fault. */
extern bool wf_clock_plan_handlers(WfBatch *batch, WfVisit *visit, WfFault *fault);
/* The same of one entry that has a time, of whatever kind; `times` are those of all entries of the step. */
extern bool wf_clock_plan_entry(WfVisit *visit, int entry, const WfVariables *variables, TimestampTz from,
								TimestampTz *times, WfFault *fault);
/* The place of the last beat of a repeating entry among these times. */
extern int wf_clock_last_beat(const WfStep *step, int entry);
/* The times of entries have changed: find the next of the handlers that have not begun yet. */
extern void wf_clock_look_ahead(WfVisit *visit);
/* The entry of the handler that begins next, if its time is not after `until`; else -1. */
extern int wf_clock_next_handler(const WfVisit *visit, TimestampTz until);
/* Remove the time of a handler, which begins now. */
extern void wf_clock_begin_handler(WfVisit *visit, int entry);
/*
 * The same of one that repeats: set its next time, if it begins once more. Returns false with *fault if that
 * cannot be computed.
 */
extern bool wf_clock_beat(WfBatch *batch, WfVisit *visit, int entry, WfFault *fault);

#endif
