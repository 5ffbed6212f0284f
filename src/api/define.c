/*
 * define.c
 *		workflow.define and workflow.undefine.
 *
 * define holds a lock on the process's row until the end of the transaction, so that versions are
 * counted without gaps and nobody meets a unique violation; undefine takes the stronger lock, for
 * which new attachments wait. A definition is stored as it was written; a stored version never
 * changes.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "api/check.h"
#include "api/define.h"
#include "engine/report.h"
#include "model/definition.h"
#include "shmem/wakeups.h"
#include "store/access.h"
#include "store/audit.h"
#include "store/delivery.h"
#include "store/identity.h"
#include "store/kept.h"
#include "store/message_start.h"
#include "store/privilege.h"
#include "store/process.h"
#include "store/query.h"
#include "store/token.h"
#include "store/version.h"

#define MAX_NAME_LENGTH 200

static WfQuery q_new = {
	.sql = "INSERT INTO workflow_data.process (process, owner, owner_name, latest) "
		   "VALUES ($1, $2, $3, 0) ON CONFLICT (process) DO NOTHING",
	.nargs = 3,
	.argtypes = {TEXTOID, OIDOID, NAMEOID},
};
static WfQuery q_lock = {
	.sql = "SELECT owner, owner_name FROM workflow_data.process WHERE process_id = $1 FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_lock_whole = {
	.sql = "SELECT latest FROM workflow_data.process WHERE process_id = $1 FOR UPDATE",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_last = {
	.sql = "SELECT v.version, v.definition::jsonb = $2::jsonb AND v.search_path = $3 AND v.timezone = $4 "
		   "FROM workflow_data.process_version v WHERE v.process_id = $1 "
		   "ORDER BY v.process_id DESC, v.version DESC LIMIT 1",
	.nargs = 4,
	.argtypes = {INT4OID, JSONOID, TEXTOID, TEXTOID},
};
static WfQuery q_add = {
	.sql = "INSERT INTO workflow_data.process_version "
		   "(process_id, version, definition, search_path, timezone, defined_at) "
		   "VALUES ($1, $2, $3, $4, $5, $6)",
	.nargs = 6,
	.argtypes = {INT4OID, INT4OID, JSONOID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
};
static WfQuery q_set_latest = {
	.sql = "UPDATE workflow_data.process p SET latest = $2, retention = CASE WHEN $2 = 0 THEN p.retention "
		   "ELSE (SELECT (v.definition ->> 'retention')::interval FROM workflow_data.process_version v "
		   "WHERE v.process_id = $1 AND v.version = $2) END "
		   "WHERE p.process_id = $1 AND p.latest <> $2",
	.nargs = 2,
	.argtypes = {INT4OID, INT4OID},
};
static WfQuery q_attached = {
	.sql =
		"SELECT c.oid::regclass::text, quote_literal(c.oid::regclass) FROM workflow_data.attachment a JOIN pg_class c ON c.oid = a.relation "
		"WHERE a.process_id = $1 AND a.detached_at IS NULL LIMIT 1",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_living = {
	.sql = "SELECT i.instance FROM workflow_data.instance i WHERE i.process_id = $1 ORDER BY i.instance LIMIT 1",
	.nargs = 1,
	.argtypes = {INT4OID},
};
static WfQuery q_maintained = {
	.sql = "SELECT 1 FROM workflow_data.delivery WHERE kind = '" WF_DELIVERY_MAINTAIN "' LIMIT 1",
};

WF_FUNCTION(workflow_define);
WF_FUNCTION(workflow_undefine);

/* A version that is about to be stored. */
typedef struct Draft
{
	char *name;
	char *json;
	char *search_path; /* that of the author's session */
	char *timezone;
	int	  process_id;
	Oid	  owner;
} Draft;

