/*
 * token.h
 *		Tokens come and go: functions that the operations share.
 */
#ifndef WF_ENGINE_TOKEN_H
#define WF_ENGINE_TOKEN_H

#include "engine/agenda.h"

/*
 * Let a token enter a step, and push its begin. It comes `from` a visit, or (NULL) from outside.
 * `id` is the number of the new visit; 0: the next.
 */
extern WfVisit *wf_token_enter(WfBatch *batch, WfInstance *instance, const WfVisit *from, int step, Jsonb *caught,
							   int64 id);

/* Let a token enter each of the steps to which the route or a handler of a visit leads. */
extern void wf_token_follow(WfBatch *batch, const WfVisit *from, const WfTargets *targets, Jsonb *caught);

/*
 * $result as it would be: {status, initial_response, callback_response, response, cancel_response,
 * error}, in CurrentMemoryContext.
 */
extern Jsonb *wf_token_result(WfVisit *visit, WfOutcome outcome, Jsonb *error);

/* End a visit. Its result is kept if it has one, else made in CurrentMemoryContext. */
extern void wf_token_end(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
/*
 * Make a visit an incident, until somebody resolves it. Its result is made in CurrentMemoryContext.
 */
extern void wf_token_become_incident(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);

/* The first entry of the step's `catch` for this outcome and error; NULL if there is none. */
extern const WfEntry *wf_token_catch(WfVisit *visit, WfOutcome outcome, Jsonb *error);

/*
 * End a visit as CANCELLED. Its handler runs, if `handled`, unless an operator has moved its token
 * elsewhere.
 */
extern void wf_token_cancelled(WfBatch *batch, WfVisit *visit, Jsonb *error, bool handled);

#endif
