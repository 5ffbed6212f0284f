/*
 * guard.c
 *		Triggers of the extension's own tables: who may write to them, and who is told.
 */
#include "compat.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(workflow_owner_only);
PG_FUNCTION_INFO_V1(workflow_secret_changed);

static Relation
table_of(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("%s can only be called as a trigger", function));
	return ((TriggerData *) fcinfo->context)->tg_relation;
}

/* Statement trigger: ERROR 42501 for everybody but the table's owner and superusers. */
Datum
workflow_owner_only(PG_FUNCTION_ARGS)
{
	Relation rel = table_of(fcinfo, "workflow_data.owner_only()");

	if (!wf_class_ownercheck(RelationGetRelid(rel), GetUserId()))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied to write to table \"%s\"", RelationGetRelationName(rel)),
				errdetail(
					"What it says is run with the rights of others, so only its owner and superusers may write to it."),
				errhint("Use the functions of the schema workflow."));
	PG_RETURN_POINTER(NULL);
}

/*
 * Row trigger of workflow_data.secret: at commit, all sessions forget the key that they have read.
 */
Datum
workflow_secret_changed(PG_FUNCTION_ARGS)
{
	CacheInvalidateRelcache(table_of(fcinfo, "workflow_data.secret_changed()"));
	PG_RETURN_POINTER(NULL);
}
