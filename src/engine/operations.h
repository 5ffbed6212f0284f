/*
 * operations.h
 *		The operations, one file for each group of them. They push further operations; only the
 *		agenda calls them.
 */
#ifndef WF_OPERATIONS_H
#define WF_OPERATIONS_H

#include "engine/agenda.h"

/* begin.c */
extern void wf_op_enter(WfBatch *batch, WfVisit *visit);
extern void wf_op_begin(WfBatch *batch, WfVisit *visit);
/* wait.c */
extern void wf_op_open(WfBatch *batch, WfVisit *visit);
/* leave.c */
extern void wf_op_happen(WfBatch *batch, WfVisit *visit);
extern void wf_op_leave(WfBatch *batch, WfVisit *visit);
/* fail.c */
extern void wf_op_fail(WfBatch *batch, WfVisit *visit, WfOutcome outcome, Jsonb *error);
/* interrupt.c */
extern void wf_op_interrupt(WfBatch *batch, WfVisit *visit, const WfOperation *operation);
extern void wf_op_finish_cancel(WfBatch *batch, WfVisit *visit);
/* join.c */
extern void wf_op_arrive(WfBatch *batch, WfVisit *visit);
extern void wf_op_judge(WfBatch *batch, WfInstance *instance, WfVisit *scope);
/* conclude.c */
extern void wf_op_interrupt_inside(WfBatch *batch, WfVisit *visit);
extern void wf_op_conclude(WfBatch *batch, WfVisit *visit);
/* items.c */
extern void wf_op_items(WfBatch *batch, WfVisit *visit);
/* close.c */
extern void wf_op_close(WfBatch *batch, WfInstance *instance, WfStatus ending, const char *reason, Jsonb *error);

#endif
