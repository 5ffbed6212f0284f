/*
 * suspend.h
 *		Suspending an instance, and resuming it.
 */
#ifndef WF_SUSPEND_H
#define WF_SUSPEND_H

#include "engine/state.h"

/*
 * Suspend or resume all visits of an instance, which are loaded if need be. What they have called is told to be suspended, too;
 * whoever resumes them says what becomes of it: wf_resume_called lets it go on.
 */
extern void wf_suspend(WfBatch *batch, WfInstance *instance, bool with_caller);
extern void wf_resume(WfBatch *batch, WfInstance *instance);
extern void wf_resume_called(WfBatch *batch, WfInstance *instance);

#endif