static char *
read_name(FunctionCallInfo fcinfo)
{
	char *name = wf_argument_text_required(fcinfo, 0, "name");

	if (name[strspn(name, " \t\r\n")] == '\0')
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the name of a process must not be empty"));
	if (pg_mbstrlen(name) > MAX_NAME_LENGTH)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the name of a process has at most %d characters", MAX_NAME_LENGTH));
	if (strncmp(name, WF_REPORT_PROCESS, strlen(WF_REPORT_PROCESS)) == 0)
		ereport(ERROR, errcode(ERRCODE_RESERVED_NAME), errmsg("process name \"%s\" is reserved", name),
				errdetail("Names that begin with \"%s\" are those of processes that post to the callback_url of calls.",
						  WF_REPORT_PROCESS));
	return name;
}

/* ---- the row of the process ---- */

static bool
insert_process(const char *name, Oid owner)
{
	NameData owner_name;
	Datum	 values[3];

	namestrcpy(&owner_name, GetUserNameFromId(owner, false));
	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(owner);
	values[2] = NameGetDatum(&owner_name);
	return wf_query_run(&q_new, values, NULL) > 0;
}

static void
require_owner(const char *name, Oid owner, Oid caller)
{
	if (!has_privs_of_role(caller, owner))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("must be owner of process \"%s\"", name),
				errdetail("Its steps run with the rights of its owner, role \"%s\".", GetUserNameFromId(owner, false)));
}

/*
 * Find the process, or create it as the caller's, and lock its row. The caller's right is checked
 * before the lock, since no other role may even wait for it, and again under the lock.
 */
static void
lock_process(Draft *draft, Oid caller)
{
	Datum values[1];
	bool  isnull;
	char *owner_name;

	/*
	 * if another session creates it at this very moment, INSERT waits for that and the process is
	 * found then
	 */
	draft->process_id = wf_process_id(draft->name);
	if (draft->process_id == 0)
	{
		insert_process(draft->name, caller);
		draft->process_id = wf_process_id(draft->name);
	}
	draft->owner = wf_process_owner(draft->process_id);
	if (OidIsValid(draft->owner))
		require_owner(draft->name, draft->owner, caller);
	values[0] = Int32GetDatum(draft->process_id);
	if (wf_query_run(&q_lock, values, NULL) == 0)
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access to process \"%s\" due to concurrent update", draft->name));
	draft->owner = DatumGetObjectId(wf_result(0, 1, &isnull));
	owner_name = pstrdup(NameStr(*DatumGetName(wf_result(0, 2, &isnull))));
	draft->owner = wf_role_resolve(draft->owner, owner_name);
	if (!OidIsValid(draft->owner))
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("role \"%s\", the owner of process \"%s\", does not exist any more", owner_name, draft->name),
			errhint(
				"Create the role again and run SELECT workflow.adopt(), or define the process under another name."));
	require_owner(draft->name, draft->owner, caller);
}

/* ---- the version ---- */

/*
 * Check the draft; throws if it has faults. Returns the warnings, which are told once the version
 * is stored.
 */
static WfIssues
check(const Draft *draft)
{
	WfIssues warnings = {0};
	WfIssues issues = {.warnings = &warnings};

	(void) wf_check_definition(draft->json, draft->name, draft->owner, draft->search_path, &issues);
	if (issues.n > 0)
		wf_issues_report(draft->name, &issues);
	return warnings;
}

/* Make this version the latest. Returns false if it was already. */
static bool
set_latest(int process_id, int version)
{
	Datum values[2] = {Int32GetDatum(process_id), Int32GetDatum(version)};

	return wf_query_run(&q_set_latest, values, NULL) > 0;
}

/*
 * Store the version and return its number. A definition that equals the last version gets no new
 * number.
 */
