/*
 * attach.c
 *		workflow.attach(relation, process, …) and workflow.detach(relation, process).
 *
 * Only the owner of a table may attach it; an administrator of the process may detach it as well.
 * Both functions hold ShareRowExclusiveLock on the table and all its partitions until the end of
 * the transaction, so that nobody inserts meanwhile. The triggers are created as the owner of the
 * extension, since nobody else may use their functions. Each serves all attachments of a table.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "api/attach_internal.h"
#include "api/target.h"
#include "model/expression.h"
#include "shmem/shmem.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/row_result.h"
#include "store/trust.h"
#include "store/version.h"

WF_FUNCTION(workflow_attach);
WF_FUNCTION(workflow_detach);

/* ---- arguments ---- */

static char *
text_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

static char *
name_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(i)));
}

static void
require_argument(FunctionCallInfo fcinfo, int i, const char *name)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument \"%s\" must not be null", name));
}

/* Read on_update or on_delete: whether something follows. */
static bool
read_reaction(const char *argument, const char *value, const char *other)
{
	if (value == NULL || strcmp(value, "ignore") == 0)
		return false;
	if (strcmp(value, other) != 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"%s\" is no value for %s", value, argument),
				errhint("It is 'ignore' or '%s'.", other));
	return true;
}

static bool
is_object_of_texts(Jsonb *columns)
{
	JsonbIterator	  *it;
	JsonbIteratorToken token;
	JsonbValue		   value;

	if (!JB_ROOT_IS_OBJECT(columns))
		return false;
	it = JsonbIteratorInit(&columns->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		if (token == WJB_VALUE && value.type != jbvString)
			return false;
	return true;
}

static void
read_result_columns(Jsonb *columns, WfAttachment *wanted)
{
	if (columns == NULL)
		return;
	if (!is_object_of_texts(columns))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" must be an object of columns and jsonpaths", "result_columns"),
				errhint("For example: '{\"receipt\": \"$.receipt\"}'."));
	if (JB_ROOT_COUNT(columns) > WF_MAX_RESULT_COLUMNS)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("argument \"%s\" has more than %d columns", "result_columns", WF_MAX_RESULT_COLUMNS));
	wanted->nresults = wf_row_results_read(columns, &wanted->results);
}

static void
read_attach_arguments(FunctionCallInfo fcinfo, WfAttachment *wanted)
{
	require_argument(fcinfo, 0, "relation");
	require_argument(fcinfo, 1, "process");
	memset(wanted, 0, sizeof(*wanted));
	wanted->relation = PG_GETARG_OID(0);
	wanted->process = text_argument(fcinfo, 1);
	wanted->serial_column = name_argument(fcinfo, 2);
	wanted->serial_step = text_argument(fcinfo, 3);
	wanted->status_column = name_argument(fcinfo, 4);
	wanted->instance_column = name_argument(fcinfo, 5);
	read_result_columns(PG_ARGISNULL(6) ? NULL : PG_GETARG_JSONB_P(6), wanted);
	wanted->condition = text_argument(fcinfo, 7);
	wanted->search_path = pstrdup(namespace_search_path);
	wanted->trust = !PG_ARGISNULL(11) && PG_GETARG_BOOL(11);
	wanted->on_update = read_reaction("on_update", text_argument(fcinfo, 8), "set_data");
	wanted->on_delete = read_reaction("on_delete", text_argument(fcinfo, 9), "cancel");
	wanted->replicated = !PG_ARGISNULL(12) && PG_GETARG_BOOL(12);
	wanted->show_in = PG_ARGISNULL(13) ? InvalidOid : PG_GETARG_OID(13);
}

/* ---- the table ---- */

static void
require_relation(Oid relid)
{
	if (!OidIsValid(wf_row_owner(relid)))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relid));
}

/*
 * Open a table that the caller owns. The right is checked before the lock is taken: a role that may
 * not attach a table may not hold it up either.
 */
static Relation
open_owned(Oid relid)
{
	Relation rel;

	require_relation(relid);
	if (!wf_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
	rel = relation_open(relid, ShareRowExclusiveLock);
	if (!wf_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(rel->rd_rel->relkind), RelationGetRelationName(rel));
	return rel;
}

static void
refuse_table(Relation rel, const char *why, const char *hint)
{
	ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
			errmsg("cannot attach \"%s\" to a process", RelationGetRelationName(rel)), errdetail("%s", why),
			hint != NULL ? errhint("%s", hint) : 0);
}

