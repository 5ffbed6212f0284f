/*
 * handler.h
 *		Handlers by events: `catch` entries that begin by a clock, a callback, a message, a signal, a
 *		condition or an escalation, while the visit lives.
 */
#ifndef WF_HANDLER_H
#define WF_HANDLER_H

#include "engine/agenda.h"

/*
 * Begin a handler: a new token enters its step, or the visit is interrupted first. `event`, as $event, must live
 * as long as the batch. The token makes at least `steps` steps without a wait. Returns false with *fault if it cannot
 * enter.
 */
extern bool wf_handler_try(WfBatch *batch, WfVisit *visit, int entry, Jsonb *event, int steps, WfFault *fault);
/* The same, for a visit that has begun: it fails with the fault. */
extern void wf_handler_begin(WfBatch *batch, WfVisit *visit, int entry, Jsonb *event, int steps);
/* The same of an escalation: the handler is that of a scope around the visit, which is its $caught. */
extern void wf_handler_escalate(WfBatch *batch, WfVisit *visit, WfVisit *scope, const WfEntry *handler, Jsonb *event);
/* The interrupted visit has come to its end: the handler's token takes its place. */
extern void wf_handler_take_over(WfBatch *batch, WfVisit *visit);

#endif
