/*
 * suspend.h
 *		An instance holds still, and goes on.
 */
#ifndef WF_SUSPEND_H
#define WF_SUSPEND_H

#include "engine/state.h"

extern void wf_suspend(WfBatch *batch, WfInstance *instance);
extern void wf_resume(WfBatch *batch, WfInstance *instance);

#endif
