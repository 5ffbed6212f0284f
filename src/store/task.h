/*
 * task.h
 *		Tasks: what visits wait for that people do, and who may do it.
 *
 * Rows belong to whoever has locked the instance, as those of subscriptions do.
 */
#ifndef WF_TASK_H
#define WF_TASK_H

#include "store/subscription.h"

/* What a role is to a task. */
typedef enum WfTaskStanding
{
	WF_TASK_NONE,	   /* there is no such task */
	WF_TASK_STRANGER,  /* it is none of the role's business */
	WF_TASK_CANDIDATE, /* it could have it, but somebody else has */
	WF_TASK_HOLDER,	   /* it has it, or nobody has and it may */
} WfTaskStanding;

/* A namesake that was created since is somebody else. */
#define WF_TASK_HOLDER_GONE "Role \"%s\", which has it, was dropped."
#define WF_TASK_HOLDER_GONE_HINT \
	"Who may administer the process gives it away by workflow.reassign or workflow.unclaim."

/* A stored task, in CurrentMemoryContext. */
typedef struct WfTaskRow
{
	int			entry;
	Oid			assignee; /* who has it; InvalidOid: nobody has, or that role is gone */
	const char *holder;	  /* the name of that role, as it is stored; NULL: nobody has it */
	Oid			assigned; /* to whom it was assigned, who may have it as its roles may; InvalidOid: nobody */
	Oid		   *roles;
	int			nroles;
	char	   *person;		/* NULL: none was named */
	TimestampTz claimed_at; /* 0: it was not claimed */
} WfTaskRow;

/* Read the task of a visit; NULL: it has none. To be called inside wf_store_enter. */
extern WfTaskRow *wf_task_read(int64 instance, int64 visit);
/* What is `role` to it? NULL is no task. */
extern WfTaskStanding wf_task_standing(const WfTaskRow *task, Oid role);

/*
 * May the role have the task of the visit, or has it that? A role that once claimed it may ask what became of it, and is told so when
 * it is too late; of one that is over, so may whoever it was given to by workflow.reassign, or has done it.
 */
extern bool wf_task_admits(int64 instance, int64 visit, Oid role);

/*
 * Give a task to a role, and perhaps to a person in it, who claims it; or back to its roles, if it has any, else to whom it was assigned;
 * or assign it to a role. To be called with the instance locked.
 */
extern void wf_task_claim(int64 instance, int64 visit, Oid role, const char *person, TimestampTz now);
extern void wf_task_unclaim(int64 instance, int64 visit);
extern void wf_task_assign(int64 instance, int64 visit, Oid role, const char *person);

/* Write, for subscription.c: delete those of a list of WfUnsubscribed, then carry over or insert those of a list of WfSubscription. */
extern void wf_tasks_write(const List *gone, const List *subscribed);

#endif
