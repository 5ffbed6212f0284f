/*
 * registration.c
 *		A worker process before it runs: its description, and the place that is reserved for it.
 */
#include "postgres.h"

#include "postmaster/bgworker.h"

#include "shmem/slots.h"

void
wf_worker_prepare(BackgroundWorker *worker, WfWorkerKind kind, Oid database, const WfTicket *ticket)
{
	static const char *const types[] = {"workflow launcher", "workflow dispatcher", "workflow executor"};
	static const char *const functions[] = {"workflow_launcher_main", "workflow_dispatcher_main",
											"workflow_executor_main"};

	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, "workflow", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, functions[kind], sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_type, types[kind], sizeof(worker->bgw_type));
	if (OidIsValid(database))
		snprintf(worker->bgw_name, sizeof(worker->bgw_name), "%s for database %u", types[kind], database);
	else
		strlcpy(worker->bgw_name, types[kind], sizeof(worker->bgw_name));
	worker->bgw_main_arg = ObjectIdGetDatum(database);
	if (ticket != NULL)
		memcpy(worker->bgw_extra, ticket, sizeof(*ticket));
}

int
wf_worker_orphan(WfWorker *worker, int n)
{
	int orphaned = 0;

	Assert(LWLockHeldByMeInMode(wf_shared->lock, LW_EXCLUSIVE));
	for (int i = 0; i < n; i++)
	{
		if (worker[i].state != WF_WORKER_STARTING)
			continue;
		worker[i].state = WF_WORKER_NONE;
		worker[i].generation++;
		orphaned++;
	}
	return orphaned;
}
