/*
 * launcher.c
 *		The launcher: the one process in the cluster that starts dispatchers in databases that have the extension.
 *
 * The launcher is connected to no database. To learn whether a database has the extension, it starts a dispatcher
 * there, which exits at once if not (a probe). Few probes run at a time, since worker slots are scarce.
 *
 * What the launcher knows of databases is in its own memory, and a new launcher begins with nothing; which workers are
 * running is in shared memory. It is woken by dispatchers that begin or end, and by transactions that have changed
 * databases or the extension. It sleeps for a limited time only while a dispatcher is to be started after a pause.
 */
#include "compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "shmem/copies.h"
#include "shmem/registration.h"
#include "shmem/shown.h"
#include "shmem/workers.h"
#include "worker/worker.h"

#define RESTART_SECONDS		   5 /* pause before the postmaster starts the launcher again */
#define PROBES_AT_ONCE		   2
#define FIRST_PAUSE_MS		   1000
#define FIRST_REFUSAL_PAUSE_MS 100
#define LONGEST_PAUSE_MS	   60000
/* Shortest time between two starts in a copy, since each prepared transaction that ends there asks for one. */
#define COPY_PAUSE_MS 1000
/* A dispatcher that ran for so long before it died has not failed several times in a row. */
#define RAN_WELL_MS 60000

/* What is known of a database. */
typedef enum Finding
{
	UNKNOWN,  /* a dispatcher has to be started, to find out */
	PRESENT,  /* it has the extension, and should have a dispatcher */
	UNUSABLE, /* it has no extension, or another version: no dispatcher until something changes */
	NO_ROOM,  /* too many databases have workers: no dispatcher until one of them has none any more */
	COPY,	  /* it is a copy of another database: no dispatcher until a transaction asks for a look */
} Finding;

typedef struct Database
{
	Oid						oid;
	Finding					finding;
	bool					exists;		/* the last scan of pg_database has found it */
	bool					awaited;	/* its dispatcher was started, and has not been seen to end */
	bool					again;		/* the exit reason of that dispatcher may be out of date */
	bool					holds_slot; /* it has a slot in shared memory */
	bool					counted;	/* it counts for workflow.databases, since it was found to have the extension */
	WfTicket				ticket;
	BackgroundWorkerHandle *handle; /* of its dispatcher; NULL: none, or one that a former launcher has started */
	TimestampTz				started_at;
	int						failures;	 /* how often in a row its dispatcher has died */
	bool					refused;	 /* no worker slot was free for its dispatcher */
	TimestampTz				start_after; /* start no dispatcher before this time */
} Database;

static List *databases = NIL; /* of Database *, in TopMemoryContext */
static int	 probing;		  /* databases whose finding is unknown and that have a dispatcher */
static bool	 scan_pending;	  /* pg_database has to be scanned again */
static int	 refusals = 0;	  /* how often in a row no worker slot was free */

void
wf_launcher_register(void)
{
	BackgroundWorker worker;

	wf_worker_prepare(&worker, WF_LAUNCHER, InvalidOid, NULL);
	worker.bgw_restart_time = RESTART_SECONDS;
	RegisterBackgroundWorker(&worker);
}

/* ---- the list of databases ---- */

static Database *
find_database(Oid oid)
{
	ListCell *cell;

	foreach (cell, databases)
	{
		Database *database = lfirst(cell);

		if (database->oid == oid)
			return database;
	}
	return NULL;
}

static void
found_database(Oid oid)
{
	Database *database = find_database(oid);

	if (database == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		database = palloc0(sizeof(Database));
		database->oid = oid;
		databases = lappend(databases, database);
		MemoryContextSwitchTo(old);
	}
	database->exists = true;
}

/* Add databases that are not known yet; the scan has not found them. */
static void
adopt(int n, Oid *oids)
{
	for (int i = 0; i < n; i++)
	{
		if (find_database(oids[i]) != NULL)
			continue;
		found_database(oids[i]);
		find_database(oids[i])->exists = false;
	}
	pfree(oids);
}

/*
 * Add databases that were dropped, and of which a former launcher has left a slot or an entry for a copy. They are
 * wound up like others that do not exist any more.
 */
static void
adopt_remains(void)
{
	Oid *oids;
	int	 n = wf_slot_databases(&oids);

	adopt(n, oids);
	n = wf_copies_list(&oids);
	adopt(n, oids);
}

static void
scan_databases(void)
{
	Relation	  rel;
	TableScanDesc scan;
	HeapTuple	  tuple;
	ListCell	 *cell;

	foreach (cell, databases)
		((Database *) lfirst(cell))->exists = false;

	wf_begin_transaction();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		/* A limit below -1 marks a database whose DROP DATABASE was interrupted. */
		if (form->datallowconn && form->datconnlimit >= -1)
			found_database(form->oid);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(TopMemoryContext);
	pgstat_report_activity(STATE_IDLE, NULL);

	adopt_remains();
}

/* The extension has changed in this database: find out anew, with a new dispatcher. */
static void
probe_again(Database *database)
{
	database->finding = UNKNOWN;
	database->failures = 0;
	database->start_after = 0;
	/* Running workers may still use what was there before. */
	wf_database_terminate(database->oid);
}