static void
check_table(Relation rel)
{
	AttrNumber attnos[INDEX_MAX_KEYS];

	if (rel->rd_rel->relkind != RELKIND_RELATION && rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		refuse_table(rel, "It is no ordinary or partitioned table.", NULL);
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		refuse_table(rel, "It is a temporary table, which no worker can see.", NULL);
	if (IsCatalogRelation(rel) || RelationGetNamespace(rel) == wf_store_schema())
		refuse_table(rel, "It belongs to the system, or to workflow itself.", NULL);
	if (wf_row_key_attnos(rel, attnos) == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("table \"%s\" has no primary key", RelationGetRelationName(rel)),
				errdetail("The primary key tells which row belongs to which instance."),
				errhint("Add one with ALTER TABLE ... ADD PRIMARY KEY."));
}

/* Lock all partitions, so that what they are attached to does not change during an INSERT. */
static List *
lock_partitions(Relation rel)
{
	return find_all_inheritors(RelationGetRelid(rel), ShareRowExclusiveLock, NULL);
}

static void
report_also_attached(Relation rel, Oid other)
{
	ereport(ERROR, errcode(ERRCODE_DUPLICATE_OBJECT),
			errmsg("cannot attach \"%s\" to a process", RelationGetRelationName(rel)),
			errdetail("\"%s\", which holds some of the same rows, is attached.", get_rel_name(other)),
			errhint("Attach the topmost table only."));
}

/*
 * Refuse a table whose parent or partition is attached already: each row would start two instances.
 */
static void
check_relatives(Relation rel, List *partitions)
{
	List	 *relatives = NIL;
	ListCell *lc;

	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		relatives = list_copy(partitions);
	if (rel->rd_rel->relispartition)
		relatives = list_concat(relatives, get_partition_ancestors(RelationGetRelid(rel)));
	foreach (lc, relatives)
	{
		WfAttachment *others;

		if (lfirst_oid(lc) != RelationGetRelid(rel) && wf_attachments_of(lfirst_oid(lc), &others) > 0)
			report_also_attached(rel, lfirst_oid(lc));
	}
}

/* ---- the process ---- */

/* Is the step one with `each`, or within such a step? */
static bool
is_of_items(const WfDefinition *def, int step)
{
	for (; step >= 0; step = def->lists[def->steps[step].list].parent)
		if (def->steps[step].each != NULL)
			return true;
	return false;
}

static void
check_serial_step(const WfAttachment *wanted, const WfDefinition *def)
{
	const char *perhaps;
	int			step;

	if (wanted->serial_step == NULL)
		return;
	if (wanted->serial_column == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("serial_step is given without serial_column"));
	step = wf_definition_step(def, wanted->serial_step);
	if (step < 0 || step == def->process_step)
	{
		perhaps = wf_target_perhaps_step(def, wanted->serial_step);
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("process \"%s\" has no step \"%s\"", wanted->process, wanted->serial_step),
				perhaps != NULL ? errhint("%s", perhaps) : 0);
	}
	if (is_of_items(def, step))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("at step \"%s\" of process \"%s\" there is a visit for each item", wanted->serial_step,
					   wanted->process),
				errdetail("A row can show the number of one visit."),
				errhint("What is done for an item finds $serial_number in its own step."));
	if (wf_step_callback_entry(&def->steps[step]) < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("step \"%s\" of process \"%s\" does not wait for a callback", wanted->serial_step,
					   wanted->process),
				errhint("serial_step names a step with \"wait\": true."));
}

static void
check_condition(const WfAttachment *wanted)
{
	const char		  *message;
	const char		  *hint = NULL;
	const WfPredicate *condition;

	if (wanted->condition == NULL)
		return;
	condition = wf_predicate_compile_row(wanted->condition, &message, &hint);
	if (condition == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the condition cannot be used"),
				errdetail("\"%s\": %s.", wanted->condition, message),
				hint != NULL ? errhint("%s", hint)
							 : errhint("It is a jsonpath over the row as JSON, such as '$.amount > 100'."));
	message = wf_predicate_warning(condition, &hint);
	if (message != NULL)
		ereport(NOTICE, errmsg("the condition is hardly what is meant"),
				errdetail("\"%s\": %s.", wanted->condition, message), errhint("%s", hint));
}

