/*
 * grant.c
 *		Who may do what: workflow.grant_process, workflow.revoke_process, and what views show to
 *		whom.
 *
 * A privilege is stored with OID and name of its holder; wf_role_resolve decides which of them
 * counts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "api/arguments.h"
#include "api/target.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/identity.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/query.h"
#include "store/version.h"

#define PUBLIC_NAME "public"

static WfQuery q_roles = {.sql = "SELECT r.oid FROM pg_roles r"};
static WfQuery q_holders = {
	.sql = "SELECT grantee, grantee_name, step FROM workflow_data.process_privilege "
		   "WHERE process_id = $1 AND privilege = $2",
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID},
};
static WfQuery q_grant = {
	.sql = "INSERT INTO workflow_data.process_privilege (process_id, grantee, grantee_name, privilege, step) "
		   "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
	.nargs = 5,
	.argtypes = {INT4OID, OIDOID, NAMEOID, TEXTOID, TEXTOID},
};
static WfQuery q_revoke = {
	.sql = "DELETE FROM workflow_data.process_privilege "
		   "WHERE process_id = $1 AND privilege = $2 AND grantee = $3 AND step = $4",
	.nargs = 4,
	.argtypes = {INT4OID, TEXTOID, OIDOID, TEXTOID},
};
static WfQuery q_all_holders = {
	.sql = "SELECT process_id, owner, owner_name, true FROM workflow_data.process "
		   "UNION ALL "
		   "SELECT process_id, grantee, grantee_name, false FROM workflow_data.process_privilege "
		   "WHERE (privilege = $1 OR privilege = $2 OR privilege = 'admin') AND (step = '' OR $3) ORDER BY 1",
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, BOOLOID},
};
static WfQuery q_step_holders = {
	.sql = "SELECT process_id, grantee, grantee_name, false, process_id || ' ' || step "
		   "FROM workflow_data.process_privilege WHERE step <> ''",
};
static WfQuery q_all_processes = {.sql = "SELECT process_id FROM workflow_data.process ORDER BY 1"};

WF_FUNCTION(workflow_grant_process);
WF_FUNCTION(workflow_revoke_process);
WF_FUNCTION(workflow_my_processes);
WF_FUNCTION(workflow_my_steps);
WF_FUNCTION(workflow_role_name);
WF_FUNCTION(workflow_my_roles);
WF_FUNCTION(workflow_has_role);

/* ---- grant and revoke ---- */

typedef struct Grant
{
	char	   *process;
	int			process_id;
	const char *role;
	Oid			grantee; /* InvalidOid: PUBLIC, or a role that is gone */
	bool		gone;	 /* the role does not exist any more */
	WfPrivilege privilege;
	const char *step; /* "": the whole process */
} Grant;

/* A row of process_privilege that matches a Grant. */
typedef struct Held
{
	Oid			grantee;
	const char *step;
} Held;

static WfPrivilege
read_privilege(const char *name)
{
	WfPrivilege privilege;

	if (!wf_privilege_parse(name, &privilege))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unrecognized process privilege: \"%s\"", name),
				errhint("It is one of start, complete, view, admin."));
	return privilege;
}

static void
read_grant_arguments(FunctionCallInfo fcinfo, Grant *grant, bool may_be_gone)
{
	grant->process = wf_argument_text_required(fcinfo, 0, "process");
	wf_argument_require(fcinfo, 1, "role");
	grant->role = NameStr(*PG_GETARG_NAME(1));
	grant->grantee = InvalidOid;
	grant->gone = false;
	if (strcmp(grant->role, PUBLIC_NAME) != 0)
	{
		grant->grantee = get_role_oid(grant->role, may_be_gone);
		grant->gone = !OidIsValid(grant->grantee);
	}
	grant->privilege = read_privilege(wf_argument_text_required(fcinfo, 2, "privilege"));
	grant->step = wf_argument_text(fcinfo, 3);
	if (grant->step == NULL)
		grant->step = "";
	else if (grant->step[0] == '\0')
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a step has a name that is not empty"),
				errhint("Leave \"step\" out for all of the process."));
	else if (grant->privilege != WF_PRIVILEGE_COMPLETE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the privilege \"%s\" is of the whole process", wf_privilege_name(grant->privilege)),
				errhint("Only \"complete\" can be given for a step."));
}

/* The text ", step \"…\"" for a message; empty if the whole process is meant. */
static const char *
at_step(const Grant *grant)
{
	return grant->step[0] != '\0' ? psprintf(", step \"%s\"", grant->step) : "";
}

