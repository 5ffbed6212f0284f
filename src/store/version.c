/*
 * version.c
 *		The version of the extension in this database, which has to be that of the library.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "store/version.h"

char *
wf_version_installed(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("workflow"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool  isnull;
		Datum value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(rel), &isnull);

		version = isnull ? pstrdup("") : TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

const Pg_finfo_record *
wf_version_record(void)
{
	static const Pg_finfo_record record = {1};
	char						*version;

	/* whoever creates or updates the extension makes functions of the old version, or of the new one, meanwhile */
	if (creating_extension || IsBinaryUpgrade)
		return &record;
	version = wf_version_installed();
	if (version != NULL && strcmp(version, WORKFLOW_VERSION) != 0)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("extension \"workflow\" has version %s in this database, its library version %s", version,
					   WORKFLOW_VERSION),
				errdetail("Nothing of it works here until they agree."),
				errhint(
					"Run ALTER EXTENSION workflow UPDATE in this database; if the library is the older one, restart "
					"the server with the new one."));
	if (version != NULL)
		pfree(version);
	return &record;
}