static int
store_version(const Draft *draft, TimestampTz now, bool *changed)
{
	Datum definition = CStringGetTextDatum(draft->json);
	Datum search_path = CStringGetTextDatum(draft->search_path);
	Datum timezone = CStringGetTextDatum(draft->timezone);
	Datum last_values[4] = {Int32GetDatum(draft->process_id), definition, search_path, timezone};
	Datum values[6] = {Int32GetDatum(draft->process_id), 0, definition, search_path, timezone,
					   TimestampTzGetDatum(now)};
	int	  version = 0;
	bool  same = false;
	bool  isnull;

	if (wf_query_run(&q_last, last_values, NULL) > 0)
	{
		version = DatumGetInt32(wf_result(0, 1, &isnull));
		same = DatumGetBool(wf_result(0, 2, &isnull));
	}
	if (!same)
	{
		version++;
		values[1] = Int32GetDatum(version);
		wf_query_run(&q_add, values, NULL);
	}
	*changed = set_latest(draft->process_id, version);
	return version;
}

/* ---- what it names ---- */

static void
add_name(List **names, List **steps, const char *name, const char *step)
{
	*names = lappend(*names, unconstify(char *, name));
	*steps = lappend(*steps, unconstify(char *, step));
}

/* Store which messages the version names, and where: who has a right there may keep one. */
static void
store_names(int process_id, int version)
{
	const WfDefinition *def = wf_process_get(process_id, version)->def;
	List			   *names = NIL;
	List			   *steps = NIL;
	const char		  **arrays[2];

	for (int i = 0; i < def->nsteps; i++)
		for (int j = 0; j < def->steps[i].nentries; j++)
			if (def->steps[i].entries[j].event.kind == WF_EVENT_MESSAGE)
				add_name(&names, &steps, def->steps[i].entries[j].event.name, def->steps[i].name);
	for (int i = 0; i < def->nstarts; i++)
		if (def->starts[i].message != NULL)
			add_name(&names, &steps, def->starts[i].message, "");
	for (int k = 0; k < lengthof(arrays); k++)
	{
		arrays[k] = palloc(sizeof(char *) * Max(list_length(names), 1));
		for (int i = 0; i < list_length(names); i++)
			arrays[k][i] = list_nth(k == 0 ? names : steps, i);
	}
	wf_kept_names(process_id, arrays[0], arrays[1], list_length(names));
	wf_message_starts_store(process_id, def);
}

/* ---- what a database with processes needs ---- */

/*
 * Make sure that the one delivery that triggers the upkeep exists; whoever handles it adds the next
 * one.
 */
static void
ensure_maintenance(TimestampTz now)
{
	if (wf_query_run(&q_maintained, NULL, NULL) > 0)
		return;
	LockRelationOid(wf_store_relation("process_version"), ShareUpdateExclusiveLock);
	if (wf_query_run(&q_maintained, NULL, NULL) > 0)
		return;
	wf_delivery_add(0, 0, WF_DELIVERY_MAINTAIN, WF_QUEUE_EXECUTOR, now, NULL);
	wf_wakeup_due(WF_QUEUE_EXECUTOR, now);
}

static void
ensure_ready(TimestampTz now)
{
	wf_token_ensure_key();
	if (wf_identity_check() == WF_IDENTITY_NONE)
	{
		wf_identity_ensure();
		/* A dispatcher that was started without an identity is paused, and may begin now. */
		wf_wakeup_everything();
	}
	ensure_maintenance(now);
}

bool
wf_define_is(int process_id, const char *definition)
{
	Datum values[4] = {Int32GetDatum(process_id), CStringGetTextDatum(definition), CStringGetTextDatum(""),
					   CStringGetTextDatum("UTC")};
	bool  isnull;

	return wf_query_run(&q_last, values, NULL) > 0 && DatumGetBool(wf_result(0, 2, &isnull));
}

int
wf_define_for(Oid owner, const char *name, const char *definition)
{
	Draft		draft = {.name = pstrdup(name), .json = pstrdup(definition), .search_path = "", .timezone = "UTC"};
	TimestampTz now = GetCurrentTimestamp();
	bool		changed;
	int			version;

	lock_process(&draft, owner);
	version = store_version(&draft, now, &changed);
	if (changed)
		store_names(draft.process_id, version);
	ensure_ready(now);
	return draft.process_id;
}

/*
 * workflow.define(name text, definition json) → integer, the version
 *
 * Errors: 22023 with all faults of the definition (0A000 if its only faults are parts that are not
 * supported yet), 42501 for a process of another owner.
 */
