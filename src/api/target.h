/*
 * target.h
 *		Find and lock the instance that a caller names, or the visit, by its serial number.
 */
#ifndef WF_TARGET_H
#define WF_TARGET_H

#include "postgres.h"

#include "api/arguments.h"
#include "store/batch.h"
#include "store/privilege.h"

typedef struct WfTarget
{
	WfBatch	   *batch;
	WfInstance *instance; /* locked; NULL: the instance has ended */
	WfVisit	   *visit;	  /* NULL: the visit has ended */
	int			process_id;
	bool		by_task; /* the caller may have its task, or might once: whether he has a privilege was not asked */
} WfTarget;

/*
 * Check that `role` has one of the two privileges (the same twice means that one), begin a batch,
 * wait for the lock, and load. To be called inside wf_store_enter.
 *
 * ERROR 42704 for what never existed or is no longer in the history, and for a role without any
 * privilege on its process; 42501 for a role that has another one.
 */
extern void wf_target_instance(WfTarget *target, int64 instance, Oid role, WfPrivilege privilege, WfPrivilege other);
extern void wf_target_visit(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege,
							WfPrivilege other);
/* The same of a visit that may have a task: of whoever has the privilege, and of whoever may have that task. */
extern void wf_target_task(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege);
/* The same for workflow.claim, for which no privilege helps: ERROR 42501 says so to a role that has one, but for admin. */
extern void				wf_target_claim(WfTarget *target, const WfSerial *serial, Oid role);
pg_noreturn extern void wf_target_refuse_claim(const WfSerial *serial, Oid role);
/*
 * Only check the rights, without a lock: for a call that is carried out later. An instance may be one that an operation is still
 * to start. `claims`: for workflow.claim. Rights and errors as above.
 */
extern void wf_target_instance_later(WfTarget *target, int64 instance, Oid role, WfPrivilege privilege,
									 WfPrivilege other);
/* The process of such an instance if `role` has any right there, else 0: nothing is said of what there is. */
extern int	wf_target_process_later(int64 instance, Oid role);
extern void wf_target_task_later(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege,
								 bool claims);
/* Load the visit without a lock, just to look at it. Rights and errors as above. */
extern void wf_target_look(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege);
/*
 * Lock and load the visit for a caller whose right is a token. Returns false where the others throw
 * 42704.
 */
extern bool wf_target_find_visit(WfTarget *target, const WfSerial *serial);

/* The number of the step with that name. ERROR 42704 if there is none. */
extern int wf_target_step(const WfProcess *process, const char *name);

/* A hint that names the step which is meant by a name that no step has; NULL: none is like it. */
extern const char *wf_target_perhaps_step(const WfDefinition *def, const char *name);

#endif
