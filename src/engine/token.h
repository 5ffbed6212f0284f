/*
 * token.h
 *		Tokens come and go: functions that the operations share.
 */
#ifndef WF_ENGINE_TOKEN_H
#define WF_ENGINE_TOKEN_H

#include "engine/agenda.h"

/*
 * Let a token enter a step in a scope (NULL: directly in the instance), and push its begin. It comes
 * `from` a visit, or (NULL) from outside. `id` is the number of the new visit; 0: the next.
 */
extern WfVisit *wf_token_enter(WfBatch *batch, WfInstance *instance, WfVisit *scope, const WfVisit *from, int step,
							   Jsonb *caught, int64 id);

/*
 * Enter the first step of a new instance, or `step`. `id` is the number of the visit there, inside the process as a scope; 0: the
 * next. Returns the visit that was entered, which may be that scope.
 */
extern WfVisit *wf_token_start(WfBatch *batch, WfInstance *instance, const WfStep *step, int64 id);

/*
 * Has the scope room for the tokens of a handler that goes on from a visit? If not, the visit becomes an
 * incident, without running a handler of that.
 */
extern bool wf_token_has_room(WfBatch *batch, WfVisit *visit, const WfEntry *handler);

/* May a scope have so many tokens more? If not, wf_token_room returns false with *fault. */
extern bool wf_token_room(const WfVisit *visit, int more, WfFault *fault);

/* Were so many steps made in this transaction that what comes next is to have one of its own? */
extern bool wf_token_is_cut(const WfInstance *instance);
/* Were half as many made? Then nothing is begun that would come to the other half. */
extern bool wf_token_is_half_cut(const WfInstance *instance);
/* What comes next in the instance has a transaction of its own, whatever was done in this one. */
extern void wf_token_cut(WfInstance *instance);

/*
 * The visit begins: in the course of this move, when those have entered that come with it; or in a transaction of its own, where
 * a worker finds it in the queue. Messages and signals can happen to it from now on.
 */
extern void wf_token_begin(WfBatch *batch, WfVisit *visit);
extern void wf_token_defer(WfBatch *batch, WfVisit *visit, const char *queue);
/* The former, if its step and what is done in this transaction allow it, else the latter. */
extern void wf_token_begin_in_turn(WfBatch *batch, WfVisit *visit);

/* Let a token end that has come to a join where another one stands, or for which it is too late. */
extern void wf_token_absorb(WfBatch *batch, WfVisit *visit);

/* Let a token enter each of the steps to which the route or a handler of a visit leads. */
extern void wf_token_follow(WfBatch *batch, const WfVisit *from, const WfTargets *targets, Jsonb *caught);

/*
 * $result as it would be: {status, initial_response, callback_response, response, cancel_response,
 * error}, of some steps with `event`, in CurrentMemoryContext.
 */
extern Jsonb *wf_token_result(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
/*
 * The same for templates of the visit itself, once docs.result is set: with the reply, also if the step says that this is not
 * kept. It must get into no row.
 */
extern Jsonb *wf_token_result_at_hand(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);

/* End a visit. Its result is kept if it has one, else made in CurrentMemoryContext. */
extern void wf_token_end(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
/*
 * Make a visit an incident, until somebody resolves it. Its result is made in CurrentMemoryContext.
 */
extern void wf_token_become_incident(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);

/* The first entry of the step's `catch` for this outcome and error; NULL if there is none. */
extern const WfEntry *wf_token_catch(WfVisit *visit, WfOutcome outcome, Jsonb *error);

/*
 * An outcome that the step of the visit does not catch is looked for in the scopes around it, outwards. Returns
 * the first one that catches it, with its handler; NULL: none does. *ending: what is around ends early, and
 * has its own reason.
 */
extern WfVisit *wf_token_catch_around(WfVisit *visit, WfOutcome outcome, Jsonb *error, const WfEntry **handler,
									  bool *ending);
/*
 * Interrupt the scope that has caught what became of a visit inside, or (`event`) an escalation; the handler goes on after
 * that.
 */
extern void wf_token_caught(WfBatch *batch, WfVisit *scope, const WfEntry *handler, Jsonb *caught, Jsonb *event);

/* The error of a visit that ends because what is around it does. */
extern Jsonb *wf_token_ending_error(WfBatch *batch, const WfVisit *visit);

/*
 * End a visit as CANCELLED. Its handler runs, if `handled`, unless an operator has moved its token
 * elsewhere.
 */
extern void wf_token_cancelled(WfBatch *batch, WfVisit *visit, Jsonb *error, bool handled);

#endif
