/*
 * privilege.h
 *		Who may do what with a process.
 */
#ifndef WF_PRIVILEGE_H
#define WF_PRIVILEGE_H

#include "postgres.h"

typedef enum WfPrivilege
{
	WF_PRIVILEGE_START,
	WF_PRIVILEGE_COMPLETE,
	WF_PRIVILEGE_VIEW,
	WF_PRIVILEGE_ADMIN
} WfPrivilege;

extern const char *wf_privilege_name(WfPrivilege privilege);
extern bool wf_privilege_parse(const char *name, WfPrivilege *privilege);

/*
 * The role that a stored (OID, name) stands for, or InvalidOid. In the database the rows belong to the OID counts, so
 * that a renamed role keeps what it has; in a copy only the name does, since there the OID may be somebody else's.
 */
extern Oid	wf_role_resolve(Oid oid, const char *name);

/* Inside wf_store_enter. Superusers, the owner and members of it have all; admin implies the others. */
extern bool wf_privilege_has(int process_id, Oid role, WfPrivilege privilege);

/* The privilege complete for visits of one step: on the process, or on that step alone. */
extern bool wf_privilege_has_step(int process_id, Oid role, const char *step);
/* Has anybody a privilege on one of its steps? Cheaper than to find out whose visit it is about. */
extern bool wf_privilege_by_step(int process_id);

/* ERROR 42501 unless `role` has one of the two (give the same twice for one). */
extern void wf_privilege_require(int process_id, Oid role, WfPrivilege privilege, WfPrivilege other);

/*
 * The same for what is named by a number: false if `role` has no privilege at all on the process. Whoever is a stranger to it is
 * told what he is told of numbers that were never issued.
 */
extern bool wf_privilege_admits(int process_id, Oid role, WfPrivilege privilege, WfPrivilege other);
/* Has he any, be it on one step? */
extern bool wf_privilege_has_any(int process_id, Oid role);

/* The owner of a process, or InvalidOid if the role is gone. */
extern Oid	wf_process_owner(int process_id);

#endif
