/*
 * handler.h
 *		Handlers of clocks: `catch` entries that begin after a while, or at a time, while the visit lives.
 */
#ifndef WF_HANDLER_H
#define WF_HANDLER_H

#include "engine/agenda.h"

/* One begins: its token is one more, or the visit is interrupted first. */
extern void wf_handler_begin(WfBatch *batch, WfVisit *visit, int entry);
/* The visit that it has interrupted has come to its end: its token takes the place of the visit's. */
extern void wf_handler_take_over(WfBatch *batch, WfVisit *visit);

#endif