static void
audit_grant(const Grant *grant, const char *call, Oid caller)
{
	wf_audit(&(WfAudit){.call = call,
						.caller = caller,
						.process_id = grant->process_id,
						.arguments = {WF_AUDIT_TEXT("role", grant->role),
									  WF_AUDIT_TEXT("privilege", wf_privilege_name(grant->privilege)),
									  WF_AUDIT_TEXT("step", grant->step[0] != '\0' ? grant->step : NULL)}});
}

/* Find the process and check that the caller administers it. To be called inside wf_store_enter. */
static void
require_admin(Grant *grant, Oid caller)
{
	grant->process_id = wf_process_id(grant->process);
	if (grant->process_id == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process \"%s\" does not exist", grant->process));
	wf_privilege_require(grant->process_id, caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
}

/*
 * Does a stored holder mean the role of this grant? If that role is gone, its stored name decides.
 */
static bool
is_grant_of(const Grant *grant, Oid oid, const char *name)
{
	Oid role;

	if (!OidIsValid(oid))
		return !OidIsValid(grant->grantee) && !grant->gone; /* PUBLIC */
	role = wf_role_resolve(oid, name);
	return OidIsValid(role) ? role == grant->grantee : strcmp(name, grant->role) == 0;
}

/* The rows that give this privilege to this very role, on the process or any of its steps. */
static List *
rows_of(const Grant *grant)
{
	Datum  values[2] = {Int32GetDatum(grant->process_id), CStringGetTextDatum(wf_privilege_name(grant->privilege))};
	uint64 n = wf_query_run(&q_holders, values, NULL);
	SPITupleTable *table = SPI_tuptable;
	List		  *rows = NIL;
	bool		   isnull;

	for (uint64 i = 0; i < n; i++)
	{
		Oid	 oid = DatumGetObjectId(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		Name name = DatumGetName(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));

		if (is_grant_of(grant, oid, NameStr(*name)))
		{
			Held *held = palloc(sizeof(Held));

			*held = (Held){oid, SPI_getvalue(table->vals[i], table->tupdesc, 3)};
			rows = lappend(rows, held);
		}
	}
	SPI_freetuptable(table);
	return rows;
}

/* Has the role this privilege already, on the step or on the whole process? */
static bool
is_privilege_granted(const Grant *grant)
{
	ListCell *lc;

	foreach (lc, rows_of(grant))
	{
		const Held *held = lfirst(lc);

		if (held->step[0] == '\0' || strcmp(held->step, grant->step) == 0)
			return true;
	}
	return false;
}

static bool
insert_grant(const Grant *grant)
{
	NameData name;
	Datum	 values[5];

	namestrcpy(&name, grant->role);
	values[0] = Int32GetDatum(grant->process_id);
	values[1] = ObjectIdGetDatum(grant->grantee);
	values[2] = NameGetDatum(&name);
	values[3] = CStringGetTextDatum(wf_privilege_name(grant->privilege));
	values[4] = CStringGetTextDatum(grant->step);
	return wf_query_run(&q_grant, values, NULL) > 0;
}

/* Revoke the privilege. Revoking it on the whole process revokes it on single steps as well. */
static bool
delete_grants(const Grant *grant)
{
	bool	  deleted = false;
	ListCell *lc;

	foreach (lc, rows_of(grant))
	{
		const Held *held = lfirst(lc);
		Datum values[4] = {Int32GetDatum(grant->process_id), CStringGetTextDatum(wf_privilege_name(grant->privilege)),
						   ObjectIdGetDatum(held->grantee), CStringGetTextDatum(held->step)};

		if (grant->step[0] == '\0' || strcmp(held->step, grant->step) == 0)
			deleted |= wf_query_run(&q_revoke, values, NULL) > 0;
	}
	return deleted;
}

/* Check that the latest version has the step, and that there is something to complete or to send to it. */
static void
check_step(const Grant *grant)
{
	const WfProcess *process = wf_process_by_name(grant->process, 0, NULL);
	const WfStep	*step = &process->def->steps[wf_target_step(process, grant->step)];

	/* what is sent to a step with "each" goes to its items, or to a handler of the whole */
	if (!wf_step_hears(step) && (step->each == NULL || !wf_step_hears(wf_step_of_item(process->def, step))))
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("step \"%s\" of process \"%s\" takes no callback, message or signal", grant->step, grant->process),
			errhint(
				"The privilege \"complete\" is for steps with \"wait\": true, or that wait for messages and signals or have handlers by them."));
}

