/*
 * answer.h
 *		The answer to an action: the reply, a pause before the next attempt, or the end.
 */
#ifndef WF_ANSWER_H
#define WF_ANSWER_H

#include "engine/action.h"
#include "engine/agenda.h"

/* Apply the answer to the action of a visit: go on, pause before the next attempt, or fail. */
extern void wf_answer_apply(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);
/* Its request could not be made, or its reply not be handled, and its end is known: note that as its attempt. */
extern void wf_answer_note_failed(WfBatch *batch, WfVisit *visit, const WfFault *fault);

/* Note as an attempt of the visit what a worker has done. */
extern void wf_answer_note(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);
/* Note the attempt that is under way, whose answer will not come: it is made again under the same number. */
extern void wf_answer_note_lost(WfBatch *batch, WfVisit *visit, TimestampTz started_at);
/* Is the fault one that is tried again, as far as `retry` says which are? */
extern bool wf_answer_is_retried(const WfRetry *retry, const WfFault *fault);
/* When to try again after so many failures. */
extern TimestampTz wf_answer_next_at(WfBatch *batch, WfVisit *visit, const WfRetry *retry, int failures);

/* Change the data by `save_reply` of the visit's step. Returns false with *fault if that fails. */
extern bool wf_answer_save(WfBatch *batch, WfVisit *visit, WfFault *fault);

/*
 * Keep the service's cookies in the instance, since its later calls must find the same node of the
 * service.
 */
extern void wf_answer_keep_cookies(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);

/* Does the author name that fault in `retry` or `catch`? */
extern bool wf_answer_is_named(const WfVisit *visit, const WfFault *fault);

#endif
