/*
 * suspend.h
 *		Suspending an instance, and resuming it.
 */
#ifndef WF_SUSPEND_H
#define WF_SUSPEND_H

#include "engine/state.h"

/* Suspend or resume all visits of an instance, which are loaded if need be. */
extern void wf_suspend(WfBatch *batch, WfInstance *instance);
extern void wf_resume(WfBatch *batch, WfInstance *instance);

#endif
