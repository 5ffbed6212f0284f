/*
 * grant.c
 *		Who may do what: workflow.grant_process, workflow.revoke_process, and what views show to whom.
 *
 * A privilege is stored with OID and name of its holder; which of them counts is wf_role_resolve's to say.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "api/arguments.h"
#include "store/access.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/query.h"

#define PUBLIC_NAME "public"

static WfQuery q_holders = {
	.sql = "SELECT grantee, grantee_name FROM workflow_data.process_privilege "
		   "WHERE process_id = $1 AND privilege = $2",
	.nargs = 2, .argtypes = {INT4OID, TEXTOID}};
static WfQuery q_grant = {
	.sql = "INSERT INTO workflow_data.process_privilege (process_id, grantee, grantee_name, privilege) "
		   "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
	.nargs = 4, .argtypes = {INT4OID, OIDOID, NAMEOID, TEXTOID}};
static WfQuery q_revoke = {
	.sql = "DELETE FROM workflow_data.process_privilege "
		   "WHERE process_id = $1 AND privilege = $2 AND grantee = $3",
	.nargs = 3, .argtypes = {INT4OID, TEXTOID, OIDOID}};
static WfQuery q_all_holders = {
	.sql = "SELECT process_id, owner, owner_name, true FROM workflow_data.process "
		   "UNION ALL "
		   "SELECT process_id, grantee, grantee_name, false FROM workflow_data.process_privilege "
		   "WHERE privilege = $1 OR privilege = 'admin' ORDER BY 1",
	.nargs = 1, .argtypes = {TEXTOID}};
static WfQuery q_all_processes = {.sql = "SELECT process_id FROM workflow_data.process ORDER BY 1"};

PG_FUNCTION_INFO_V1(workflow_grant_process);
PG_FUNCTION_INFO_V1(workflow_revoke_process);
PG_FUNCTION_INFO_V1(workflow_my_processes);
PG_FUNCTION_INFO_V1(workflow_role_name);

/* ---- grant and revoke ---- */

typedef struct Grant
{
	char	   *process;
	int			process_id;
	const char *role;
	Oid			grantee; /* InvalidOid: PUBLIC */
	WfPrivilege privilege;
} Grant;

static WfPrivilege
read_privilege(const char *name)
{
	WfPrivilege privilege;

	if (!wf_privilege_parse(name, &privilege))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("unrecognized process privilege: \"%s\"", name),
				errhint("It is one of start, complete, view, admin."));
	return privilege;
}

static void
read_arguments(FunctionCallInfo fcinfo, Grant *grant)
{
	grant->process = wf_argument_text_required(fcinfo, 0, "process");
	wf_argument_require(fcinfo, 1, "role");
	grant->role = NameStr(*PG_GETARG_NAME(1));
	grant->grantee = InvalidOid;
	if (strcmp(grant->role, PUBLIC_NAME) != 0)
		grant->grantee = get_role_oid(grant->role, false);
	grant->privilege = read_privilege(wf_argument_text_required(fcinfo, 2, "privilege"));
}

