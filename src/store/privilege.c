/*
 * privilege.c
 *		Who may do what with a process.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "store/access.h"
#include "store/identity.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/query.h"

static const char *const names[] = {"start", "complete", "view", "admin"};

/* The query for the holders of a privilege; the owner comes first. */
#define HOLDERS(condition) \
	"SELECT owner, owner_name FROM workflow_data.process WHERE process_id = $1 " \
	"UNION ALL " \
	"SELECT grantee, grantee_name FROM workflow_data.process_privilege WHERE process_id = $1" condition
static WfQuery q_holders = {
	.sql = HOLDERS(" AND (privilege = $2 OR privilege = 'admin') AND step = ''"),
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID},
};
static WfQuery q_step_holders = {
	.sql = HOLDERS(" AND (privilege = 'complete' AND step IN ('', $2) OR privilege = 'admin')"),
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID},
};
static WfQuery q_all_holders = {
	.sql = HOLDERS(""),
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_any_step = {
	.sql = "SELECT 1 FROM workflow_data.process_privilege WHERE process_id = $1 AND step <> '' LIMIT 1",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_any_sender = {
	.sql = "SELECT 0::oid, ''::name " /* the first row is none that means PUBLIC */
		   "UNION ALL SELECT DISTINCT owner, owner_name FROM workflow_data.process WHERE owner <> 0 "
		   "UNION ALL SELECT DISTINCT grantee, grantee_name FROM workflow_data.process_privilege "
		   "WHERE privilege IN ('start', 'complete', 'admin')",
};
static WfQuery q_name = {
	.sql = "SELECT process FROM workflow_data.process WHERE process_id = $1",
	.nargs = 1,
	.argtypes = {INT4OID},
};

const char *
wf_privilege_name(WfPrivilege privilege)
{
	return names[privilege];
}

bool
wf_privilege_parse(const char *name, WfPrivilege *privilege)
{
	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(names[i], name) == 0)
		{
			*privilege = (WfPrivilege) i;
			return true;
		}
	return false;
}

Oid
wf_role_resolve(Oid oid, const char *name)
{
	static bool own = false;
	char	   *current = GetUserNameFromId(oid, true);

	if (current != NULL && strcmp(current, name) == 0)
		return oid;
	if (!own)
		own = wf_identity_check() == WF_IDENTITY_OWN;
	if (own)
		return current != NULL ? oid : InvalidOid;
	return get_role_oid(name, true);
}

/* Is the role, or a role whose rights it has, among the holders that the query returns? */
static bool
is_step_among(WfQuery *holders, Datum *values, Oid role)
{
	uint64		   n = wf_query_run(holders, values, NULL);
	SPITupleTable *table = SPI_tuptable;
	bool		   found = false;
	bool		   isnull;

	for (uint64 i = 0; i < n && !found; i++)
	{
		Oid	  oid = DatumGetObjectId(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		char *name = NameStr(*DatumGetName(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull)));

		/* the first row is the owner, where InvalidOid does not mean PUBLIC */
		if (i > 0 && oid == InvalidOid)
			found = true;
		else
		{
			oid = wf_role_resolve(oid, name);
			found = OidIsValid(oid) && has_privs_of_role(role, oid);
		}
	}
	SPI_freetuptable(table);
	return found;
}

bool
wf_privilege_has(int process_id, Oid role, WfPrivilege privilege)
{
	Datum values[2];

	if (superuser_arg(role))
		return true;
	values[0] = Int32GetDatum(process_id);
	values[1] = CStringGetTextDatum(names[privilege]);
	return is_step_among(&q_holders, values, role);
}

bool
wf_privilege_has_step(int process_id, Oid role, const char *step)
{
	Datum values[2] = {Int32GetDatum(process_id), CStringGetTextDatum(step)};

	return superuser_arg(role) || is_step_among(&q_step_holders, values, role);
}

bool
wf_privilege_by_step(int process_id)
{
	Datum values[1] = {Int32GetDatum(process_id)};

	return wf_query_run(&q_any_step, values, NULL) > 0;
}

bool
wf_privilege_may_send(Oid role)
{
	return superuser_arg(role) || is_step_among(&q_any_sender, NULL, role);
}

bool
wf_privilege_has_any(int process_id, Oid role)
{
	Datum values[1] = {Int32GetDatum(process_id)};

	return superuser_arg(role) || is_step_among(&q_all_holders, values, role);
}

bool
wf_privilege_admits(int process_id, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	if (wf_privilege_has(process_id, role, privilege))
		return true;
	if (!wf_privilege_has_any(process_id, role))
		return false;
	wf_privilege_require(process_id, role, privilege, other);
	return true;
}

void
wf_privilege_require(int process_id, Oid role, WfPrivilege privilege, WfPrivilege other)
{
	Datum values[1] = {Int32GetDatum(process_id)};
	bool  by_step;

	if (wf_privilege_has(process_id, role, privilege) ||
		(other != privilege && wf_privilege_has(process_id, role, other)))
		return;
	by_step = privilege == WF_PRIVILEGE_COMPLETE && wf_privilege_by_step(process_id);
	if (wf_query_run(&q_name, values, NULL) == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process does not exist"));
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("permission denied for process \"%s\"", wf_result_text(0, 1)),
			by_step ? errdetail("The privilege \"complete\" on the process, or on the step of the visit, is needed.")
					: errdetail("The privilege \"%s\" on the process is needed.", names[privilege]),
			errhint("Its owner can give it with workflow.grant_process."));
}

Oid
wf_process_owner(int process_id)
{
	Oid		 owner;
	NameData name;

	return wf_process_owner_stored(process_id, &owner, &name) ? wf_role_resolve(owner, NameStr(name)) : InvalidOid;
}