/*
 * The extension may have come to this database, or a copy may be none any more. A dispatcher that runs is not
 * disturbed, but should it exit, its exit reason is out of date. Databases that found no room go on waiting for room.
 */
static void
look_again(Database *database)
{
	if (database->awaited)
		database->again = true;
	else if (database->finding == UNUSABLE || database->finding == COPY)
	{
		database->start_after =
			database->finding == UNUSABLE ? 0 : TimestampTzPlusMilliseconds(database->started_at, COPY_PAUSE_MS);
		database->finding = UNKNOWN;
		database->failures = 0;
	}
}

/* Call a function for these databases, or for all of them. One that is not known yet has to be found by a scan. */
static void
for_each(void (*what)(Database *database), const Oid *oids, int n, bool all)
{
	ListCell *cell;

	if (all)
	{
		foreach (cell, databases)
			what(lfirst(cell));
		return;
	}
	for (int i = 0; i < n; i++)
	{
		Database *database = find_database(oids[i]);

		if (database != NULL)
			what(database);
		else
			scan_pending = true;
	}
}

static void
take_requests(void)
{
	WfLauncherRequests requests;

	wf_launcher_take(&requests);
	scan_pending |= requests.scan;
	for_each(probe_again, requests.probes, requests.nprobes, requests.probe_all);
	for_each(look_again, requests.looks, requests.nlooks, requests.look_all);
}

/* ---- one database ---- */

static void
forget_handle(Database *database)
{
	if (database->handle != NULL)
		pfree(database->handle);
	database->handle = NULL;
}

static void
record_failure(Database *database, TimestampTz now)
{
	if (TimestampDifferenceExceeds(database->started_at, now, RAN_WELL_MS))
		database->failures = 0;
	database->start_after =
		TimestampTzPlusMilliseconds(now, Min((long) FIRST_PAUSE_MS << Min(database->failures, 10), LONGEST_PAUSE_MS));
	database->failures++;
	scan_pending = true; /* the dispatcher may have died because its database was dropped */
}

/* A database that counted does not any more, so that databases that found no room may try again. */
static void
offer_places(Database *left)
{
	ListCell *cell;

	left->counted = false;
	foreach (cell, databases)
	{
		Database *database = lfirst(cell);

		if (database->finding == NO_ROOM)
			database->finding = UNKNOWN;
	}
}

/* If executors are still there, the slot stays; the last of them wakes the launcher. */
static void
give_slot_back(Database *database)
{
	database->holds_slot = !wf_slot_release(database->oid);
}

/* The dispatcher of a database has ended: its exit reason says whether and when to start another one. */
static void
dispatcher_has_ended(Database *database, WfExitReason exit_reason, TimestampTz now)
{
	bool again = database->again;

	database->awaited = database->again = false;
	forget_handle(database);
	switch (exit_reason)
	{
		case WF_EXIT_NONE:
			record_failure(database, now);
			break;
		case WF_EXIT_STOPPED:
			database->failures = 0;
			database->start_after = 0;
			break;
		case WF_EXIT_ABSENT:
			wf_copy_forget(database->oid);
			database->finding = UNUSABLE;
			break;
		case WF_EXIT_VERSION:
			database->finding = UNUSABLE;
			break;
		case WF_EXIT_COPY:
			database->finding = COPY;
			break;
		case WF_EXIT_TURNED_COPY:
			database->finding = COPY;
			database->counted = true; /* the dispatcher was confirmed, even if the launcher has not seen that */
			break;
		case WF_EXIT_NO_ROOM:
			database->finding = NO_ROOM;
			break;
	}
	if (database->finding != PRESENT)
		give_slot_back(database);
	if ((database->finding == UNUSABLE || database->finding == COPY) && database->counted)
		offer_places(database);
	if (again)
		look_again(database);
}

/* See what has become of a dispatcher that was started. */
static void
follow_database(Database *database, TimestampTz now)
{
	WfExitReason exit_reason;
	pid_t		 pid;

	switch (wf_dispatcher_look(database->oid, &exit_reason))
	{
		case WF_DISPATCHER_STARTING:
			if (database->handle != NULL && GetBackgroundWorkerPid(database->handle, &pid) != BGWH_STOPPED)
				break;
			/* It may have attached and ended between these two looks. */
			wf_dispatcher_unreserve(database->oid, &database->ticket);
			(void) wf_dispatcher_look(database->oid, &exit_reason);
			dispatcher_has_ended(database, exit_reason, now);
			break;
		case WF_DISPATCHER_PROBING:
			break;
		case WF_DISPATCHER_CONFIRMED:
			database->finding = PRESENT;
			database->counted = true;
			break;
		case WF_DISPATCHER_NONE:
			dispatcher_has_ended(database, exit_reason, now);
			break;
	}
}

