/*
 * internal.h
 *		Between the files of engine/.
 *
 * A function that returns a WfVisit * returns the visit that the token went to and that still has to be begun, or NULL
 * if it rests or has ended; wf_move_on begins them one after the other.
 */
#ifndef WF_ENGINE_INTERNAL_H
#define WF_ENGINE_INTERNAL_H

#include "engine/engine.h"

#define WF_WAITS_CALLBACK "callback"

/* Error code of a visit whose token an operator has taken to another step. */
#define WF_CODE_MOVED "MOVED"

/* move.c: the path of a token */
extern WfVisit *wf_move_enter(WfBatch *batch, WfInstance *instance, int step, Jsonb *caught,
							  int64 id);
extern void wf_move_on(WfBatch *batch, WfInstance *instance, WfVisit *visit);
/* The queue of the server that a request of the visit goes to; NULL with *fault if there is none. */
extern char *wf_move_http_queue(WfBatch *batch, WfVisit *visit, const WfHttpAction *http,
								WfFault *fault);
extern WfVisit *wf_move_begin(WfBatch *batch, WfVisit *visit);
extern WfVisit *wf_move_take_up(WfBatch *batch, WfVisit *visit);
extern void wf_move_end_instance(WfBatch *batch, WfInstance *instance, WfStatus status,
								 Jsonb *error);

/* state.c: the one place where a visit changes its state */
extern void wf_state_call(WfBatch *batch, WfVisit *visit, char *queue);
extern void wf_state_ready(WfBatch *batch, WfVisit *visit, char *queue);
extern void wf_state_pause(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern void wf_state_wait(WfBatch *batch, WfVisit *visit, const char *waits_for, TimestampTz due_at);
extern void wf_state_warned(WfBatch *batch, WfVisit *visit);
extern void wf_state_completed_by(WfBatch *batch, WfVisit *visit);
extern void wf_state_keep_callback(WfBatch *batch, WfVisit *visit);
extern void wf_state_postpone(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern void wf_state_hand_over(WfBatch *batch, WfVisit *visit);
extern char *wf_state_executor_queue(WfBatch *batch, const WfVisit *visit);
extern void wf_state_cancel(WfBatch *batch, WfVisit *visit, const char *phase, char *queue,
							TimestampTz due_at);
extern void wf_state_hold(WfBatch *batch, WfVisit *visit, bool held);
extern void wf_state_incident(WfBatch *batch, WfVisit *visit);
extern void wf_state_put_on_record(WfBatch *batch, WfVisit *visit);
extern void wf_state_mend(WfBatch *batch, WfVisit *visit);
extern void wf_state_end(WfBatch *batch, WfVisit *visit);

/* outcome.c: how a visit ends */
extern WfVisit *wf_outcome_success(WfBatch *batch, WfVisit *visit);
extern WfVisit *wf_outcome_bad(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
extern WfVisit *wf_outcome_fault(WfBatch *batch, WfVisit *visit, const WfFault *fault);
extern void wf_outcome_stuck(WfBatch *batch, WfVisit *visit, const WfFault *fault);
extern WfVisit *wf_outcome_callback(WfBatch *batch, WfVisit *visit);
extern void wf_outcome_interrupt(WfVisit *visit);
extern WfVisit *wf_outcome_interrupted(WfBatch *batch, WfVisit *visit, int next);
extern Jsonb *wf_outcome_caught(WfVisit *visit);
extern char *wf_outcome_error_code(Jsonb *error); /* or NULL */
extern bool wf_clock_event(WfVisit *visit, const WfEvent *event, const WfScope *scope,
						   TimestampTz from, TimestampTz *at, WfFault *fault);
extern WfVisit *wf_outcome_cancelled(WfBatch *batch, WfVisit *visit, Jsonb *error, bool handled);

/* control.c */
extern Jsonb *wf_control_cancel_error(WfBatch *batch, const char *reason);
extern void wf_control_stop(WfBatch *batch, WfInstance *instance, const char *reason, Jsonb *error);

/* cancel.c: interrupting a visit */
extern WfVisit *wf_cancel_visit(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
extern WfVisit *wf_cancel_due(WfBatch *batch, WfVisit *visit);
extern WfVisit *wf_cancel_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);
extern bool wf_cancel_is_asking(const WfVisit *visit);
extern bool wf_cancel_has_asked(const WfVisit *visit);
extern WfVisit *wf_cancel_callback(WfBatch *batch, WfVisit *visit);

/* wait.c: events and clocks */
/* handler.c: handlers of clocks */
extern bool wf_handler_plan(WfBatch *batch, WfVisit *visit, WfFault *fault);
extern bool wf_handler_fire(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern WfVisit *wf_handler_take_over(WfBatch *batch, WfVisit *visit);

extern void wf_wait_listen(WfBatch *batch, WfVisit *visit);
extern WfVisit *wf_wait_open(WfBatch *batch, WfVisit *visit);

/* data */
extern bool wf_data_apply(WfBatch *batch, WfVisit *visit, const WfTemplate *changes,
						  const WfScope *scope, WfFault *fault);
/* Not larger than workflow.max_data? Else a fault, or an error. */
extern bool wf_data_fits(const Jsonb *data, WfFault *fault);
extern void wf_data_require_fit(const Jsonb *data);
extern void wf_data_replace(WfInstance *instance, Jsonb *data);

#endif
