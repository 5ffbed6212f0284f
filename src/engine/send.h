/*
 * send.h
 *		The action `send`: a step throws a message, a signal or an escalation.
 */
#ifndef WF_ENGINE_SEND_H
#define WF_ENGINE_SEND_H

#include "engine/agenda.h"

/* Is the step carried out by an executor, in a transaction of its own? It may have to wait for another sender. */

/* Send what the step of the visit says; the answer is its reply. Returns false with *fault. */
extern bool wf_send(WfBatch *batch, WfVisit *visit, WfFault *fault);

/*
 * Bring an escalation to the nearest one that catches it: from `nearest` on outwards, else to the visit that has called the
 * instance. `visit` is that from which it comes, as the handler sees it. Returns what became of it, as $reply says it.
 */
extern const char *wf_send_escalate(WfBatch *batch, WfVisit *visit, WfVisit *nearest, const char *code, Jsonb *data,
									TimestampTz at);

#endif
