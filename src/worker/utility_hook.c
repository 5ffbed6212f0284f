/*
 * utility_hook.c
 *		The hooks that tell workers of statements that concern them, and that refuse some statements.
 *
 * - COMMIT PREPARED and ROLLBACK PREPARED run no callback that publishes wake-ups, so the workers are woken here.
 * - DROP DATABASE, RENAME, SET TABLESPACE and CREATE DATABASE … TEMPLATE fail while anybody is connected; DROP
 *   EXTENSION and ALTER EXTENSION UPDATE lock all tables. Once it is certain that the caller has the right to do it,
 *   the workers of that database are stopped, and stay away until the transaction has ended.
 * - CREATE EXTENSION, and databases that are made, changed or dropped, are told to the launcher.
 * - CREATE and ALTER SERVER may let requests be sent that had to wait, so the dispatcher looks at everything again.
 * - ALTER TABLE … ATTACH PARTITION is refused if it would cut an attached table off from its process.
 * - SET CONSTRAINTS … DEFERRED is refused in executors: users' triggers would fire at commit, when the executor does
 *   not run as their owner any more.
 *
 * An extension can also be dropped by CASCADE; the object access hook sees that.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "http/idle_options.h"
#include "shmem/blocks.h"
#include "shmem/wakeups.h"
#include "store/attachment.h"
#include "store/played.h"
#include "worker/sent.h"
#include "worker/worker.h"

#define EXTENSION "workflow"

static ProcessUtility_hook_type previous_utility_hook = NULL;
static object_access_hook_type	previous_access_hook = NULL;

/* ---- databases ---- */

/* Stop the workers of a database. The current one cannot be dropped, renamed or moved, so nothing is done there. */
static void
stop_workers(Oid database)
{
	if (database != MyDatabaseId)
		wf_database_block(database);
}

/* Is the caller an owner of the database, as the statement is going to require? */
static bool
owns_database(Oid database)
{
	return OidIsValid(database) && wf_database_ownercheck(database, GetUserId());
}

static bool
may_create_databases(void)
{
	HeapTuple tuple;
	bool	  may;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return false;
	may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return may;
}

static bool
is_template(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool	  answer;

	if (!HeapTupleIsValid(tuple))
		return false;
	answer = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return answer;
}

static DefElem *
find_option(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return option;
	}
	return NULL;
}

static void
before_drop_database(DropdbStmt *stmt)
{
	Oid database = get_database_oid(stmt->dbname, true);

	if (owns_database(database) && !is_template(database))
	{
		stop_workers(database);
		wf_sent_remove(database);
	}
}

static void
before_create_database(CreatedbStmt *stmt)
{
	DefElem	   *option = find_option(stmt->options, "template");
	const char *name = option != NULL && option->arg != NULL ? defGetString(option) : "template1";
	Oid			source = get_database_oid(name, true);

	if (!OidIsValid(source) || !may_create_databases())
		return;
	if (OidIsValid(get_database_oid(stmt->dbname, true)))
		return;
	if (is_template(source) || owns_database(source))
		wf_database_block(source); /* which may be the current one */
}

static void
before_rename_database(RenameStmt *stmt)
{
	Oid database = get_database_oid(stmt->subname, true);

	if (owns_database(database) && may_create_databases() && !OidIsValid(get_database_oid(stmt->newname, true)))
		stop_workers(database);
}

static void
before_alter_database(AlterDatabaseStmt *stmt)
{
	Oid database = get_database_oid(stmt->dbname, true);

	if (find_option(stmt->options, "tablespace") != NULL && owns_database(database))
		stop_workers(database);
}

/* ---- the extension ---- */

static bool
owns_extension(void)
{
	Oid extension = get_extension_oid(EXTENSION, true);

	return OidIsValid(extension) && wf_extension_ownercheck(extension, GetUserId());
}

static void
stop_for_extension(void)
{
	wf_database_block(MyDatabaseId);
	wf_launcher_request_probe();
}

static void
before_drop(DropStmt *stmt)
{
	ListCell *cell;

	if (stmt->removeType != OBJECT_EXTENSION)
		return;
	foreach (cell, stmt->objects)
	{
		if (strcmp(strVal(lfirst(cell)), EXTENSION) == 0 && owns_extension())
			stop_for_extension();
	}
}

static void
before_alter_extension(AlterExtensionStmt *stmt)
{
	if (strcmp(stmt->extname, EXTENSION) == 0 && owns_extension())
		stop_for_extension();
}

/*
 * If this database has the extension and no workers, tell the launcher. The extension may have come with CREATE
 * EXTENSION … CASCADE of another one, or with a prepared transaction; that may also have adopted a copy.
 */
static void
has_extension(void)
{
	if (OidIsValid(get_extension_oid(EXTENSION, true)) && !wf_database_is_served(MyDatabaseId))
		wf_launcher_request_look();
}

static void
on_object_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	if (previous_access_hook)
		previous_access_hook(access, class, object, sub, arg);
	if (access == OAT_DROP && class == ExtensionRelationId && object == get_extension_oid(EXTENSION, true))
		stop_for_extension();
}

/* ---- statements ---- */

/*
 * What has to be done before a statement. `alone` says that it is at top level and in no transaction block: statements
 * on whole databases fail otherwise.
 */
