/*
 * call.h
 *		The action `call`: an instance of another process begins, and the visit waits for its end.
 */
#ifndef WF_CALL_H
#define WF_CALL_H

#include "engine/agenda.h"
#include "store/notice.h"

/*
 * Make the instance that the step of the visit calls; it begins when nothing is left to be done in its caller. Returns
 * false with *fault if it cannot be started.
 */
extern bool wf_call_begin(WfBatch *batch, WfVisit *visit, WfFault *fault);

/*
 * Let the next one that was called in this batch begin, by pushing its operations; NULL: there is none. The more there
 * are, the less is done of each in this transaction.
 */
extern WfInstance *wf_call_next(WfBatch *batch);

/*
 * An instance has ended. If another has called it in this very batch, that is told at once: its operations are pushed,
 * and it is returned. A caller in another batch gets a notice. NULL: nothing is left to be done here.
 */
extern WfInstance *wf_call_return(WfBatch *batch, WfInstance *instance);

/* The instance that a visit has called has ended, or escalates: push what follows. Does nothing if nobody waits for that. */
extern void wf_call_ended(WfBatch *batch, WfVisit *visit, const WfEnded *ended);
extern void wf_call_escalated(WfBatch *batch, WfVisit *visit, const WfEscalation *escalation);

/*
 * The visit could not be told of the end of what it has called: it does not wait for that any more. Returns true if that
 * finishes its cancel; else it is ready, and whoever calls says what becomes of it.
 */
extern bool wf_call_give_up(WfBatch *batch, WfVisit *visit);

/* Tell the instance that a visit waits for to end, or to be suspended or resumed; does nothing if it waits for none. */
extern void wf_call_order(WfBatch *batch, const WfVisit *visit, WfOrder order);

#endif
