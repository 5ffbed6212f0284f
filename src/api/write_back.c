/*
 * write_back.c
 *		workflow.write_back(relation): try now what is owed to rows of an attached table.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "store/access.h"
#include "store/attachment.h"
#include "store/owed.h"
#include "store/played.h"
#include "store/privilege.h"
#include "store/row.h"
#include "store/version.h"

WF_FUNCTION(workflow_write_back);

static void
report_not_attached(Oid relid)
{
	char *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relid));
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("table \"%s\" is not attached to a process", name));
}

/*
 * Make write-backs due, those of attachments on which the caller has a right. Returns false if
 * there is no such attachment.
 */
static bool
make_due(const WfAttachment *attachments, int n, Oid caller, int64 *due)
{
	TimestampTz now = wf_now();
	bool		owner = wf_class_ownercheck(attachments[0].relation, caller);
	bool		any = false;

	*due = 0;
	for (int i = 0; i < n; i++)
	{
		if (!owner && !wf_privilege_has(attachments[i].process_id, caller, WF_PRIVILEGE_ADMIN))
			continue;
		any = true;
		*due += wf_owed_due(attachments[i].id, now);
	}
	return any;
}

/*
 * workflow.write_back(relation regclass) → bigint, how many write-backs are due now that were to be
 * tried later
 *
 * Workers try them once this transaction has committed; one that is being tried at this moment is
 * not counted. A caller who does not own the table makes those due that belong to processes which
 * he administers. Errors: 42P01 for no such table, 42704 if it is not attached, 42501 for neither
 * its owner nor an administrator.
 */
Datum
workflow_write_back(PG_FUNCTION_ARGS)
{
	Oid			  relid = PG_GETARG_OID(0);
	WfAccess	  access;
	WfAttachment *attachments;
	int64		  due;
	int			  n;

	PreventCommandIfReadOnly("workflow.write_back()");
	wf_store_enter(&access);
	n = wf_attachments_of(relid, &attachments);
	if (n == 0 || get_rel_name(relid) == NULL)
		report_not_attached(relid);
	if (!make_due(attachments, n, access.caller, &due))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
	wf_store_leave(&access);
	PG_RETURN_INT64(due);
}