/* ---- whose code it runs ---- */

/*
 * Refuse a table if writing to its rows would run code of other roles: write-backs run with the
 * rights of the table's owner, while he is not there to look.
 */
static void
check_trust(Relation rel, const WfAttachment *wanted)
{
	char *owner = GetUserNameFromId(rel->rd_rel->relowner, false);
	char *code;

	if (wanted->trust || !wf_attachment_shows(wanted))
		return;
	code = wf_trust_foreign_code(wanted);
	if (code != NULL)
		ereport(
			ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("cannot attach \"%s\" to a process", RelationGetRelationName(rel)),
			errdetail(
				"Writing to its rows would run what somebody else can change, %s, with the rights of role \"%s\", the owner of the table.",
				code, owner),
			errhint("Let it belong to that role. If its owner may do all that role \"%s\" may, use trust => true.",
					owner));
}

/*
 * Tell which columns will be read as text: a cast to json that belongs to another role is not used,
 * since rows are made JSON with the rights of the table's owner.
 */
static void
tell_what_is_text(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Oid function = att->attisdropped ? InvalidOid : wf_trust_foreign_cast(att->atttypid, rel->rd_rel->relowner);

		if (OidIsValid(function))
			ereport(NOTICE,
					errmsg("column \"%s\" of table \"%s\" is read as text", NameStr(att->attname),
						   RelationGetRelationName(rel)),
					errdetail("The cast of its type to json is %s.", wf_trust_function_name(function)),
					errhint("It counts if it belongs to the owner of the table, or to a superuser."));
	}
}

/* ---- triggers ---- */

static void
execute_ddl(const char *sql)
{
	int rc = SPI_execute(sql, false, 0);

	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s: %s", SPI_result_code_string(rc), sql);
}

static char *
qualified_relation(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

static char *
qualified_name(Relation rel)
{
	return qualified_relation(RelationGetRelid(rel));
}

/* Neither partitioned, nor a partition? */
static bool
is_plain(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_RELATION && !rel->rd_rel->relispartition;
}

/*
 * Create the triggers, of all but plain tables FOR EACH ROW, so that partitions get copies: rows that are inserted directly
 * into a partition fire no other trigger of ours.
 */
static void
create_triggers(Relation rel, const WfAttachment *wanted)
{
	bool plain = is_plain(rel) && !wanted->replicated; /* replication fires no triggers of statements */

	if (wf_attachment_sets(wanted) && !wf_attachment_has_trigger(rel, "before_insert"))
		execute_ddl(psprintf("CREATE TRIGGER " WF_TRIGGER_BEFORE " BEFORE INSERT ON %s "
							 "FOR EACH ROW EXECUTE FUNCTION workflow_data.before_insert()",
							 qualified_name(rel)));
	if (!wf_attachment_has_trigger(rel, "after_insert"))
		execute_ddl(psprintf("CREATE TRIGGER " WF_TRIGGER_AFTER " AFTER INSERT ON %s %s "
							 "EXECUTE FUNCTION workflow_data.after_insert()",
							 qualified_name(rel),
							 plain ? "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT" : "FOR EACH ROW"));
	if (wanted->on_update && !wf_attachment_has_trigger(rel, "after_update"))
		execute_ddl(psprintf("CREATE TRIGGER " WF_TRIGGER_UPDATE " AFTER UPDATE ON %s %s "
							 "EXECUTE FUNCTION workflow_data.after_update()",
							 qualified_name(rel),
							 plain ? "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT"
								   : "FOR EACH ROW"));
	/* a row that leaves a partition may come into another one */
	if ((wanted->on_delete || !plain) && !wf_attachment_has_trigger(rel, "after_delete"))
		execute_ddl(psprintf("CREATE TRIGGER " WF_TRIGGER_DELETE " AFTER DELETE ON %s %s "
							 "EXECUTE FUNCTION workflow_data.after_delete()",
							 qualified_name(rel),
							 plain ? "REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT" : "FOR EACH ROW"));
	if (!wanted->on_delete || wf_attachment_has_trigger(rel, "after_truncate"))
		return;
	execute_ddl(psprintf("CREATE TRIGGER " WF_TRIGGER_TRUNCATE " AFTER TRUNCATE ON %s "
						 "FOR EACH STATEMENT EXECUTE FUNCTION workflow_data.after_truncate()",
						 qualified_name(rel)));
}

/*
 * Create or replace the trigger that keeps the columns in which any attachment of the table shows
 * something.
 */
static void
keep_columns(Relation rel, const WfAttachment *attachments, int n)
{
	List		  *names = NIL;
	StringInfoData columns;
	ListCell	  *lc;

	for (int i = 0; i < n; i++)
		if (!attachments[i].replicated)
			names = list_concat(names, wf_attach_shown_columns(&attachments[i]));
	if (names == NIL)
		return;
	initStringInfo(&columns);
	foreach (lc, names)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "", quote_literal_cstr(lfirst(lc)));
	execute_ddl(psprintf("CREATE OR REPLACE TRIGGER " WF_TRIGGER_KEEP " BEFORE UPDATE ON %s "
						 "FOR EACH ROW EXECUTE FUNCTION workflow_data.keep_columns(%s)",
						 qualified_name(rel), columns.data));
}

