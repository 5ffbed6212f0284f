/*
 * token.h
 *		Tokens come and go: what the operations share.
 */
#ifndef WF_ENGINE_TOKEN_H
#define WF_ENGINE_TOKEN_H

#include "engine/agenda.h"

/* A token enters a step: its visit, still to be begun. It comes `from` a visit, or (NULL) from outside; id 0: the next. */
extern WfVisit *wf_token_enter(WfBatch *batch, WfInstance *instance, const WfVisit *from, int step, Jsonb *caught, int64 id);

/* Where the route or a handler of a visit leads: a token enters each of the steps. */
extern void wf_token_follow(WfBatch *batch, const WfVisit *from, const WfTargets *targets, Jsonb *caught);

/* $result: {status, initial_response, callback_response, response, cancel_response, error} as it would be, in CurrentMemoryContext */
extern Jsonb *wf_token_result(WfVisit *visit, WfOutcome outcome, Jsonb *error);

/* It ends, in CurrentMemoryContext; with the result that it has already, if any. */
extern void wf_token_end(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
/* It stands until somebody mends it; likewise. */
extern void wf_token_stand(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);

/* The entry of its `catch` for that; NULL: none. */
extern const WfEntry *wf_token_catch(WfVisit *visit, WfOutcome outcome, Jsonb *error);

/* It ends CANCELLED; its handler goes on, if `handled`, unless an operator has taken its token elsewhere. */
extern void wf_token_cancelled(WfBatch *batch, WfVisit *visit, Jsonb *error, bool handled);

#endif