static void
remember_no_slot(Database *database, TimestampTz now)
{
	if (refusals++ == 0)
		ereport(LOG, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("no background worker slot is free for a workflow dispatcher"),
				errdetail("It is tried again from time to time; nothing is sent meanwhile."),
				errhint("Increase max_worker_processes and restart the server."));
	database->refused = true;
	database->start_after =
		TimestampTzPlusMilliseconds(now, Min((long) FIRST_REFUSAL_PAUSE_MS << Min(refusals - 1, 10), LONGEST_PAUSE_MS));
}

static void
register_dispatcher(Database *database, TimestampTz now)
{
	BackgroundWorker worker;
	MemoryContext	 old = MemoryContextSwitchTo(TopMemoryContext);

	wf_worker_prepare(&worker, WF_DISPATCHER, database->oid, &database->ticket);
	worker.bgw_notify_pid = MyProcPid;
	if (RegisterDynamicBackgroundWorker(&worker, &database->handle))
	{
		database->awaited = true;
		database->started_at = now;
		database->refused = false;
		refusals = 0;
	}
	else
	{
		database->handle = NULL;
		wf_dispatcher_unreserve(database->oid, &database->ticket);
		if (database->finding == UNKNOWN)
			give_slot_back(database);
		remember_no_slot(database, now);
	}
	MemoryContextSwitchTo(old);
}

static void
start_dispatcher(Database *database, TimestampTz now)
{
	switch (wf_dispatcher_reserve(database->oid, &database->ticket))
	{
		case WF_RESERVED:
			database->holds_slot = true;
			register_dispatcher(database, now);
			break;
		case WF_RESERVE_BLOCKED:
			break;
		case WF_RESERVE_RUNNING: /* a former launcher has started it */
			database->holds_slot = true;
			database->awaited = true;
			database->started_at = now;
			break;
		case WF_RESERVE_FULL: /* for a moment: there are slots for probes, and some are freed when executors exit */
			database->start_after = TimestampTzPlusMilliseconds(now, FIRST_PAUSE_MS);
			break;
	}
}

/* Clear what is left of a dropped database. Returns true if nothing is left, so that it can be forgotten. */
static bool
wind_up(Database *database)
{
	if (!wf_slot_release(database->oid))
		return false;
	if (database->counted)
		offer_places(database);
	wf_copy_forget(database->oid);
	forget_handle(database);
	return true;
}

/* Look after a database: follow its dispatcher, or start one. Returns when to call again, or DT_NOEND. */
static TimestampTz
look_after(Database *database, TimestampTz now)
{
	if (database->awaited)
		follow_database(database, now);
	if (database->awaited)
	{
		probing += database->finding == UNKNOWN;
		return DT_NOEND;
	}
	if (database->finding == UNUSABLE || database->finding == NO_ROOM || database->finding == COPY)
	{
		database->refused = false;
		if (database->holds_slot)
			give_slot_back(database);
		return DT_NOEND;
	}
	if (database->start_after > now)
		return database->start_after;
	if (database->finding == UNKNOWN && probing >= PROBES_AT_ONCE)
		return DT_NOEND; /* the end of another probe wakes the launcher */
	start_dispatcher(database, now);
	if (!database->awaited)
		return database->start_after > now ? database->start_after : DT_NOEND;
	probing += database->finding == UNKNOWN;
	return DT_NOEND;
}

/* ---- the loop ---- */

/* Show in the view workers that a database has no dispatcher because no worker slot is free. */
static void
log_refused_dispatcher(void)
{
	bool	  refused = false;
	ListCell *cell;

	foreach (cell, databases)
		refused |= ((Database *) lfirst(cell))->refused;
	wf_show_dispatchers_refused(refused);
}

static TimestampTz
look_after_all(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	TimestampTz at;
	ListCell   *cell;

	/* Probes that are under way have to be counted before others are started. */
	probing = 0;
	foreach (cell, databases)
	{
		Database *database = lfirst(cell);

		if (!database->exists)
		{
			if (wind_up(database))
			{
				databases = foreach_delete_current(databases, cell);
				pfree(database);
			}
		}
		else if (database->awaited)
		{
			at = look_after(database, now); /* outside of Min, which would call it twice */
			next = Min(next, at);
		}
	}
	foreach (cell, databases)
	{
		Database *database = lfirst(cell);

		if (database->exists && !database->awaited)
		{
			at = look_after(database, now);
			next = Min(next, at);
		}
	}
	return next;
}

static void
sleep_until(TimestampTz next)
{
	int	 events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long timeout = -1;

	if (next != DT_NOEND)
	{
		events |= WL_TIMEOUT;
		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);
	}
	(void) WaitLatch(MyLatch, events, timeout, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

void
workflow_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	ConfigReloadPending = true; /* a SIGHUP that came earlier was ignored */
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_session_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_IDLE, NULL);
	wf_launcher_attach();

	for (;;)
	{
		TimestampTz next;

		(void) wf_worker_interrupts();
		take_requests();
		if (scan_pending)
		{
			scan_pending = false;
			scan_databases();
			SetLatch(MyLatch); /* a wait for a lock during the scan may have reset it */
		}
		next = look_after_all();
		log_refused_dispatcher();
		if (!scan_pending)
			sleep_until(next);
	}
}