static void
drop_trigger(Relation rel, const char *trigger, const char *function)
{
	if (wf_attachment_has_trigger(rel, function))
		execute_ddl(psprintf("DROP TRIGGER IF EXISTS %s ON %s", trigger, qualified_name(rel)));
}

static void
forget_cached(List *partitions)
{
	ListCell *lc;

	foreach (lc, partitions)
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	CommandCounterIncrement();
}

/* Replication applies changes as a replica, where other triggers do not fire. */
static void
enable_always(List *partitions)
{
	ListCell *lc;

	foreach (lc, partitions)
		wf_replicated_enable(lfirst_oid(lc));
}

/*
 * Is this a table to which what is shown cannot be written, since that would run code of others? Tell that; before version
 * 0.2 nobody asked.
 */
static void
tell_untrusted(Relation rel, const WfAttachment *attachment)
{
	char *code = attachment->trust || !wf_attachment_shows(attachment) ? NULL : wf_trust_foreign_code(attachment);

	if (code != NULL)
		ereport(
			WARNING,
			errmsg("rows of table \"%s\" will not show their instances of process \"%s\" any more",
				   RelationGetRelationName(rel), attachment->process),
			errdetail("Writing to them would run what somebody else can change, %s, with the rights of the owner of "
					  "the table.",
					  code),
			errhint("Let it belong to that owner; or detach the table, and attach it with trust => true."));
}

void
wf_attach_renew(Relation rel)
{
	List		 *partitions = lock_partitions(rel);
	WfAttachment *attachments;
	int			  n = wf_attachments_of(RelationGetRelid(rel), &attachments);

	for (int i = 0; i < n; i++)
	{
		create_triggers(rel, &attachments[i]);
		forget_cached(partitions); /* which makes those that are there known to the next one */
		tell_untrusted(rel, &attachments[i]);
	}
	keep_columns(rel, attachments, n);
	forget_cached(partitions);
}

/* ---- attach ---- */

static void
check_shown_columns(Relation rel, const WfAttachment *wanted, const WfAttachment *others, int n)
{
	Relation shown = rel;

	if (OidIsValid(wanted->show_in))
		shown = relation_open(wanted->show_in, AccessShareLock);
	wf_attach_check_columns(shown, wanted, others, n);
	if (shown != rel)
		relation_close(shown, NoLock);
}

/*
 * The attachments of the table that still hold. If it has no trigger of ours, attachments under its
 * OID belong to a dropped table of the same OID, or somebody has dropped the trigger: the table's
 * name tells which, and the attachments are forgotten or detached.
 */
static int
living_attachments(Relation rel, WfAttachment **attachments)
{
	int	  n = wf_attachments_of(RelationGetRelid(rel), attachments);
	char *name = qualified_name(rel);

	if (n == 0 || wf_attachment_has_trigger(rel, "after_insert"))
		return n;
	for (int i = 0; i < n; i++)
		if (strcmp((*attachments)[i].relation_name, name) == 0)
			wf_attachment_detach((*attachments)[i].id, name);
		else
			wf_attachment_forget((*attachments)[i].id);
	return 0;
}

/*
 * Attach the table. Returns true if the attachment had been detached and is used again, with its
 * earlier instances.
 */
