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

/*
 * The name of a privilege, as it is stored, and back; wf_privilege_parse returns false for an
 * unknown name.
 */
extern const char *wf_privilege_name(WfPrivilege privilege);
extern bool		   wf_privilege_parse(const char *name, WfPrivilege *privilege);

/*
 * The role that a stored (OID, name) means, or InvalidOid. In the database to which the rows
 * belong, the OID counts, so that a renamed role keeps what it has; in a copy only the name does,
 * since the OID may be that of another role.
 */
extern Oid wf_role_resolve(Oid oid, const char *name);

/*
 * Has `role` the privilege on the process? Superusers, the owner and its members have all; admin
 * implies the others. To be called inside wf_store_enter, as are all of the following.
 */
extern bool wf_privilege_has(int process_id, Oid role, WfPrivilege privilege);

/*
 * Has `role` the privilege complete for visits of this step: on the process, or on the step alone?
 */
extern bool wf_privilege_has_step(int process_id, Oid role, const char *step);
/*
 * Does any role have a privilege on a single step of the process? This is cheaper than finding out
 * the step of a visit.
 */
extern bool wf_privilege_by_step(int process_id);

/* ERROR 42501 unless `role` has one of the two privileges (the same twice means that one). */
extern void wf_privilege_require(int process_id, Oid role, WfPrivilege privilege, WfPrivilege other);

/*
 * Check a privilege on something that the caller names by a number. Returns false if `role` has no
 * privilege at all on the process: the caller must then get the error for numbers that were never
 * issued. ERROR 42501 if it has others than these two.
 */
extern bool wf_privilege_admits(int process_id, Oid role, WfPrivilege privilege, WfPrivilege other);
/* Has `role` any privilege on the process, or on one of its steps? */
extern bool wf_privilege_has_any(int process_id, Oid role);

/* May a message or a signal of `role` reach any process: has it complete or start on one, or complete on a step? */
extern bool wf_privilege_may_send(Oid role);

/* The owner of a process, or InvalidOid if that role is gone. */
extern Oid wf_process_owner(int process_id);

#endif
