/*
 * passed_on.c
 *		Which headers of calls user mappings pass on: those with auth = on_behalf.
 *
 * This file owns a list of these mappings, which most databases have none of; so whoever asks whether there are any
 * pays next to nothing. A change of any user mapping, foreign server or wrapper makes the next look-up read them anew.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "utils/formatting.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "http/credentials.h"
#include "http/options.h"
#include "http/passed_on.h"
#include "http/server.h"

typedef struct PassedOn
{
	Oid			role; /* 0: PUBLIC */
	const char *name; /* in lower case */
} PassedOn;

static MemoryContext list_context = NULL;
static bool			 list_valid = false;
static List			*list; /* of PassedOn */

static void
invalidate_list(Datum arg, int cacheid, uint32 hashvalue)
{
	list_valid = false;
}

void
wf_passed_on_init(void)
{
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate_list, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, invalidate_list, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidate_list, (Datum) 0);
}

void
wf_passed_on_forget(void)
{
	list_valid = false;
}

/* Is the server one of the wrapper workflow_http? */
static bool
is_ours(Oid serverid)
{
	HeapTuple tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(serverid));
	bool	  answer;

	if (!HeapTupleIsValid(tuple))
		return false;
	answer = ((Form_pg_foreign_server) GETSTRUCT(tuple))->srvfdw == get_foreign_data_wrapper_oid(WF_FDW_NAME, true);
	ReleaseSysCache(tuple);
	return answer;
}

/* The header that a mapping with these options passes on; NULL: none. */
static const char *
header_of(List *options)
{
	const char	 *auth = wf_option_get(options, "auth");
	WfCredentials credentials;

	if (auth == NULL || strcmp(auth, "on_behalf") != 0)
		return NULL;
	(void) wf_credentials_read(options, false, &credentials);
	return credentials.passed_on;
}

/* To be called in a context of its own: options of mappings are secrets of all kinds of roles. */
static void
add_mapping(HeapTuple tuple, TupleDesc desc)
{
	Form_pg_user_mapping form = (Form_pg_user_mapping) GETSTRUCT(tuple);
	bool				 isnull;
	Datum				 options = heap_getattr(tuple, Anum_pg_user_mapping_umoptions, desc, &isnull);
	const char			*name = isnull ? NULL : header_of(untransformRelOptions(options));
	PassedOn			*passed_on;
	MemoryContext		 old;

	if (name == NULL || !is_ours(form->umserver))
		return;
	old = MemoryContextSwitchTo(list_context);
	passed_on = palloc(sizeof(PassedOn));
	passed_on->role = form->umuser;
	passed_on->name = asc_tolower(name, strlen(name));
	list = lappend(list, passed_on);
	MemoryContextSwitchTo(old);
}

static void
read_mappings(void)
{
	Relation	  rel = table_open(UserMappingRelationId, AccessShareLock);
	SysScanDesc	  scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	MemoryContext for_one = AllocSetContextCreate(CurrentMemoryContext, "workflow user mapping", ALLOCSET_SMALL_SIZES);
	HeapTuple	  tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		MemoryContext old = MemoryContextSwitchTo(for_one);

		add_mapping(tuple, RelationGetDescr(rel));
		MemoryContextSwitchTo(old);
		MemoryContextReset(for_one);
	}
	MemoryContextDelete(for_one);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

static void
require_list(void)
{
	MemoryContext old;

	if (list_valid)
		return;
	if (list_context == NULL)
		list_context = AllocSetContextCreate(TopMemoryContext, "workflow headers passed on", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(list_context);
	list = NIL;
	/* set before the scan, which may process an invalidation of rows that it has already read */
	list_valid = true;
	PG_TRY();
	{
		old = MemoryContextSwitchTo(list_context);
		read_mappings();
		MemoryContextSwitchTo(old);
	}
	PG_CATCH();
	{
		list_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

bool
wf_server_passes_on(void)
{
	require_list();
	return list != NIL;
}

List *
wf_server_headers_passed_on(Oid role)
{
	List	 *names = NIL;
	ListCell *cell;

	require_list();
	foreach (cell, list)
	{
		const PassedOn *passed_on = lfirst(cell);

		if (passed_on->role == role || !OidIsValid(passed_on->role))
			names = lappend(names, pstrdup(passed_on->name));
	}
	return names;
}