static bool
attach(Relation rel, List *partitions, WfAttachment *wanted)
{
	bool		  taken_over;
	WfProcess	 *process;
	WfAttachment *others;
	int			  n;

	check_table(rel);
	wf_attachment_prune();
	process = wf_process_by_name(wanted->process, 0, NULL);
	wanted->process_id = process->process_id;
	wf_attachment_lock_process(wanted->process_id);
	wf_attachment_require_start(wanted->process_id, wanted->process, rel->rd_rel->relowner, false);

	n = living_attachments(rel, &others);
	for (int i = 0; i < n; i++)
		if (others[i].process_id == wanted->process_id)
			ereport(ERROR, errcode(ERRCODE_DUPLICATE_OBJECT),
					errmsg("table \"%s\" is already attached to process \"%s\"", RelationGetRelationName(rel),
						   wanted->process),
					errhint("Detach it first with workflow.detach."));
	check_relatives(rel, partitions);
	wf_replicated_check(rel, wanted, others, n);
	check_shown_columns(rel, wanted, others, n);
	check_serial_step(wanted, process->def);
	check_condition(wanted);
	check_trust(rel, wanted);
	tell_what_is_text(rel);

	wanted->relation_name = qualified_name(rel);
	taken_over = wf_attachment_add(wanted, n == 0 && wf_attachment_has_trigger(rel, "after_insert"));
	create_triggers(rel, wanted);
	n = wf_attachments_of(RelationGetRelid(rel), &others);
	keep_columns(rel, others, n);
	if (wanted->replicated)
		enable_always(partitions);
	forget_cached(partitions);
	return taken_over;
}

static void
start_existing(Relation rel, List *partitions, const WfAttachment *wanted, bool taken_over)
{
	int64 started = wf_attach_existing(rel, partitions, wanted->id, taken_over);

	ereport(NOTICE,
			errmsg_plural("started %lld instance of process \"%s\" for rows of table \"%s\" that were there already",
						  "started %lld instances of process \"%s\" for rows of table \"%s\" that were there already",
						  (unsigned long) started, (long long) started, wanted->process, RelationGetRelationName(rel)));
}

static void
audit_attach(const WfAttachment *attachment, bool existing, Relation rel, Oid caller)
{
	wf_audit(
		&(WfAudit){.call = "attach",
				   .caller = caller,
				   .process_id = attachment->process_id,
				   .arguments =
					   {WF_AUDIT_TEXT("relation", qualified_name(rel)),
						WF_AUDIT_TEXT("serial_column", attachment->serial_column),
						WF_AUDIT_TEXT("serial_step", attachment->serial_step),
						WF_AUDIT_TEXT("status_column", attachment->status_column),
						WF_AUDIT_TEXT("instance_column", attachment->instance_column),
						{.key = "result_columns",
						 .jsonb = wf_row_results_store(attachment),
						 .omit = attachment->nresults == 0},
						WF_AUDIT_TEXT("condition", attachment->condition),
						WF_AUDIT_TEXT("on_update", attachment->on_update ? wf_attachment_on_update(attachment) : NULL),
						WF_AUDIT_TEXT("on_delete", attachment->on_delete ? wf_attachment_on_delete(attachment) : NULL),
						WF_AUDIT_TRUE("existing", existing),
						WF_AUDIT_TRUE("replicated", attachment->replicated),
						WF_AUDIT_TEXT("show_in",
									  OidIsValid(attachment->show_in) ? qualified_relation(attachment->show_in) : NULL),
						WF_AUDIT_TRUE("trust", attachment->trust)}});
}

Datum
workflow_attach(PG_FUNCTION_ARGS)
{
	WfAccess	 access;
	WfAttachment wanted;
	bool		 existing = !PG_ARGISNULL(10) && PG_GETARG_BOOL(10);
	Relation	 rel;
	List		*partitions;
	bool		 taken_over;

	PreventCommandIfReadOnly("workflow.attach()");
	read_attach_arguments(fcinfo, &wanted);
	wf_shmem_require();
	rel = open_owned(wanted.relation);
	partitions = lock_partitions(rel);
	wf_store_enter(&access);
	taken_over = attach(rel, partitions, &wanted);
	audit_attach(&wanted, existing, rel, access.caller);
	wf_store_leave(&access);
	if (existing)
		start_existing(rel, partitions, &wanted, taken_over);
	relation_close(rel, NoLock);
	PG_RETURN_INT32(wanted.id);
}

/* ---- detach ---- */