/*
 * workflow.grant_process(process text, role name, privilege text, step text) → boolean: false, with
 * a NOTICE, if the role has it already
 *
 * A later version need not have the step. Errors: 42704 for an unknown process or role, or a step
 * that the latest version does not have; 22023 for an unknown privilege, one that cannot be
 * given for a step, or a step to which nobody can send anything; 42501 without admin.
 */
Datum
workflow_grant_process(PG_FUNCTION_ARGS)
{
	WfAccess access;
	Grant	 grant;
	bool	 granted;

	PreventCommandIfReadOnly("workflow.grant_process()");
	read_grant_arguments(fcinfo, &grant, false);
	wf_store_enter(&access);
	require_admin(&grant, access.caller);
	if (grant.step[0] != '\0')
		check_step(&grant);
	wf_identity_forget_lost();
	granted = !is_privilege_granted(&grant) && insert_grant(&grant);
	if (granted)
	{
		audit_grant(&grant, "grant_process", access.caller);
		wf_wakeup_message(1); /* the role may have kept messages for what it reaches now */
	}
	else
		ereport(NOTICE, errmsg("role \"%s\" has the privilege \"%s\" on process \"%s\"%s already", grant.role,
							   wf_privilege_name(grant.privilege), grant.process, at_step(&grant)));
	wf_store_leave(&access);
	PG_RETURN_BOOL(granted);
}

/*
 * workflow.revoke_process(process text, role name, privilege text, step text) → boolean: false,
 * with a NOTICE, if it was not granted
 *
 * Without a step, the privilege on single steps is revoked too. Errors: as for grant_process, but
 * the step need not exist.
 */
Datum
workflow_revoke_process(PG_FUNCTION_ARGS)
{
	WfAccess access;
	Grant	 grant;
	bool	 revoked;

	PreventCommandIfReadOnly("workflow.revoke_process()");
	read_grant_arguments(fcinfo, &grant, true);
	wf_store_enter(&access);
	require_admin(&grant, access.caller);
	revoked = delete_grants(&grant);
	if (!revoked && grant.gone)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", grant.role));
	if (revoked)
		audit_grant(&grant, "revoke_process", access.caller);
	else
		ereport(NOTICE, errmsg("role \"%s\" was not granted the privilege \"%s\" on process \"%s\"%s", grant.role,
							   wf_privilege_name(grant.privilege), grant.process, at_step(&grant)));
	wf_store_leave(&access);
	PG_RETURN_BOOL(revoked);
}

/* ---- what views show ---- */

/* Is the stored holder in this row of q_all_holders a role whose rights `role` has? */
static bool
holds(SPITupleTable *table, uint64 row, Oid role)
{
	bool	  isnull;
	HeapTuple tuple = table->vals[row];
	Oid		  oid = DatumGetObjectId(SPI_getbinval(tuple, table->tupdesc, 2, &isnull));
	Name	  name = DatumGetName(SPI_getbinval(tuple, table->tupdesc, 3, &isnull));
	bool	  is_owner = DatumGetBool(SPI_getbinval(tuple, table->tupdesc, 4, &isnull));

	if (!OidIsValid(oid))
		return !is_owner; /* PUBLIC */
	oid = wf_role_resolve(oid, NameStr(*name));
	return OidIsValid(oid) && has_privs_of_role(role, oid);
}

/*
 * Find the processes on which `role` has one of the privileges: their numbers, ascending, each
 * once.
 */
static int
my_processes(Oid role, const char *privilege, const char *other, bool of_steps, Datum **processes)
{
	bool		   all = superuser_arg(role);
	Datum		   values[3] = {CStringGetTextDatum(privilege), CStringGetTextDatum(other), BoolGetDatum(of_steps)};
	uint64		   rows = wf_query_run(all ? &q_all_processes : &q_all_holders, values, NULL);
	SPITupleTable *table = SPI_tuptable;
	Datum		  *mine = palloc(sizeof(Datum) * (rows + 1));
	int			   n = 0;
	bool		   isnull;

	if (all)
		mine[n++] = Int32GetDatum(0); /* 0 stands for records that are about no process */
	for (uint64 i = 0; i < rows; i++)
	{
		Datum process = SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull);

		if ((n == 0 || mine[n - 1] != process) && (all || holds(table, i, role)))
			mine[n++] = process;
	}
	*processes = mine;
	return n;
}

/*
 * workflow_data.my_processes(privilege text, other text, of_steps boolean) → integer[]
 *
 * The processes on which the caller has one of the two privileges; with of_steps, also those where
 * he has it on a step. Views call it once for each query.
 */
