/*
 * agenda.h
 *		What is still to be done in a batch.
 *
 * An operation changes one visit, and pushes what follows from that; none calls another. wf_agenda_run takes them up one
 * after the other, until there are none. So nobody's end depends on who called whom, and a token goes on as long as it can
 * without a stack that grows.
 */
#ifndef WF_AGENDA_H
#define WF_AGENDA_H

#include "engine/state.h"

typedef enum WfOperationKind
{
	WF_ENTER,	  /* a token has come: begin, unless something is against it. Of `caught`, what its handler has caught */
	WF_BEGIN,	  /* it is its turn, whatever was against it */
	WF_OPEN,	  /* its action, if any, is done: wait for its event, or leave */
	WF_HAPPEN,	  /* the event that was accepted, a callback or a clock, ends it */
	WF_LEAVE,	  /* it has succeeded, as far as it is known: on to where its route leads */
	WF_FAIL,	  /* a bad `outcome`, with `error`: to its handler, or it becomes an incident */
	WF_INTERRUPT, /* it is to end early, with `outcome` and `error`, after asking the outside to stop */
	WF_CONCLUDE,  /* that has been done, or given up */
	WF_CLOSE,	  /* its instance is to end, with `reason` and `error`: all that lives in it is interrupted */
} WfOperationKind;

typedef struct WfOperation
{
	WfOperationKind kind;
	WfVisit    *visit;	  /* but of WF_CLOSE */
	WfInstance *instance;
	WfOutcome	outcome;
	Jsonb	   *error;
	const char *reason;
} WfOperation;

extern void wf_push(WfBatch *batch, WfVisit *visit, WfOperationKind kind);
extern void wf_push_fail(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
/* SYSTEM_ERROR with this fault, copied. */
extern void wf_push_fault(WfBatch *batch, WfVisit *visit, const WfFault *fault);
extern void wf_push_interrupt(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
extern void wf_push_close(WfBatch *batch, WfInstance *instance, const char *reason, Jsonb *error);

/* Do all that is to be done in an instance, and what follows from it; then see whether it has ended. */
extern void wf_agenda_run(WfBatch *batch, WfInstance *instance);

#endif
