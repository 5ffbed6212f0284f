/*
 * interrupt.h
 *		Due times, answers and callbacks of a visit that is being cancelled.
 */
#ifndef WF_INTERRUPT_H
#define WF_INTERRUPT_H

#include "engine/action.h"
#include "engine/agenda.h"

/*
 * The visit is due: in phase `await` no request is in flight any more; in phase `confirm` no
 * callback came in time.
 */
extern void wf_interrupt_due(WfBatch *batch, WfVisit *visit);
/*
 * An answer came: to the action (phase `await`), or to the cancel request (`send`). A failed cancel
 * request does not change the outcome.
 */
extern void wf_interrupt_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);
/* The callback came that confirms the cancelling, or one that the service sent before. */
extern void wf_interrupt_callback(WfBatch *batch, WfVisit *visit);
/* Is the cancel request due, or in flight? */
extern bool wf_interrupt_is_sending_cancel(const WfVisit *visit);

#endif
