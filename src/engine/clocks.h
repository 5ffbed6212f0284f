/*
 * clocks.h
 *		When something happens: clocks of events, timeouts, heartbeats and handlers, worked out and written down in a visit.
 */
#ifndef WF_CLOCKS_H
#define WF_CLOCKS_H

#include "engine/variables.h"

/* from + duration, constant or made of data. False with *fault if that gives no time. */
extern bool wf_clock_after(WfVisit *visit, const WfDuration *duration, const WfScope *scope, TimestampTz from,
						   TimestampTz *at, WfFault *fault);
/* When the clocks strike that it waits for; *at: the first of them, 0: it waits for none. False with *fault. */
extern bool wf_clock_plan_wait(WfBatch *batch, WfVisit *visit, const WfScope *scope, TimestampTz *at, WfFault *fault);

/* When silence from now on is too long; 0: there is no heartbeat. False with *fault. */
extern bool wf_clock_silence(WfBatch *batch, WfVisit *visit, const WfScope *scope, TimestampTz *at, WfFault *fault);
/* The outside was heard of: silence counts anew. */
extern void wf_clock_listen(WfBatch *batch, WfVisit *visit);

/* The entry of the first of them; at the same time the one listed first. */
extern int	wf_clock_first_of_wait(const WfVisit *visit);

/* Work out when the handlers of clocks begin. False with *fault. */
extern bool wf_clock_plan_handlers(WfBatch *batch, WfVisit *visit, WfFault *fault);
/* The entry of the handler that is the next to begin, if its time is not after `until`; -1: there is none. */
extern int	wf_clock_next_handler(const WfVisit *visit, TimestampTz until);
/* That one begins: its time is gone. */
extern void wf_clock_begin_handler(WfVisit *visit, int entry);

#endif
