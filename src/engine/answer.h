/*
 * answer.h
 *		What an action answered: the reply, a pause before the next attempt, or the end.
 */
#ifndef WF_ANSWER_H
#define WF_ANSWER_H

#include "engine/action.h"
#include "engine/agenda.h"

extern void wf_answer_apply(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);

/* Change the data by `save_reply` of its step. False with *fault. */
extern bool wf_answer_save(WfBatch *batch, WfVisit *visit, WfFault *fault);

/* The service's cookies go with the instance: its later calls must find the same node. */
extern void wf_answer_keep_cookies(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);

/* Has the author named that fault in `retry` or `catch`? */
extern bool wf_answer_is_named(const WfVisit *visit, const WfFault *fault);

#endif
