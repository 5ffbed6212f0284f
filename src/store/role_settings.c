/*
 * role_settings.c
 *		What ALTER ROLE … SET gave a role, for a worker that runs its code.
 *
 * A session of that role would have these settings from its start. Who may give them was checked
 * when they were given, so they apply here as they would there, even those that only superusers can
 * give. Settings of the database as a whole apply to its workers anyway.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "store/role_settings.h"

/*
 * Settings of a role that do not apply. Who we are and where names are found is recorded, or
 * follows from that; how long we take and how we commit is the worker's own; triggers and policies
 * are to work as for others; some would end the worker instead of the statement, or are of no use
 * without a client.
 */
static const char *const ours[] = {"search_path",
								   "role",
								   "session_authorization",
								   "session_replication_role",
								   "row_security",
								   "exit_on_error",
								   "synchronous_commit",
								   "statement_timeout",
								   "lock_timeout",
								   "transaction_timeout",
								   "idle_in_transaction_session_timeout",
								   "idle_session_timeout",
								   "default_transaction_isolation",
								   "default_transaction_read_only",
								   "default_transaction_deferrable",
								   "transaction_isolation",
								   "transaction_read_only",
								   "transaction_deferrable",
								   "client_encoding",
								   "seed"};

#define OUR_PREFIX "workflow."

static bool
is_own_setting(const char *name)
{
	if (pg_strncasecmp(name, OUR_PREFIX, strlen(OUR_PREFIX)) == 0)
		return true;
	for (int i = 0; i < lengthof(ours); i++)
		if (pg_strcasecmp(name, ours[i]) == 0)
			return true;
	return false;
}

/*
 * Apply one setting, a text "name=value". ParseLongOption is not used: up to PostgreSQL 15 it
 * mallocs its result, which would have to be freed after errors too.
 */
static void
apply_setting(char *item)
{
	char *value = strchr(item, '=');

	if (value == NULL)
		return;
	*value++ = '\0';
	if (!is_own_setting(item))
		(void) set_config_option(item, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, DEBUG1, false);
}

static void
apply_array(ArrayType *array)
{
	Datum *items;
	int	   n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &items, NULL, &n);
	for (int i = 0; i < n; i++)
		apply_setting(TextDatumGetCString(items[i]));
}

static void
apply_row(Relation rel, Oid database, Oid role)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(database));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool  isnull;
		Datum array = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig, RelationGetDescr(rel), &isnull);

		if (!isnull)
			apply_array(DatumGetArrayTypeP(array));
	}
	systable_endscan(scan);
}

void
wf_role_settings_apply(Oid role)
{
	Relation rel = table_open(DbRoleSettingRelationId, AccessShareLock);

	apply_row(rel, InvalidOid, role);
	apply_row(rel, MyDatabaseId, role);
	table_close(rel, AccessShareLock);
}
