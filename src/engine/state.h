/*
 * state.h
 *		The one place where a visit changes its state; and questions about it.
 */
#ifndef WF_STATE_H
#define WF_STATE_H

#include "engine/clocks.h"

#define WF_WAITS_CALLBACK "callback"

extern void wf_state_call(WfBatch *batch, WfVisit *visit, char *queue);
extern void wf_state_ready(WfBatch *batch, WfVisit *visit, char *queue);
extern void wf_state_pause(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern void wf_state_wait(WfBatch *batch, WfVisit *visit, const char *waits_for, TimestampTz due_at);
extern void wf_state_warned(WfBatch *batch, WfVisit *visit);
extern void wf_state_completed_by(WfBatch *batch, WfVisit *visit);
extern void wf_state_keep_callback(WfBatch *batch, WfVisit *visit);
extern void wf_state_postpone(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern void wf_state_hand_over(WfBatch *batch, WfVisit *visit);
extern char *wf_state_executor_queue(WfBatch *batch, const WfVisit *visit);
extern void wf_state_cancel(WfBatch *batch, WfVisit *visit, const char *phase, char *queue,
							TimestampTz due_at);
extern void wf_state_hold(WfBatch *batch, WfVisit *visit, bool held);
extern void wf_state_incident(WfBatch *batch, WfVisit *visit);
extern void wf_state_put_on_record(WfBatch *batch, WfVisit *visit);
extern void wf_state_mend(WfBatch *batch, WfVisit *visit);
extern void wf_state_end(WfBatch *batch, WfVisit *visit);

/* The dispatcher may have its request in flight: it alone knows, so it ends the visit. */
extern bool wf_state_may_be_in_flight(const WfVisit *visit);
/* Is it in that phase of being cancelled? */
extern bool wf_state_is_phase(const WfVisit *visit, const char *phase);

#endif
