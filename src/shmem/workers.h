/*
 * workers.h
 *		Where the launcher, the worker processes and statements on whole databases meet.
 *
 * A worker attaches to its database's slot before it connects to the database, and detaches when it
 * has left it for good: whoever waits for a slot to be empty knows that no worker is connected any
 * more.
 */
#ifndef WF_WORKERS_H
#define WF_WORKERS_H

#include "postgres.h"

#include "shmem/registration.h"

/* The exit reason of a dispatcher. */
typedef enum WfExitReason
{
	WF_EXIT_NONE,		 /* it died, or was terminated */
	WF_EXIT_ABSENT,		 /* the extension is not installed */
	WF_EXIT_VERSION,	 /* the extension has another version than this library */
	WF_EXIT_NO_ROOM,	 /* workflow.databases other databases have workers */
	WF_EXIT_COPY,		 /* the rows belong to another database */
	WF_EXIT_TURNED_COPY, /* the same, after it had been confirmed as none */
	WF_EXIT_STOPPED,	 /* it was stopped on purpose: start it again as soon as possible */
} WfExitReason;

/* ---- the launcher's side ---- */
#define WF_MAX_PROBES 16

typedef struct WfLauncherRequests
{
	bool scan;		/* databases have come, gone or changed */
	bool probe_all; /* more databases to probe than fit */
	bool look_all;	/* more databases to probe than fit */
	int	 nprobes;
	int	 nlooks;
	/* The extension has changed or gone there: running workers are stopped. */
	Oid probes[WF_MAX_PROBES];
	/*
	 * The extension may have come, or a copy may be none any more: running workers are left alone.
	 */
	Oid looks[WF_MAX_PROBES];
} WfLauncherRequests;

typedef enum WfDispatcherState
{
	WF_DISPATCHER_NONE,
	WF_DISPATCHER_STARTING,
	WF_DISPATCHER_PROBING, /* has attached, and not said yet whether the extension is there */
	WF_DISPATCHER_CONFIRMED,
} WfDispatcherState;

typedef enum WfReserve
{
	WF_RESERVED,
	/* By a statement; the launcher is woken when that has ended. */
	WF_RESERVE_BLOCKED,
	WF_RESERVE_FULL,	/* no slot is free */
	WF_RESERVE_RUNNING, /* the database has a dispatcher */
} WfReserve;

extern void		 wf_launcher_attach(void);
extern void		 wf_launcher_take(WfLauncherRequests *requests);
extern WfReserve wf_dispatcher_reserve(Oid database, WfTicket *ticket);
/* the process could not be started */
extern void				 wf_dispatcher_unreserve(Oid database, const WfTicket *ticket);
extern WfDispatcherState wf_dispatcher_look(Oid database, WfExitReason *exit_reason);
extern void				 wf_database_terminate(Oid database); /* SIGTERM to its workers; exit reason STOPPED */
/*
 * Give the database's slot back. Returns true if it has none any more; false while workers are
 * still there, the last of which wakes the launcher.
 */
extern bool wf_slot_release(Oid database);
/* Databases with a slot, as a palloc'd array. */
extern int wf_slot_databases(Oid **databases);

/* ---- the worker's side ---- */
/* Attach this process. Returns false if it must exit, since it is not expected any more. */
extern bool wf_worker_attach(WfWorkerKind kind, Oid database);
/* the extension is there; false if no slot is free for its database */
extern bool wf_worker_confirm(void);
extern void wf_worker_exit_reason(WfExitReason exit_reason);

#endif