static void
before(Node *statement, bool alone)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			if (alone)
				before_drop_database((DropdbStmt *) statement);
			break;
		case T_CreatedbStmt:
			if (alone)
				before_create_database((CreatedbStmt *) statement);
			break;
		case T_AlterDatabaseStmt:
			if (alone)
				before_alter_database((AlterDatabaseStmt *) statement);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				before_rename_database((RenameStmt *) statement);
			else if (((RenameStmt *) statement)->renameType == OBJECT_FOREIGN_SERVER)
				wf_wakeup_everything();
			break;
		case T_CreateForeignServerStmt:
		case T_AlterForeignServerStmt:
			wf_wakeup_everything(); /* at commit */
			break;
		case T_DropStmt:
			before_drop((DropStmt *) statement);
			break;
		case T_AlterExtensionStmt:
			before_alter_extension((AlterExtensionStmt *) statement);
			break;
		default:
			break;
	}
}

/* What has to be done after a statement that has succeeded. */
static void
after(NodeTag statement)
{
	switch (statement)
	{
		case T_DropdbStmt:
		case T_CreatedbStmt:
		case T_AlterDatabaseStmt:
			wf_launcher_request_scan();
			break;
		case T_CreateExtensionStmt:
			has_extension();
			break;
		case T_TransactionStmt:
			wf_wake_database(MyDatabaseId);
			has_extension();
			break;
		default:
			break;
	}
}

static bool
concerns_us(Node *statement)
{
	TransactionStmtKind kind;

	switch (nodeTag(statement))
	{
		case T_TransactionStmt:
			kind = ((TransactionStmt *) statement)->kind;
			return kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED;
		case T_DropdbStmt:
		case T_CreatedbStmt:
		case T_AlterDatabaseStmt:
		case T_RenameStmt:
		case T_DropStmt:
		case T_AlterExtensionStmt:
		case T_CreateExtensionStmt:
		case T_CreateForeignServerStmt:
		case T_AlterForeignServerStmt:
			return !RecoveryInProgress();
		default:
			return false;
	}
}

/* The new partition of ALTER TABLE … ATTACH PARTITION; NULL for others, even ALTER INDEX … ATTACH PARTITION. */
static RangeVar *
new_partition(Node *statement)
{
	ListCell *cell;

	if (!IsA(statement, AlterTableStmt) || ((AlterTableStmt *) statement)->objtype != OBJECT_TABLE)
		return NULL;
	foreach (cell, ((AlterTableStmt *) statement)->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_AttachPartition && IsA(command->def, PartitionCmd))
			return copyObject(((PartitionCmd *) command->def)->name);
	}
	return NULL;
}

/* Refuse a new partition that is attached to a process. Called after the statement, which has locked the table. */
static void
refuse_cut_off(RangeVar *name)
{
	Relation rel = table_openrv_extended(name, NoLock, true);

	if (rel == NULL)
		return;
	if (wf_attachment_is_cut_off(rel))
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("cannot make \"%s\" a partition while it is attached to a process",
					   RelationGetRelationName(rel)),
				errdetail("Rows that come through its parent would start nothing."),
				errhint("Detach it first with workflow.detach; then it, or its parent, can be attached again."));
	table_close(rel, NoLock);
}

/* In an executor, or in what workflow.advance runs, as an executor would. */
static bool
runs_steps(void)
{
	if (MyBgworkerEntry != NULL)
		return strcmp(MyBgworkerEntry->bgw_function_name, "workflow_executor_main") == 0;
	return wf_play_stands() && InSecurityRestrictedOperation();
}

static void
refuse_deferring(Node *statement)
{
	if (IsA(statement, ConstraintsSetStmt) && ((ConstraintsSetStmt *) statement)->deferred && runs_steps())
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("cannot defer constraints in a workflow executor"),
				errdetail("Steps and write-backs check all constraints at once."));
}

/* A user mapping that a statement makes or changes. */
typedef struct Mapping
{
	char	 *server; /* NULL: it is no such statement */
	RoleSpec *user;
} Mapping;

static Mapping
mapping_of(Node *statement)
{
	if (IsA(statement, CreateUserMappingStmt))
		return (Mapping){pstrdup(((CreateUserMappingStmt *) statement)->servername),
						 copyObject(((CreateUserMappingStmt *) statement)->user)};
	if (IsA(statement, AlterUserMappingStmt))
		return (Mapping){pstrdup(((AlterUserMappingStmt *) statement)->servername),
						 copyObject(((AlterUserMappingStmt *) statement)->user)};
	return (Mapping){NULL};
}

static void
look_at_mapping(const Mapping *mapping)
{
	bool is_public = mapping->user->roletype == ROLESPEC_PUBLIC;
	Oid	 role = is_public ? InvalidOid : get_rolespec_oid(mapping->user, true);

	if (is_public || OidIsValid(role))
		wf_idle_options_of_mapping(mapping->server, role);
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
		   ParamListInfo params, QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	bool	  ours = concerns_us(pstmt->utilityStmt);
	NodeTag	  tag = nodeTag(pstmt->utilityStmt); /* running the statement may change the tree */
	RangeVar *partition = new_partition(pstmt->utilityStmt);
	Mapping	  mapping = mapping_of(pstmt->utilityStmt);

	refuse_deferring(pstmt->utilityStmt);
	if (tag == T_TransactionStmt)
		wf_play_before_commit();
	if (ours)
		before(pstmt->utilityStmt, context == PROCESS_UTILITY_TOPLEVEL && !IsTransactionBlock());
	if (previous_utility_hook)
		previous_utility_hook(pstmt, query, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env, dest, qc);
	if (tag != T_TransactionStmt)
		wf_play_before_commit(); /* COPY may have brought a foreign data wrapper */
	if (ours)
		after(tag);
	if (mapping.server != NULL)
		look_at_mapping(&mapping);
	if (partition != NULL)
		refuse_cut_off(partition);
}

void
wf_utility_hook_install(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	previous_access_hook = object_access_hook;
	object_access_hook = on_object_access;
}
