/*
 * meant.h
 *		Which event of a visit workflow.complete and workflow.fail mean.
 */
#ifndef WF_MEANT_H
#define WF_MEANT_H

#include "api/completion.h"
#include "store/task.h"

typedef enum WfMeantWhat
{
	WF_MEANT_CALLBACK, /* or nothing that is there: then the callback is refused */
	WF_MEANT_TASK,
	WF_MEANT_NOTHING, /* there is only a task, and it is not the caller's */
} WfMeantWhat;

typedef struct WfMeant
{
	WfMeantWhat what;
	WfTaskRow  *task; /* NULL: the visit has none, or it was not looked for */
} WfMeant;

/*
 * Who has a task means that, and so does who may have it while nobody has. Else who may complete the visit means the callback, if it
 * takes one. An administrator means the callback before the task. To be called inside wf_store_enter, with the visit locked and
 * loaded.
 */
extern WfMeant wf_meant(const WfTarget *target, const WfSerial *serial, const WfCompletion *completion, Oid role);

/* ERROR 42501 for somebody else's task. */
pg_noreturn extern void wf_meant_refuse(const WfMeant *meant, const WfSerial *serial);

#endif
