/*
 * agenda.h
 *		What is still to be done in a batch.
 *
 * An operation changes one visit, and pushes the operations that follow from that; none calls
 * another. wf_agenda_run runs them one after the other, until there are none. So the outcome does
 * not depend on who called whom, and a token goes on as far as it can without growing the stack. An
 * operation on a visit that has ended does nothing.
 */
#ifndef WF_AGENDA_H
#define WF_AGENDA_H

#include "engine/state.h"

typedef enum WfOperationKind
{
	/*
	 * A token has entered the step: begin, unless something prevents it. Its `caught` tells what
	 * the handler has caught.
	 */
	WF_ENTER,
	/* The token has come into a join: it stands there, or ends in it. */
	WF_ARRIVE,
	/* Begin now, whatever prevented it at its entry. */
	WF_BEGIN,
	/* The action, if any, is done: wait for the event, or leave. */
	WF_OPEN,
	/* The accepted event ends the visit. */
	WF_HAPPEN,
	/* The visit has succeeded, as far as is known: go where its route leads. */
	WF_LEAVE,
	/* The visit has a bad `outcome`, with `error`: run its handler, or become an incident. */
	WF_FAIL,
	/* End the visit early, with `outcome` and `error`, after asking the service to stop. */
	WF_INTERRUPT,
	/* The service was asked to stop, or that was given up: finish the cancel. */
	WF_FINISH_CANCEL,
	/* The visit is a scope that ends early: interrupt what lives in it, or the next part of that. */
	WF_INTERRUPT_INSIDE,
	/* No token lives any more in the scope that the visit is: leave it, or finish its cancel. */
	WF_CONCLUDE,
	/* The visit goes through a list: begin as many of its items as may be. */
	WF_ITEMS,
	/* The joins of the scope that the visit is, or of the instance: do they go on? */
	WF_JUDGE,
	/*
	 * End the instance, with the status `ending`, `reason` and `error`: interrupt all visits that
	 * live in it.
	 */
	WF_CLOSE,
} WfOperationKind;

typedef struct WfOperation
{
	WfOperationKind kind;
	WfVisit		   *visit; /* NULL for WF_CLOSE, and for WF_JUDGE of the instance */
	WfInstance	   *instance;
	WfOutcome		outcome;
	WfStatus		ending;
	Jsonb		   *error;
	/*
	 * For WF_INTERRUPT: the entry whose handler goes on afterwards, from 1, or 0; its $caught, or NULL; the event
	 * by which it begins, or NULL.
	 */
	int			handler;
	Jsonb	   *caught;
	Jsonb	   *event;
	const char *reason;
} WfOperation;

/*
 * Push an operation on a visit, or with wf_push_close on an instance. Errors and reasons must live
 * as long as the batch.
 */
extern void wf_push(WfBatch *batch, WfVisit *visit, WfOperationKind kind);
extern void wf_push_fail(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
/* Push WF_FAIL with the outcome SYSTEM_ERROR and this fault, which is copied. */
extern void wf_push_fault(WfBatch *batch, WfVisit *visit, const WfFault *fault);
/*
 * The fault of a visit that may have called out, and whose action is not over: what it has called is asked to stop first, as by
 * any interruption.
 */
extern void wf_push_break(WfBatch *batch, WfVisit *visit, const WfFault *fault);
extern void wf_push_interrupt(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
/*
 * Interrupt for a handler of the visit, which goes on afterwards; `caught` NULL: it catches the visit
 * itself. `event`: by which it begins; NULL: it catches an outcome.
 */
extern void wf_push_handler(WfBatch *batch, WfVisit *visit, const WfEntry *handler, Jsonb *error, Jsonb *caught,
							Jsonb *event);
extern void wf_push_judge(WfBatch *batch, WfInstance *instance, WfVisit *scope);
extern void wf_push_close(WfBatch *batch, WfInstance *instance, WfStatus ending, const char *reason, Jsonb *error);

/*
 * Run all operations on an instance, and those that follow from them; then see whether the instance
 * has ended. What it has called begins after that.
 */
extern void wf_agenda_run(WfBatch *batch, WfInstance *instance);

#endif
