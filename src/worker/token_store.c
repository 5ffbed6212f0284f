/*
 * token_store.c
 *		A refresh token that the token service has replaced, in its user mapping.
 *
 * PostgreSQL's own function for ALTER USER MAPPING is called, so there is no text of a statement
 * that could be shown or logged, and no event trigger fires. It runs as the superuser that this
 * worker is.
 */
#include "compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "http/options.h"
#include "shmem/settings.h"
#include "worker/limit.h"
#include "worker/token_store.h"
#include "worker/worker.h"

typedef struct Mapping
{
	ItemPointerData place;
	Oid				role;
	Oid				server;
	const char	   *refresh_token;
} Mapping;

static bool
look_up(Oid id, Mapping *mapping)
{
	HeapTuple			 tuple = SearchSysCache1(USERMAPPINGOID, ObjectIdGetDatum(id));
	Form_pg_user_mapping form;
	Datum				 options;
	bool				 isnull;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_user_mapping) GETSTRUCT(tuple);
	mapping->place = tuple->t_self;
	mapping->role = form->umuser;
	mapping->server = form->umserver;
	options = SysCacheGetAttr(USERMAPPINGOID, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	mapping->refresh_token = isnull ? NULL : wf_option_get(untransformRelOptions(options), "refresh_token");
	ReleaseSysCache(tuple);
	return true;
}

/*
 * ERROR 55P03 if another transaction has the row. It may be that of the mapping's owner, who could hold up the dispatcher
 * again and again if that waited for him.
 */
static void
lock(const Mapping *mapping)
{
	Relation	   rel = table_open(UserMappingRelationId, RowExclusiveLock);
	HeapTupleData  tuple = {.t_self = mapping->place};
	Buffer		   buffer;
	TM_FailureData failure;
	TM_Result result = heap_lock_tuple(rel, &tuple, GetCurrentCommandId(false), LockTupleExclusive, LockWaitSkip, false,
									   &buffer, &failure);

	ReleaseBuffer(buffer);
	if (result != TM_Ok)
		ereport(ERROR, errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("another transaction has it locked, or altered"));
	table_close(rel, NoLock);
}

static void
replace(const Mapping *mapping, const char *refresh_token)
{
	AlterUserMappingStmt *stmt = makeNode(AlterUserMappingStmt);
	RoleSpec			 *role = makeNode(RoleSpec);
	DefElem *option = makeDefElem(pstrdup("refresh_token"), (Node *) makeString(pstrdup(refresh_token)), -1);

	role->roletype = OidIsValid(mapping->role) ? ROLESPEC_CSTRING : ROLESPEC_PUBLIC;
	role->rolename = OidIsValid(mapping->role) ? GetUserNameFromId(mapping->role, false) : NULL;
	role->location = -1;
	option->defaction = DEFELEM_SET;
	stmt->user = role;
	stmt->servername = GetForeignServer(mapping->server)->servername;
	stmt->options = list_make1(option);
	(void) AlterUserMapping(stmt);
	/* The service takes the old one no longer, so the new one must not be lost in a crash. */
	ForceSyncCommit();
}

static WfTokenStored
transaction(const WfGrant *grant, const char *refresh_token)
{
	Mapping		  mapping;
	WfTokenStored stored = WF_TOKEN_GONE;

	wf_begin_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (look_up(grant->mapping, &mapping) && mapping.refresh_token != NULL && grant->refresh_token != NULL &&
		strcmp(mapping.refresh_token, grant->refresh_token) == 0)
	{
		lock(&mapping);
		replace(&mapping, refresh_token);
		stored = WF_TOKEN_STORED;
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	return stored;
}

WfTokenStored
wf_token_store(const WfGrant *grant, const char *refresh_token)
{
	MemoryContext		   context = CurrentMemoryContext;
	volatile WfTokenStored stored = WF_TOKEN_UNSTORED;

	wf_limit_begin(wf_setting_move_timeout);
	PG_TRY();
	{
		stored = transaction(grant, refresh_token);
		wf_limit_end();
	}
	PG_CATCH();
	{
		ErrorData *error = wf_catch(context);

		ereport(LOG, errcode(error->sqlerrcode),
				errmsg("workflow could not store the new refresh token of user mapping %u: %s", grant->mapping,
					   error->message),
				errdetail("It is in memory, and is stored as soon as that can be done."));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return stored;
}