Datum
workflow_define(PG_FUNCTION_ARGS)
{
	WfAccess	access;
	Draft		draft = {.name = read_name(fcinfo)};
	TimestampTz now = GetCurrentTimestamp();
	WfIssues	warnings;
	bool		changed;
	int			version;

	PreventCommandIfReadOnly("workflow.define()");
	draft.json = wf_argument_text_required(fcinfo, 1, "definition");
	draft.search_path = pstrdup(namespace_search_path);
	draft.timezone = pstrdup(GetConfigOption("TimeZone", false, false));
	wf_store_enter(&access);
	lock_process(&draft, access.caller);
	warnings = check(&draft);
	version = store_version(&draft, now, &changed);
	if (changed)
		store_names(draft.process_id, version);
	ensure_ready(now);
	if (changed)
		wf_audit(&(WfAudit){.call = "define",
							.caller = access.caller,
							.process_id = draft.process_id,
							.arguments = {{.key = "version", .kind = WF_FIELD_INT, .number = version}}});
	/* Before the store is left, which frees the warnings. */
	wf_issues_notice(draft.name, &warnings);
	wf_store_leave(&access);
	PG_RETURN_INT32(version);
}

/* ---- undefine ---- */

/*
 * Lock the row of the process, waiting for all who use it. Returns the number of its latest
 * version, 0 if it is undefined already.
 */
static int
lock_whole_process(const char *name, int process_id)
{
	Datum values[1] = {Int32GetDatum(process_id)};
	bool  isnull;
	int	  latest;

	wf_query_run(&q_lock_whole, values, NULL);
	latest = DatumGetInt32(wf_result(0, 1, &isnull));
	if (wf_query_run(&q_attached, values, NULL) > 0)
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_IN_USE),
			errmsg("process \"%s\" cannot be undefined while tables are attached to it", name),
			errdetail("Table %s is.", wf_result_text(0, 1)),
			errhint(
				"Detach them first, as their owner or with the privilege \"admin\" on the process: SELECT workflow.detach(%s, %s).",
				wf_result_text(0, 2), quote_literal_cstr(name)));
	return latest;
}

static void
refuse_living(const char *name, int process_id)
{
	Datum values[1] = {Int32GetDatum(process_id)};

	if (wf_query_run(&q_living, values, NULL) > 0)
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_IN_USE),
			errmsg("process \"%s\" cannot be undefined while instances of it live", name),
			errdetail("Instance " INT64_FORMAT " does.", wf_result_int64(0, 1)),
			errhint("Wait for their end, cancel them, or let them go on: SELECT workflow.undefine(%s, force => true).",
					quote_literal_cstr(name)));
}

/*
 * workflow.undefine(name text, force boolean) → boolean: false if it had been undefined already
 *
 * With `force` living instances go on. Errors: 42704 unknown, 42501 without admin, 55006 while tables are
 * attached, or instances live.
 */
Datum
workflow_undefine(PG_FUNCTION_ARGS)
{
	WfAccess access;
	char	*name = wf_argument_text_required(fcinfo, 0, "name");
	bool	 force = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	int		 process_id;
	int		 latest;

	PreventCommandIfReadOnly("workflow.undefine()");
	wf_store_enter(&access);
	process_id = wf_process_id(name);
	if (process_id == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("process \"%s\" does not exist", name));
	wf_privilege_require(process_id, access.caller, WF_PRIVILEGE_ADMIN, WF_PRIVILEGE_ADMIN);
	latest = lock_whole_process(name, process_id);
	if (latest != 0 && !force)
		refuse_living(name, process_id);
	(void) set_latest(process_id, 0);
	wf_message_starts_store(process_id, NULL);
	if (latest != 0)
		wf_audit(&(WfAudit){.call = "undefine",
							.caller = access.caller,
							.process_id = process_id,
							.arguments = {WF_AUDIT_TRUE("force", force)}});
	wf_store_leave(&access);
	PG_RETURN_BOOL(latest != 0);
}