Datum
workflow_my_processes(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	WfAccess	  access;
	char		 *privilege = wf_argument_text_required(fcinfo, 0, "privilege");
	char		 *other = wf_argument_text(fcinfo, 1);
	bool		  of_steps = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	Datum		 *processes;
	ArrayType	 *result;
	int			  n;

	other = other != NULL ? other : privilege;
	(void) read_privilege(privilege);
	(void) read_privilege(other);
	wf_store_enter(&access);
	n = my_processes(access.caller, privilege, other, of_steps, &processes);
	old = MemoryContextSwitchTo(context);
	result = construct_array(processes, n, INT4OID, sizeof(int32), true, TYPALIGN_INT);
	MemoryContextSwitchTo(old);
	wf_store_leave(&access);
	PG_RETURN_ARRAYTYPE_P(result);
}

/*
 * workflow_data.my_steps() → text[]: the steps that the caller may complete because of a privilege
 * on the step alone
 */
Datum
workflow_my_steps(PG_FUNCTION_ARGS)
{
	MemoryContext	 context = CurrentMemoryContext;
	MemoryContext	 old;
	WfAccess		 access;
	SPITupleTable	*table;
	ArrayBuildState *steps;
	Datum			 result;
	uint64			 n;

	wf_store_enter(&access);
	n = wf_query_run(&q_step_holders, NULL, NULL);
	table = SPI_tuptable;
	steps = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	for (uint64 i = 0; i < n; i++)
	{
		bool isnull;

		if (holds(table, i, access.caller))
			steps = accumArrayResult(steps, SPI_getbinval(table->vals[i], table->tupdesc, 5, &isnull), false, TEXTOID,
									 CurrentMemoryContext);
	}
	old = MemoryContextSwitchTo(context);
	result = makeArrayResult(steps, context);
	MemoryContextSwitchTo(old);
	wf_store_leave(&access);
	return result;
}

/* Superusers have the rights of all roles, but do not see the tasks of all among their own. */
static bool
is_mine(Oid caller, Oid role)
{
	return superuser_arg(caller) ? is_member_of_role_nosuper(caller, role) : has_privs_of_role(caller, role);
}

/*
 * workflow_data.my_roles() → oid[]: the roles whose tasks are the caller's; none in a copy
 */
Datum
workflow_my_roles(PG_FUNCTION_ARGS)
{
	MemoryContext	 context = CurrentMemoryContext;
	MemoryContext	 old;
	WfAccess		 access;
	ArrayBuildState *roles;
	Datum			 result;
	uint64			 n;
	bool			 isnull;

	wf_store_enter(&access);
	roles = initArrayResult(OIDOID, CurrentMemoryContext, false);
	n = wf_identity_check() == WF_IDENTITY_COPY ? 0 : wf_query_run(&q_roles, NULL, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		Datum role = wf_result(i, 1, &isnull);

		if (is_mine(access.caller, DatumGetObjectId(role)))
			roles = accumArrayResult(roles, role, false, OIDOID, CurrentMemoryContext);
	}
	old = MemoryContextSwitchTo(context);
	result = makeArrayResult(roles, context);
	MemoryContextSwitchTo(old);
	wf_store_leave(&access);
	return result;
}

/*
 * workflow_data.has_role(role oid, name name) → boolean: has the caller the rights of a stored
 * role? OID 0 is PUBLIC.
 */
Datum
workflow_has_role(PG_FUNCTION_ARGS)
{
	WfAccess access;
	Oid		 role = PG_GETARG_OID(0);
	bool	 has = !OidIsValid(role);

	wf_store_enter(&access);
	if (!has)
	{
		role = wf_role_resolve(role, NameStr(*PG_GETARG_NAME(1)));
		has = OidIsValid(role) && has_privs_of_role(access.caller, role);
	}
	wf_store_leave(&access);
	PG_RETURN_BOOL(has);
}

/*
 * workflow_data.role_name(role oid, name name) → name: the present name of a stored role; the
 * stored name if the role is gone
 */
Datum
workflow_role_name(PG_FUNCTION_ARGS)
{
	WfAccess access;
	Name	 result = palloc(sizeof(NameData));
	Name	 stored = PG_GETARG_NAME(1);
	char	*current = NULL;
	Oid		 role;

	wf_store_enter(&access);
	role = wf_role_resolve(PG_GETARG_OID(0), NameStr(*stored));
	if (OidIsValid(role))
		current = GetUserNameFromId(role, true);
	namestrcpy(result, current != NULL ? current : NameStr(*stored));
	wf_store_leave(&access);
	PG_RETURN_NAME(result);
}