/*
 * May the caller detach the table from the attached process? `process` NULL means any. A role that
 * does not own the table detaches it from the processes that it administers.
 */
static bool
may_detach(const WfAttachment *attachment, const char *process, Oid caller)
{
	return (process == NULL || strcmp(attachment->process, process) == 0) &&
		   (wf_class_ownercheck(attachment->relation, caller) ||
			wf_privilege_has(attachment->process_id, caller, WF_PRIVILEGE_ADMIN));
}

static bool
administers(Oid relid, const char *process)
{
	WfAccess	  access;
	WfAttachment *attachments;
	bool		  answer = false;
	int			  n;

	wf_store_enter(&access);
	n = wf_attachments_of(relid, &attachments);
	for (int i = 0; i < n && !answer; i++)
		answer = may_detach(&attachments[i], process, access.caller);
	wf_store_leave(&access);
	return answer;
}

/*
 * Open a table for detaching. Administrators of the process may do that too: otherwise a role that
 * was once allowed to attach a table could keep the process from being undefined for ever.
 */
static Relation
open_to_detach(Oid relid, const char *process)
{
	require_relation(relid);
	if (!wf_class_ownercheck(relid, GetUserId()) && administers(relid, process))
		return relation_open(relid, ShareRowExclusiveLock);
	return open_owned(relid);
}

/* Drop those of our triggers that the attachments that are left do not need. */
static void
drop_triggers(Relation rel, const WfAttachment *left, int n)
{
	bool shows = false;
	bool sets = false;
	bool on_update = false;
	bool on_delete = false;

	for (int i = 0; i < n; i++)
	{
		shows |= wf_attachment_shows(&left[i]);
		sets |= wf_attachment_sets(&left[i]);
		on_update |= left[i].on_update;
		on_delete |= left[i].on_delete;
	}
	if (!shows)
		drop_trigger(rel, WF_TRIGGER_KEEP, "keep_columns");
	if (!sets)
		drop_trigger(rel, WF_TRIGGER_BEFORE, "before_insert");
	if (!on_update)
		drop_trigger(rel, WF_TRIGGER_UPDATE, "after_update");
	if (!on_delete)
		drop_trigger(rel, WF_TRIGGER_TRUNCATE, "after_truncate");
	if (!on_delete && (n == 0 || is_plain(rel)))
		drop_trigger(rel, WF_TRIGGER_DELETE, "after_delete");
	if (n == 0)
		drop_trigger(rel, WF_TRIGGER_AFTER, "after_insert");
}

static int
detach_table(Relation rel, const char *process, Oid caller)
{
	List		 *partitions = lock_partitions(rel);
	WfAttachment *attachments;
	int			  n = wf_attachments_of(RelationGetRelid(rel), &attachments);
	int			  left = 0;

	for (int i = 0; i < n; i++)
	{
		if (may_detach(&attachments[i], process, caller))
		{
			wf_attachment_detach(attachments[i].id, qualified_name(rel));
			wf_audit(&(WfAudit){.call = "detach",
								.caller = caller,
								.process_id = attachments[i].process_id,
								.arguments = {WF_AUDIT_TEXT("relation", qualified_name(rel))}});
			continue;
		}
		attachments[left++] = attachments[i];
	}
	/*
	 * a table that was restored by itself has our triggers without any attachment: its triggers are
	 * dropped
	 */
	if (left == n && (n > 0 || !wf_attachment_has_trigger(rel, "after_insert")))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				process != NULL
					? errmsg("table \"%s\" is not attached to process \"%s\"", RelationGetRelationName(rel), process)
					: errmsg("table \"%s\" is not attached to a process", RelationGetRelationName(rel)));
	keep_columns(rel, attachments, left);
	drop_triggers(rel, attachments, left);
	forget_cached(partitions);
	return n - left;
}

Datum
workflow_detach(PG_FUNCTION_ARGS)
{
	WfAccess access;
	char	*process = text_argument(fcinfo, 1);
	Relation rel;
	int		 removed;

	PreventCommandIfReadOnly("workflow.detach()");
	require_argument(fcinfo, 0, "relation");
	wf_shmem_require();
	rel = open_to_detach(PG_GETARG_OID(0), process);
	wf_store_enter(&access);
	removed = detach_table(rel, process, access.caller);
	wf_store_leave(&access);
	relation_close(rel, NoLock);
	PG_RETURN_INT32(removed);
}
