/*
 * condition.h
 *		Conditions for which visits and their handlers wait.
 */
#ifndef WF_CONDITION_H
#define WF_CONDITION_H

#include "engine/agenda.h"

/*
 * The handlers of a visit begin to wait for their conditions. What holds already happens now; *interrupted:
 * it interrupts the visit. Returns false with *fault if a condition cannot be judged.
 */
extern bool wf_condition_open_handlers(WfBatch *batch, WfVisit *visit, bool *interrupted, WfFault *fault);

/*
 * Judge the conditions for which a visit is about to wait, those of open entries. The first one that holds is
 * accepted, and *happened set. Returns false with *fault if one cannot be judged.
 */
extern bool wf_condition_open_waits(WfBatch *batch, WfVisit *visit, const bool *open, bool *happened, WfFault *fault);
/* The visit waits for those that do not hold. */
extern void wf_condition_wait(WfBatch *batch, WfVisit *visit, const bool *open);

/*
 * Judge the conditions of an instance, if its data have changed since, up to the first one that happens. Returns true
 * if one has, or has ended its visit; it is to be called again then, once all has been done that follows from that.
 */
extern bool wf_condition_judge(WfBatch *batch, WfInstance *instance);

#endif
