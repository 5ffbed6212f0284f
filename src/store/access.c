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
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "shmem/shmem.h"
#include "store/access.h"
#include "store/query.h"
#include "store/rows_seen.h"

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

/* ---- what was looked up, until the catalog changes ---- */

#define MOST_KNOWN 32

/* Relations by name; the entry without one is their owner. */
static struct
{
	const char *name; /* a literal, told by its address */
	Oid			oid;
} known[MOST_KNOWN];
static int nknown = 0;

static void
forget_known(Datum arg, int cacheid, uint32 hashvalue)
{
	nknown = 0;
}

static void
watch_catalog(void)
{
	static bool watching = false;

	if (watching)
		return;
	CacheRegisterSyscacheCallback(NAMESPACENAME, forget_known, (Datum) 0);
	CacheRegisterSyscacheCallback(RELNAMENSP, forget_known, (Datum) 0);
	CacheRegisterSyscacheCallback(RELOID, forget_known, (Datum) 0);
	watching = true;
}

static Oid
recall(const char *name)
{
	for (int i = 0; i < nknown; i++)
		if (known[i].name == name)
			return known[i].oid;
	return InvalidOid;
}

static Oid
remember(const char *name, Oid oid)
{
	if (nknown < MOST_KNOWN)
	{
		known[nknown].name = name;
		known[nknown++].oid = oid;
	}
	return oid;
}

static Oid
find_relation(const char *name)
{
	Oid relid = get_relname_relid(name, wf_store_schema());

	if (!OidIsValid(relid))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("relation %s.%s is missing", WF_DATA_SCHEMA, name),
				errhint("Run CREATE EXTENSION workflow, or ALTER EXTENSION workflow UPDATE."));
	return relid;
}

Oid
wf_store_relation(const char *name)
{
	Oid relid = recall(name);

	if (OidIsValid(relid))
		return relid;
	watch_catalog();
	relid = find_relation(name);
	return remember(name, relid);
}

static Oid
find_owner(void)
{
	Oid		  relid = find_relation("instance");
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid		  owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
wf_store_owner(void)
{
	Oid owner = recall(NULL);

	if (OidIsValid(owner))
		return owner;
	watch_catalog();
	owner = find_owner();
	return remember(NULL, owner);
}

void
wf_store_enter(WfAccess *access)
{
	Oid owner;

	wf_shmem_require();
	wf_rows_seen_note();
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
