/*
 * handler.h
 *		Handlers with times: `catch` entries that begin after a while, or at a time, while the visit
 *		lives.
 */
#ifndef WF_HANDLER_H
#define WF_HANDLER_H

#include "engine/agenda.h"

/* Begin a handler: a new token enters its step, or the visit is interrupted first. */
extern void wf_handler_begin(WfBatch *batch, WfVisit *visit, int entry);
/* The interrupted visit has come to its end: the handler's token takes its place. */
extern void wf_handler_take_over(WfBatch *batch, WfVisit *visit);

#endif
