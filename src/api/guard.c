/*
 * guard.c
 *		Keeps tables from being written to by those who may write to every table.
 */
#include "compat.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(workflow_owner_only);

/* Statement trigger: ERROR 42501 for anyone but the table's owner and superusers. */
Datum
workflow_owner_only(PG_FUNCTION_ARGS)
{
	Relation	rel;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("workflow.owner_only() can only be called as a trigger"));
	rel = ((TriggerData *) fcinfo->context)->tg_relation;
	if (!wf_class_ownercheck(RelationGetRelid(rel), GetUserId()))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied to write to table \"%s\"", RelationGetRelationName(rel)),
				errdetail("What it says is run with the rights of others, so only its owner and superusers may write to it."),
				errhint("Use the functions of the schema workflow."));
	PG_RETURN_POINTER(NULL);
}