/* Inside wf_store_enter. */
static void
require_admin(Grant *grant, Oid caller)
{
	grant->process_id = wf_process_id(grant->process);
	if (grant->process_id == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("process \"%s\" does not exist", grant->process));
	wf_privilege_require(grant->process_id, caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
}

/* OIDs of the rows that give this privilege to this very role. */
static List *
rows_of(const Grant *grant)
{
	Datum		values[2] = {Int32GetDatum(grant->process_id),
		CStringGetTextDatum(wf_privilege_name(grant->privilege))};
	uint64		n = wf_query_run(&q_holders, values, NULL);
	SPITupleTable *table = SPI_tuptable;
	List	   *rows = NIL;
	bool		isnull;

	for (uint64 i = 0; i < n; i++)
	{
		Oid			oid = DatumGetObjectId(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		Name		name = DatumGetName(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));

		if (OidIsValid(oid) == OidIsValid(grant->grantee) &&
			(!OidIsValid(oid) || wf_role_resolve(oid, NameStr(*name)) == grant->grantee))
			rows = lappend_oid(rows, oid);
	}
	SPI_freetuptable(table);
	return rows;
}

static bool
insert_grant(const Grant *grant)
{
	NameData	name;
	Datum		values[4];

	namestrcpy(&name, grant->role);
	values[0] = Int32GetDatum(grant->process_id);
	values[1] = ObjectIdGetDatum(grant->grantee);
	values[2] = NameGetDatum(&name);
	values[3] = CStringGetTextDatum(wf_privilege_name(grant->privilege));
	return wf_query_run(&q_grant, values, NULL) > 0;
}

static void
delete_grant(const Grant *grant, Oid grantee)
{
	Datum		values[3] = {Int32GetDatum(grant->process_id),
		CStringGetTextDatum(wf_privilege_name(grant->privilege)), ObjectIdGetDatum(grantee)};

	wf_query_run(&q_revoke, values, NULL);
}

/*
 * workflow.grant_process(process text, role name, privilege text) → boolean: false, with a NOTICE, if it had it
 *
 * Errors: 42704 unknown process or role, 22023 unknown privilege, 42501 without admin.
 */
Datum
workflow_grant_process(PG_FUNCTION_ARGS)
{
	WfAccess	access;
	Grant		grant;
	bool		granted;

	PreventCommandIfReadOnly("workflow.grant_process()");
	read_arguments(fcinfo, &grant);
	wf_store_enter(&access);
	require_admin(&grant, access.caller);
	granted = rows_of(&grant) == NIL && insert_grant(&grant);
	if (!granted)
		ereport(NOTICE, errmsg("role \"%s\" has the privilege \"%s\" on process \"%s\" already",
							   grant.role, wf_privilege_name(grant.privilege), grant.process));
	wf_store_leave(&access);
	PG_RETURN_BOOL(granted);
}

/*
 * workflow.revoke_process(process text, role name, privilege text) → boolean: false, with a NOTICE, if it was not granted
 *
 * Errors: as for grant_process.
 */
Datum
workflow_revoke_process(PG_FUNCTION_ARGS)
{
	WfAccess	access;
	Grant		grant;
	List	   *rows;
	ListCell   *lc;
	bool		revoked;

	PreventCommandIfReadOnly("workflow.revoke_process()");
	read_arguments(fcinfo, &grant);
	wf_store_enter(&access);
	require_admin(&grant, access.caller);
	rows = rows_of(&grant);
	revoked = rows != NIL;
	foreach (lc, rows)
		delete_grant(&grant, lfirst_oid(lc));
	if (!revoked)
		ereport(NOTICE, errmsg("role \"%s\" was not granted the privilege \"%s\" on process \"%s\"",
							   grant.role, wf_privilege_name(grant.privilege), grant.process));
	wf_store_leave(&access);
	PG_RETURN_BOOL(revoked);
}

/* ---- what views show ---- */

/* Does what is in this row of q_all_holders belong to `role`? */
static bool
holds(SPITupleTable *table, uint64 row, Oid role)
{
	bool		isnull;
	HeapTuple	tuple = table->vals[row];
	Oid			oid = DatumGetObjectId(SPI_getbinval(tuple, table->tupdesc, 2, &isnull));
	Name		name = DatumGetName(SPI_getbinval(tuple, table->tupdesc, 3, &isnull));
	bool		is_owner = DatumGetBool(SPI_getbinval(tuple, table->tupdesc, 4, &isnull));

	if (!OidIsValid(oid))
		return !is_owner; /* PUBLIC */
	oid = wf_role_resolve(oid, NameStr(*name));
	return OidIsValid(oid) && has_privs_of_role(role, oid);
}

/* Numbers of processes, ascending, each once. */
static int
my_processes(Oid role, const char *privilege, Datum **processes)
{
	bool		all = superuser_arg(role);
	Datum		values[1] = {CStringGetTextDatum(privilege)};
	uint64		rows = wf_query_run(all ? &q_all_processes : &q_all_holders, values, NULL);
	SPITupleTable *table = SPI_tuptable;
	Datum	   *mine = palloc(sizeof(Datum) * Max(rows, 1));
	int			n = 0;
	bool		isnull;

	for (uint64 i = 0; i < rows; i++)
	{
		Datum		process = SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull);

		if ((n == 0 || mine[n - 1] != process) && (all || holds(table, i, role)))
			mine[n++] = process;
	}
	*processes = mine;
	return n;
}

/*
 * workflow_data.my_processes(privilege text) → integer[]: the processes on which the caller has it
 *
 * Each view evaluates it once for a query.
 */
Datum
workflow_my_processes(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	WfAccess	access;
	char	   *privilege = wf_argument_text_required(fcinfo, 0, "privilege");
	Datum	   *processes;
	ArrayType  *result;
	int			n;

	(void) read_privilege(privilege);
	wf_store_enter(&access);
	n = my_processes(access.caller, privilege, &processes);
	old = MemoryContextSwitchTo(context);
	result = construct_array(processes, n, INT4OID, sizeof(int32), true, TYPALIGN_INT);
	MemoryContextSwitchTo(old);
	wf_store_leave(&access);
	PG_RETURN_ARRAYTYPE_P(result);
}

/* workflow_data.role_name(role oid, name name) → name: what a stored role is called now; as stored if it is gone */
Datum
workflow_role_name(PG_FUNCTION_ARGS)
{
	WfAccess	access;
	Name		result = palloc(sizeof(NameData));
	Name		stored = PG_GETARG_NAME(1);
	char	   *current = NULL;
	Oid			role;

	wf_store_enter(&access);
	role = wf_role_resolve(PG_GETARG_OID(0), NameStr(*stored));
	if (OidIsValid(role))
		current = GetUserNameFromId(role, true);
	namestrcpy(result, current != NULL ? current : NameStr(*stored));
	wf_store_leave(&access);
	PG_RETURN_NAME(result);
}
