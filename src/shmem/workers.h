/*
 * workers.h
 *		Where the launcher, the worker processes and statements on whole databases meet.
 *
 * A worker attaches to its database's slot before it connects to the database, and detaches when it has left it for
 * good: who waits for a slot to be empty knows that nobody is connected any more.
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

/* What a dispatcher has to say when it goes. */
typedef enum WfVerdict
{
	WF_VERDICT_NONE,	/* it died, or was terminated */
	WF_VERDICT_ABSENT,	/* the extension is not there */
	WF_VERDICT_VERSION, /* of another version than this library */
	WF_VERDICT_NO_ROOM, /* workflow.databases others have workers */
	WF_VERDICT_COPY,	/* the rows there belong to another database */
	WF_VERDICT_TURNED_COPY, /* likewise; it had been confirmed before */
	WF_VERDICT_STOPPED, /* on purpose: start it again as soon as may be */
} WfVerdict;

/* ---- the launcher's side ---- */
#define WF_MAX_PROBES 16

typedef struct WfLauncherRequests
{
	bool		scan;	   /* databases have come, gone or changed */
	bool		probe_all; /* more databases to look at than fit */
	bool		look_all;  /* likewise */
	int			nprobes;
	int			nlooks;
	Oid			probes[WF_MAX_PROBES]; /* the extension has changed or gone there: workers that run are stopped */
	Oid			looks[WF_MAX_PROBES];  /* it may have come, or a copy may be none any more: workers that run are left alone */
} WfLauncherRequests;

typedef enum WfDispatcherState
{
	WF_DISPATCHER_NONE,
	WF_DISPATCHER_STARTING,
	WF_DISPATCHER_PROBING,	 /* has attached, has not said yet whether the extension is there */
	WF_DISPATCHER_CONFIRMED,
} WfDispatcherState;

typedef enum WfReserve
{
	WF_RESERVED,
	WF_RESERVE_BLOCKED, /* by a statement; the launcher is woken when it has ended */
	WF_RESERVE_FULL,	/* no slot is free */
	WF_RESERVE_RUNNING, /* there is one already */
} WfReserve;

extern void wf_launcher_attach(void);
extern void wf_launcher_take(WfLauncherRequests *requests);
extern WfReserve wf_dispatcher_reserve(Oid database, WfTicket *ticket);
extern void wf_dispatcher_unreserve(Oid database, const WfTicket *ticket); /* it could not be started */
extern WfDispatcherState wf_dispatcher_look(Oid database, WfVerdict *verdict);
extern void wf_database_terminate(Oid database); /* SIGTERM to its workers; verdict STOPPED */
/* Give its slot back: true if there is none any more; false while workers are still there, the last of which wakes the launcher. */
extern bool wf_slot_release(Oid database);
/* Databases with a slot, as a palloc'd array. */
extern int	wf_slot_databases(Oid **databases);
/* Databases that were found to be copies, likewise. */
extern int	wf_copies_list(Oid **databases);
extern void wf_copy_forget(Oid database); /* it has gone, or the extension has */

/* ---- the worker's side ---- */
/* False if this process must not go on: it is not awaited any more. */
extern bool wf_worker_attach(WfWorkerKind kind, Oid database);
extern bool wf_worker_confirm(void); /* the extension is there; false if there is no room */
extern void wf_worker_verdict(WfVerdict verdict);
extern bool wf_copy_say(bool copy); /* what the dispatcher has found; true if that it is one is news */
/* The verdict of a dispatcher that finds itself in a copy. False: it was told to look once more since, and should. */
extern bool wf_copy_leave(void);

/* ---- statements ---- */
/*
 * Stop the workers of a database and let none start until this transaction has ended. Waits, with interrupts served,
 * until they are gone, but not longer than a few seconds: then the statement itself will say that the database is in use.
 */
extern void wf_database_block(Oid database);
extern bool wf_database_is_served(Oid database); /* it has a dispatcher that has found the extension, and stays */
/*
 * At the end of this transaction the launcher looks again: at the list of databases; for the extension in this one, whose workers
 * are stopped; or, by _look, whether workers are wanted in this one, where none are: those that are there are not disturbed.
 */
extern void wf_launcher_note_scan(void);
extern void wf_launcher_note_probe(void);
extern void wf_launcher_note_look(void);

/* ---- views ---- */
typedef struct WfWorkerRow
{
	WfWorkerKind kind;
	int			pid; /* 0: there is no process, since the database is a copy, or */
	bool		refused; /* no worker slot is free for one */
	Oid			database; /* InvalidOid: none */
	TimestampTz started_at;
	bool		idle;		/* of an executor */
	Oid			role;		/* likewise; InvalidOid: none */
	WfPause		pause;		/* of a dispatcher */
	int			in_flight;
	uint64		handled;
	char		failure[WF_UPKEEP_FAILURE_LEN]; /* of a dispatcher: what upkeep cannot do, "": all is well; and why */
	char		error[WF_UPKEEP_ERROR_LEN];
} WfWorkerRow;

typedef struct WfServerRow
{
	char		name[NAMEDATALEN];
	WfServerCounts counts;
} WfServerRow;

/* palloc'd copies */
extern int	wf_workers_list(WfWorkerRow **rows);
extern int	wf_servers_list(WfServerRow **rows); /* of this database */

/* Dispatcher: executors that were started and never came give their places up. */
extern void wf_executors_reap(void);

#endif
