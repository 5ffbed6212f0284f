/*
 * access.c
 *		Entering and leaving the store.
 *
 * Every SQL function passes here, so this must stay cheap: a few syscache look-ups and one setting.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "shmem/shmem.h"
#include "store/access.h"
#include "store/query.h"

#define PINNED_SEARCH_PATH "pg_catalog, pg_temp"

static Oid
require_schema(const char *name)
{
	Oid schema = get_namespace_oid(name, true);

	if (OidIsValid(schema))
		return schema;
	if (!OidIsValid(get_extension_oid("workflow", true)))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("extension \"workflow\" is not installed in this database"),
				errhint("Run CREATE EXTENSION workflow."));
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("the schema \"%s\" of the extension \"workflow\" has another name", name),
			errhint("It must be called so: use ALTER SCHEMA ... RENAME TO %s.", name));
	return InvalidOid;
}

Oid
wf_store_schema(void)
{
	return require_schema(WF_DATA_SCHEMA);
}

Oid
wf_store_relation(const char *name)
{
	Oid relid = get_relname_relid(name, wf_store_schema());

	if (!OidIsValid(relid))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("relation %s.%s is missing", WF_DATA_SCHEMA, name),
				errhint("Run CREATE EXTENSION workflow, or ALTER EXTENSION workflow UPDATE."));
	return relid;
}

Oid
wf_store_owner(void)
{
	Oid		  relid = wf_store_relation("instance");
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid		  owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

void
wf_store_enter(WfAccess *access)
{
	Oid owner;

	wf_shmem_require();
	(void) require_schema("workflow");
	owner = wf_store_owner();
	GetUserIdAndSecContext(&access->caller, &access->sec_context);
	access->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", PINNED_SEARCH_PATH, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	SetUserIdAndSecContext(owner, access->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	access->has_snapshot = !ActiveSnapshotSet();
	if (access->has_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	wf_query_connect();
}

void
wf_store_leave(WfAccess *access)
{
	SPI_finish();
	if (access->has_snapshot)
		PopActiveSnapshot();
	SetUserIdAndSecContext(access->caller, access->sec_context);
	AtEOXact_GUC(false, access->guc_level);
}
