/*
 * database_worker.c
 *		The start of dispatchers and executors: attach, connect, force the settings, look for the extension, run.
 *
 * The process attaches to its database's slot before it connects, and exits at once if it is not expected there any
 * more (shmem/workers.h says why).
 */
#include "compat.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "shmem/executors.h"
#include "shmem/wakeups.h"
#include "shmem/registration.h"
#include "shmem/workers.h"
#include "store/version.h"
#include "worker/memory.h"
#include "worker/worker.h"

typedef struct Setting
{
	const char *name;
	const char *value;
} Setting;

/* Settings that our SQL and loops rely on. They override those of the server, the database and the role. */
static const Setting forced[] = {
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"session_replication_role", "origin"},
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"},
	{"statement_timeout", "0"},
	{"lock_timeout", "0"},
	{"transaction_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"exit_on_error", "off"},
	{"row_security", "on"},
	{"default_table_access_method", "heap"},
	{"default_tablespace", ""},
	{"plan_cache_mode", "auto"},
	{"jit", "off"},
};

/* More settings for the dispatcher. Executors run users' SQL too, for which these may be set otherwise. */
static const Setting forced_in_dispatcher[] = {
	{"max_parallel_workers_per_gather", "0"},
	{"enable_indexscan", "on"},
	{"enable_indexonlyscan", "on"},
	{"enable_nestloop", "on"},
};

static void
force(const Setting *settings, int n)
{
	for (int i = 0; i < n; i++)
	{
		/* Some versions of PostgreSQL do not have all of these settings. */
		if (GetConfigOption(settings[i].name, true, false) != NULL)
			SetConfigOption(settings[i].name, settings[i].value, PGC_SUSET, PGC_S_OVERRIDE);
	}
}

static void
log_version(const char *version)
{
	ereport(LOG, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("workflow does nothing in database \"%s\": the extension there has version %s, the "
				   "library %s",
				   get_database_name(MyDatabaseId), version, WORKFLOW_VERSION),
			errhint("Run ALTER EXTENSION workflow UPDATE in that database; if the library is the older "
					"one, restart the server with the new one."));
}

static void
log_no_room(void)
{
	ereport(LOG, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			errmsg("workflow does nothing in database \"%s\": too many databases have its workers",
				   get_database_name(MyDatabaseId)),
			errhint("Increase workflow.databases and restart the server."));
}

static WfExitReason
find_extension(WfWorkerKind kind)
{
	char		*version;
	WfExitReason exit_reason = WF_EXIT_NONE;

	wf_begin_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	version = wf_version_installed();
	if (version == NULL)
		exit_reason = WF_EXIT_ABSENT;
	else if (strcmp(version, WORKFLOW_VERSION) != 0)
		exit_reason = WF_EXIT_VERSION;
	if (kind == WF_DISPATCHER && exit_reason == WF_EXIT_VERSION)
		log_version(version);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return exit_reason;
}

static WfExitReason
look_for_room(void)
{
	if (wf_worker_confirm())
		return WF_EXIT_NONE;
	wf_begin_transaction();
	log_no_room();
	CommitTransactionCommand();
	return WF_EXIT_NO_ROOM;
}

/*
 * May this process run? If a dispatcher may not, it leaves its exit reason for the launcher. A copy exits before it is
 * confirmed, so that it does not count for workflow.databases.
 */
static bool
may_run(WfWorkerKind kind)
{
	WfExitReason exit_reason = find_extension(kind);

	if (kind != WF_DISPATCHER)
		return exit_reason == WF_EXIT_NONE;
	if (exit_reason == WF_EXIT_NONE)
	{
		if (wf_dispatcher_in_copy())
			return false;
		exit_reason = look_for_room();
	}
	if (exit_reason != WF_EXIT_NONE)
		wf_worker_exit_reason(exit_reason);
	return exit_reason == WF_EXIT_NONE;
}

static void
run_worker(WfWorkerKind kind, Oid database)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	ConfigReloadPending = true; /* a SIGHUP that came earlier was ignored */
	pqsignal(SIGTERM, die);
	if (!wf_worker_attach(kind, database))
		proc_exit(0);
	BackgroundWorkerUnblockSignals();

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	force(forced, lengthof(forced));
	if (kind == WF_DISPATCHER)
		force(forced_in_dispatcher, lengthof(forced_in_dispatcher));
	if (!may_run(kind))
	{
		if (kind == WF_EXECUTOR)
			wf_executor_idle(true);
		proc_exit(0);
	}

	pgstat_report_activity(STATE_IDLE, NULL);
	wf_memory_limit_begin(kind);
	if (kind == WF_DISPATCHER)
	{
		wf_dispatcher_attach();
		wf_dispatcher_run();
	}
	else
	{
		wf_executor_attach();
		wf_executor_run();
	}
	proc_exit(0);
}

void
workflow_dispatcher_main(Datum database)
{
	run_worker(WF_DISPATCHER, DatumGetObjectId(database));
}

void
workflow_executor_main(Datum database)
{
	run_worker(WF_EXECUTOR, DatumGetObjectId(database));
}
