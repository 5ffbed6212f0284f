/*
 * relation_check.c
 *		May a table be read and written without a statement?
 *
 * These checks are made at each use, as the executor does: all but the privilege are a look into the
 * relation cache.
 */
#include "compat_executor.h"

#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rowsecurity.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "store/relation_internal.h"

/* What each use is to those who see statements. */
static const struct
{
	const char *command;
	AclMode		privileges;
	CmdType		rules;
	int16		trigger; /* event; 0: none */
	CmdType		change;
} uses[] = {
	[WF_RELATION_READ] = {"SELECT", ACL_SELECT, CMD_SELECT, 0, CMD_SELECT},
	[WF_RELATION_LOCK] = {"SELECT FOR NO KEY UPDATE", ACL_SELECT | ACL_UPDATE, CMD_SELECT, 0, CMD_SELECT},
	[WF_RELATION_INSERT] = {"INSERT", ACL_INSERT, CMD_INSERT, TRIGGER_TYPE_INSERT, CMD_INSERT},
	[WF_RELATION_UPDATE] = {"UPDATE", ACL_SELECT | ACL_UPDATE, CMD_UPDATE, TRIGGER_TYPE_UPDATE, CMD_UPDATE},
	[WF_RELATION_DELETE] = {"DELETE", ACL_SELECT | ACL_DELETE, CMD_DELETE, TRIGGER_TYPE_DELETE, CMD_DELETE},
};

static void
refuse(Relation rel, const char *what, const char *hint)
{
	ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("cannot use table %s.%s because of %s", get_namespace_name(RelationGetNamespace(rel)),
				   RelationGetRelationName(rel), what),
			errdetail("Rows of this table are read and written without statements, so that would be skipped."),
			errhint("%s", hint));
}

/* Does a rule or trigger with this mark fire in this session? */
static bool
fires(char enabled)
{
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		return enabled == TRIGGER_FIRES_ON_REPLICA || enabled == TRIGGER_FIRES_ALWAYS;
	return enabled == TRIGGER_FIRES_ON_ORIGIN || enabled == TRIGGER_FIRES_ALWAYS;
}

static void
check_rules(Relation rel, CmdType event)
{
	for (int i = 0; i < rel->rd_rules->numLocks; i++)
	{
		const RewriteRule *rule = rel->rd_rules->rules[i];

		if (rule->event == event && fires(rule->enabled))
			refuse(rel, getObjectDescriptionOids(RewriteRelationId, rule->ruleId),
				   "Drop the rule; a trigger for each row works.");
	}
}

static void
check_triggers(Relation rel, int16 event)
{
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if ((trigger->tgtype & event) == 0 || !fires(trigger->tgenabled))
			continue;
		if (!TRIGGER_FOR_ROW(trigger->tgtype))
			refuse(rel, psprintf("statement trigger \"%s\"", trigger->tgname),
				   "Drop the trigger; one for each row works.");
		if (trigger->tgoldtable != NULL || trigger->tgnewtable != NULL)
			refuse(rel, psprintf("trigger \"%s\" with transition tables", trigger->tgname),
				   "Drop the trigger; one without transition tables works.");
	}
}

/* Policies count only if row security is forced, since the tables' owner is who reads and writes. */
static void
check_policies(Relation rel)
{
	List	   *policies = rel->rd_rsdesc != NULL ? rel->rd_rsdesc->policies : NIL;
	const char *what = "row security, which is forced";

	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, true) != RLS_ENABLED)
		return;
	if (policies != NIL)
		what = psprintf("policy \"%s\"", ((const RowSecurityPolicy *) linitial(policies))->policy_name);
	refuse(rel, what, "Use ALTER TABLE ... NO FORCE ROW LEVEL SECURITY.");
}

/* The mark may be left from a child that is gone. */
static void
check_children(Relation rel)
{
	List *children = find_inheritance_children(RelationGetRelid(rel), NoLock);

	if (children != NIL)
		refuse(rel, psprintf("child table \"%s\"", get_rel_name(linitial_oid(children))),
			   "Use ALTER TABLE ... NO INHERIT.");
}

static void
check_privilege(Relation rel, AclMode privileges)
{
	if (pg_class_aclmask(RelationGetRelid(rel), GetUserId(), privileges, ACLMASK_ALL) != privileges)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(rel));
}

void
wf_relation_check(Relation rel, WfRelationUse use)
{
	if (use != WF_RELATION_READ)
	{
		PreventCommandIfReadOnly(uses[use].command);
		PreventCommandIfParallelMode(uses[use].command);
	}
	check_privilege(rel, uses[use].privileges);
	if (rel->rd_rules != NULL)
		check_rules(rel, uses[use].rules);
	if (rel->trigdesc != NULL && uses[use].trigger != 0)
		check_triggers(rel, uses[use].trigger);
	if (rel->rd_rel->relrowsecurity)
		check_policies(rel);
	if (rel->rd_rel->relhassubclass && rel->rd_rel->relkind == RELKIND_RELATION)
		check_children(rel);
	CheckCmdReplicaIdentity(rel, uses[use].change);
}
