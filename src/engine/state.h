/*
 * state.h
 *		The only place where a visit changes its state; and questions about it.
 */
#ifndef WF_STATE_H
#define WF_STATE_H

#include "engine/clocks.h"

/*
 * Changes of a visit's state and of what goes with it. state.c says what each means, and asserts
 * that it is a legal one.
 */
extern void	 wf_state_call(WfBatch *batch, WfVisit *visit, char *queue);
extern void	 wf_state_ready(WfBatch *batch, WfVisit *visit, char *queue);
extern void	 wf_state_pause(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern void	 wf_state_wait(WfBatch *batch, WfVisit *visit, WfWaitsFor waits_for, TimestampTz due_at);
extern void	 wf_state_stand(WfBatch *batch, WfVisit *visit, WfWaitsFor waits_for);
extern void	 wf_state_go_on(WfVisit *visit);
extern void	 wf_state_next_items(WfBatch *batch, WfVisit *visit, bool due);
extern void	 wf_state_warned(WfBatch *batch, WfVisit *visit);
extern void	 wf_state_accept(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error);
extern void	 wf_state_accept_event(WfBatch *batch, WfVisit *visit, int entry, Jsonb *event, const char *role);
extern void	 wf_state_keep_for_action(WfBatch *batch, WfVisit *visit);
extern void	 wf_state_strike(WfVisit *visit);
extern void	 wf_state_skip(WfBatch *batch, WfVisit *visit, Jsonb *data);
extern void	 wf_state_begin_again(WfVisit *visit);
extern void	 wf_state_keep_accepted(WfBatch *batch, WfVisit *visit);
extern void	 wf_state_postpone(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern void	 wf_state_hand_over(WfBatch *batch, WfVisit *visit);
extern char *wf_state_executor_queue(WfBatch *batch, const WfVisit *visit);
extern void	 wf_state_cancel(WfBatch *batch, WfVisit *visit, WfCancelPhase phase, char *queue, TimestampTz due_at);
extern void	 wf_state_set_suspended(WfBatch *batch, WfVisit *visit, bool suspended);
extern void	 wf_state_incident(WfBatch *batch, WfVisit *visit);
extern void	 wf_state_record_incident(WfBatch *batch, WfVisit *visit);
extern void	 wf_state_resolve_incident(WfBatch *batch, WfVisit *visit);
extern void	 wf_state_carry(WfBatch *batch, WfVisit *visit, WfWaitsFor waits_for, char *queue, TimestampTz due_at);
extern void	 wf_state_end(WfBatch *batch, WfVisit *visit);
extern void	 wf_state_absorb(WfVisit *visit);

/*
 * Does a scope around the visit end early, or its instance, so that nothing may begin here? Steps
 * with ignore_cancel may.
 */
extern bool wf_state_is_ending(const WfVisit *visit);
/* Has its step ignore_cancel, or that of a scope around it? */
extern bool wf_state_ignores_cancel(const WfVisit *visit);
/* Is the visit a scope: has its step `steps`, or `each`? */
extern bool wf_state_is_scope(const WfVisit *visit);
/* Is it the scope that contains the process, which has `timeout` or `catch`? */
extern bool wf_state_is_process(const WfVisit *visit);

/* Was an event accepted before the visit has done its action, which is to be done all the same? */
extern bool wf_state_acts_first(const WfVisit *visit);
/*
 * Does what was accepted wait for the action, so that its clocks go on? An event does until that is done, or has failed for
 * good; whatever is accepted does until the instance has ended that the visit has called.
 */
extern bool wf_state_awaits_action(const WfVisit *visit);
/* Is the end of the visit still open: nothing was accepted, and nothing interrupts it? */
extern bool wf_state_is_open(const WfVisit *visit);
/* Has the visit's deadline passed, before anything was accepted as its end, or else while that waits for the action? */
extern bool wf_state_is_over(const WfVisit *visit, TimestampTz now);
/*
 * May the dispatcher have the visit's request in flight, or an executor run its statement? They
 * alone know, so they end the visit.
 */
extern bool wf_state_may_be_in_flight(const WfVisit *visit);
/* Does the visit wait for the end of an instance that it has called, whether it was told to end or not? */
extern bool wf_state_awaits_child(const WfVisit *visit);
/*
 * Is a request to be made for the visit now: that of its action, or a cancel request? Or a statement
 * to be run? Neither is after a callback, unless the statement was begun before, and abandoned.
 */
extern bool wf_state_wants_request(const WfVisit *visit, TimestampTz now);
extern bool wf_state_wants_statement(const WfVisit *visit, TimestampTz now, bool was_begun);
/* Is the visit in that phase of being cancelled? And in one of those in which the cancel request is due or under way? */
extern bool wf_state_is_phase(const WfVisit *visit, WfCancelPhase phase);
extern bool wf_state_asks_to_stop(const WfVisit *visit);

#endif
