/*
 * send.h
 *		The action `send`: a step throws a message, a signal or an escalation.
 */
#ifndef WF_ENGINE_SEND_H
#define WF_ENGINE_SEND_H

#include "engine/agenda.h"

/* Is the step carried out by an executor, in a transaction of its own? It may have to wait for another sender. */
extern bool wf_send_by_executor(const WfStep *step);

/* Send what the step of the visit says; the answer is its reply. Returns false with *fault. */
extern bool wf_send(WfBatch *batch, WfVisit *visit, WfFault *fault);

#endif
