/*
 * interrupt.h
 *		What comes from outside for a visit that is being cancelled.
 */
#ifndef WF_INTERRUPT_H
#define WF_INTERRUPT_H

#include "engine/action.h"
#include "engine/agenda.h"

/* A worker looks at it: nothing is in flight, or nothing has come. */
extern void wf_interrupt_due(WfBatch *batch, WfVisit *visit);
/* An answer came: to the action, or to the cancel request. A failed cancel request changes no outcome. */
extern void wf_interrupt_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);
/* The callback that confirms it, or one that was on its way. */
extern void wf_interrupt_callback(WfBatch *batch, WfVisit *visit);
/* Is the cancel request due, or under way? */
extern bool wf_interrupt_is_asking(const WfVisit *visit);

#endif
