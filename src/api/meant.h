/*
 * meant.h
 *		Which event of a visit workflow.complete and workflow.fail mean.
 */
#ifndef WF_MEANT_H
#define WF_MEANT_H

#include "api/completion.h"
#include "store/task.h"
#include "store/work.h"

typedef enum WfMeantWhat
{
	WF_MEANT_CALLBACK, /* or nothing that is there: then the callback is refused */
	WF_MEANT_TASK,
	WF_MEANT_WORK,
	WF_MEANT_LOCKED, /* there is only work, and somebody has it */
	WF_MEANT_LOST, /* the lock_token is none of now: somebody else has the work, or nobody has to do it any more; or the task is over */
	WF_MEANT_NOTHING, /* there is only a task, and it is not the caller's */
	WF_MEANT_BY_HAND, /* it is the incident of a task, which only an administrator completes */
} WfMeantWhat;

typedef struct WfMeant
{
	WfMeantWhat what;
	WfTaskRow  *task; /* NULL: the visit has none, or it was not looked for */
	WfWork		work; /* number 0: likewise */
} WfMeant;

/*
 * Who gives a lock_token means the work that he has fetched. Who has a task means that, and so does who may have it while nobody has. Else who may complete the visit means the callback, if it
 * takes one, and then the work, if nobody has it. An administrator means the callback before the task, and the task before the work. To be called inside wf_store_enter, with the visit locked and
 * loaded.
 */
extern WfMeant wf_meant(const WfTarget *target, const WfSerial *serial, const WfCompletion *completion, Oid role);

/* ERROR 42501 for somebody else's task, or the incident of one, 55000 for work that somebody has. */
pg_noreturn extern void wf_meant_refuse(const WfMeant *meant, const WfSerial *serial);

#endif
