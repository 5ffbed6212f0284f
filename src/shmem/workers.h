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

#include "datatype/timestamp.h"
#include "postmaster/bgworker.h"

#include "shmem/shmem.h"

typedef enum WfWorkerKind
{
	WF_LAUNCHER,
	WF_DISPATCHER,
	WF_EXECUTOR,
} WfWorkerKind;

/* Goes with a started process, in bgw_extra. */
typedef struct WfTicket
{
	int			index;
	uint32		generation;
} WfTicket;

/* Fill in what dispatchers and executors have in common. The caller may set bgw_notify_pid. */
extern void wf_worker_prepare(BackgroundWorker *worker, WfWorkerKind kind, Oid database, const WfTicket *ticket);

/* The exit reason of a dispatcher. */
typedef enum WfVerdict
{
	WF_VERDICT_NONE,	/* it died, or was terminated */
	WF_VERDICT_ABSENT,	/* the extension is not installed */
	WF_VERDICT_VERSION, /* the extension has another version than this library */
	WF_VERDICT_NO_ROOM, /* workflow.databases other databases have workers */
	WF_VERDICT_COPY,	/* the rows belong to another database */
	WF_VERDICT_TURNED_COPY, /* the same, after it had been confirmed as none */
	WF_VERDICT_STOPPED, /* it was stopped on purpose: start it again as soon as possible */
} WfVerdict;

/* ---- the launcher's side ---- */
#define WF_MAX_PROBES 16

typedef struct WfLauncherRequests
{
	bool		scan;	   /* databases have come, gone or changed */
	bool		probe_all; /* more databases to probe than fit */
	bool		look_all;  /* more databases to look at than fit */
	int			nprobes;
	int			nlooks;
	/* The extension has changed or gone there: running workers are stopped. */
	Oid			probes[WF_MAX_PROBES];
	/*
	 * The extension may have come, or a copy may be none any more: running workers are left alone.
	 */
	Oid			looks[WF_MAX_PROBES];
} WfLauncherRequests;

typedef enum WfDispatcherState
{
	WF_DISPATCHER_NONE,
	WF_DISPATCHER_STARTING,
	WF_DISPATCHER_PROBING,	 /* has attached, and not said yet whether the extension is there */
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

extern void wf_launcher_attach(void);
extern void wf_launcher_take(WfLauncherRequests *requests);
extern WfReserve wf_dispatcher_reserve(Oid database, WfTicket *ticket);
/* the process could not be started */
extern void wf_dispatcher_unreserve(Oid database, const WfTicket *ticket);
extern WfDispatcherState wf_dispatcher_look(Oid database, WfVerdict *verdict);
extern void wf_database_terminate(Oid database); /* SIGTERM to its workers; exit reason STOPPED */
/*
 * Give the database's slot back. Returns true if it has none any more; false while workers are
 * still there, the last of which wakes the launcher.
 */
extern bool wf_slot_release(Oid database);
/* Databases with a slot, as a palloc'd array. */
extern int	wf_slot_databases(Oid **databases);
/* Databases that were found to be copies, as a palloc'd array. */
extern int	wf_copies_list(Oid **databases);
extern void wf_copy_forget(Oid database); /* the database, or its extension, has gone */

/* ---- the worker's side ---- */
/* Attach this process. Returns false if it must exit, since it is not expected any more. */
extern bool wf_worker_attach(WfWorkerKind kind, Oid database);
/* the extension is there; false if no slot is free for its database */
extern bool wf_worker_confirm(void);
extern void wf_worker_verdict(WfVerdict verdict);
/* The dispatcher says whether it is in a copy. Returns true if it is, and that is news. */
extern bool wf_copy_say(bool copy);
/*
 * Leave, as the dispatcher of a copy. Returns false if it was told to look once more since, and
 * should.
 */
extern bool wf_copy_leave(void);

/* ---- statements ---- */
/*
 * Stop the workers of a database and let none start until this transaction has ended. Waits, with
 * interrupts served, until they are gone, but no longer than a few seconds: then the statement
 * itself will say that the database is in use.
 */
extern void wf_database_block(Oid database);
/* The database has a dispatcher that has found the extension, and stays. */
extern bool wf_database_is_served(Oid database);
/*
 * Requests to the launcher, made at the end of this transaction. _scan: read the list of databases
 * again. _probe: look for the extension in this database, and stop its workers. _look: find out
 * whether this database needs workers; running ones are not disturbed.
 */
extern void wf_launcher_note_scan(void);
extern void wf_launcher_note_probe(void);
extern void wf_launcher_note_look(void);

/* ---- views ---- */
typedef struct WfWorkerRow
{
	WfWorkerKind kind;
	int			pid; /* 0: there is no process, since the database is a copy, or `refused` */
	bool		refused; /* no worker slot is free */
	Oid			database; /* InvalidOid: none */
	TimestampTz started_at;
	bool		idle;		/* for an executor */
	Oid			role;		/* the role that an executor serves; InvalidOid: none */
	WfPause		pause;		/* for a dispatcher */
	int			in_flight;
	uint64		handled;
	/* For a dispatcher: what upkeep cannot do ("": nothing fails), and why. */
	char		failure[WF_UPKEEP_FAILURE_LEN];
	char		error[WF_UPKEEP_ERROR_LEN];
} WfWorkerRow;

typedef struct WfServerRow
{
	char		name[NAMEDATALEN];
	WfServerCounts counts;
} WfServerRow;

/* Rows for the views, as palloc'd copies. Returns how many. */
extern int	wf_workers_list(WfWorkerRow **rows);
extern int	wf_servers_list(WfServerRow **rows); /* of this database */

/* For the dispatcher: executors that were started and never attached give up their places. */
extern void wf_executors_reap(void);

#endif
