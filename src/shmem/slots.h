/*
 * slots.h
 *		Layout of the shared memory; private to shmem/.
 *
 * Two kinds of lock:
 * - `lock` (LWLock): which slot belongs to which database, which worker process sits where. May wait; never taken
 *   in a commit callback.
 * - spinlocks, one in each slot and one for the requests to the launcher: held for a few instructions, since commit
 *   callbacks take them. Taken after `lock` where both are needed; never two at once.
 *
 * Processes are named by the index of their PGPROC: a latch that is set after its process has gone costs a stranger
 * one look around.
 */
#ifndef WF_SLOTS_H
#define WF_SLOTS_H

#include "postgres.h"

#include "port/atomics.h"
#include "port/pg_crc32c.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "shmem/blocks.h"
#include "shmem/copies.h"
#include "shmem/counters.h"
#include "shmem/database.h"
#include "shmem/executor_shares.h"
#include "shmem/executors.h"
#include "shmem/lacks.h"
#include "shmem/news.h"
#include "shmem/notes.h"
#include "shmem/registration.h"
#include "shmem/settings.h"
#include "shmem/shmem.h"
#include "shmem/shown.h"
#include "shmem/workers.h"

#define WF_NO_PROC (-1)
#define WF_MAX_SERVERS 64
#define WF_MAX_BLOCKS 32
#define WF_MAX_STUBBORN 16
#define WF_MAX_FAILING_ROLES 16
#define WF_MAX_LACKS 128
#define WF_MAX_COPIES 256
/* Beside those of workflow.databases: for looking whether a database has the extension. */
#define WF_PROBE_SLOTS 2

/* workers[0] of a slot is its dispatcher, the others are executors. */
#define WF_DISPATCHER_INDEX 0
#define WF_MAX_WORKERS (1 + WF_MAX_EXECUTORS + WF_MAX_SPARE_EXECUTORS)

typedef enum WfWorkerState
{
	WF_WORKER_NONE,
	WF_WORKER_STARTING, /* registered; has not attached yet */
	WF_WORKER_RUNNING,
} WfWorkerState;

typedef struct WfWorker
{
	/* under lock */
	WfWorkerState state;
	uint32		generation; /* of starts: a process with an older ticket must not attach */
	int			pid;
	int			procno;
	TimestampTz started_at;
	Oid			role; /* of an executor: whom it serves, all its life; InvalidOid: nobody, for upkeep */

	/* under the slot's mutex */
	bool		idle;
	TimestampTz idle_since;
	bool		leave;	/* others wait for its place: it takes up nothing more */
	bool		called; /* there may be work; cleared before it looks */

	/* written by the process itself, read by anyone */
	int			in_flight;
	uint64		handled;
	int64		visit; /* of an executor: what it has under work; 0: none */
} WfWorker;

typedef struct WfServerSlot
{
	char		name[NAMEDATALEN];
	WfServerCounts counts; /* written by the dispatcher only */
} WfServerSlot;

/* Executors of this role that have ended without having done anything. */
typedef struct WfRoleFailures
{
	Oid			role;
	int			failures; /* in a row; 0: a free place */
	TimestampTz failed_at;
} WfRoleFailures;

typedef struct WfSlot
{
	slock_t		mutex;

	/* changed under lock and mutex, read under either */
	Oid			database; /* InvalidOid: free */

	/* under lock */
	bool		confirmed; /* has the extension, and counts for workflow.databases */
	WfVerdict	verdict;
	WfRoleFailures failing[WF_MAX_FAILING_ROLES];
	WfWorker	workers[WF_MAX_WORKERS];

	/* under mutex */
	int			dispatcher_procno;
	bool		want_unlocks;
	bool		want_executors; /* somebody's work waits for a place: an executor that becomes idle says so */
	bool		executors_refused; /* no worker slot is free for one that has work */
	bool		timeline_checked;
	WfPause		pause;
	WfNotes		notes;
	TimestampTz upkeep_failing_since; /* 0: it does not fail */
	char		upkeep_failure[WF_UPKEEP_FAILURE_LEN]; /* what it cannot do */
	char		upkeep_error[WF_UPKEEP_ERROR_LEN]; /* and why */
	int64		stubborn[WF_MAX_STUBBORN]; /* visits; the oldest is overwritten */
	int			nstubborn;
	WfLackRow	lacks[WF_MAX_LACKS];
	int			nlacks; /* also read without the mutex, to see that there are none */
	int			nlacks_said;
	WfNewsList	news; /* `any` is also read without the mutex */

	ConditionVariable gone; /* a process of this database has left */

	/* names are written before nservers counts them */
	int			nservers;
	WfServerSlot servers[WF_MAX_SERVERS];
	WfShownRequests requests; /* written by the dispatcher only */
} WfSlot;

/* While a statement works on a database as a whole, no worker may start there. */
typedef struct WfBlock
{
	Oid			database; /* InvalidOid: free */
	int			procno;
} WfBlock;

typedef struct WfWaiter
{
	Oid			database; /* written before instance */
	pg_atomic_uint64 instance; /* 0: not waiting */
	pg_atomic_uint32 woken;
} WfWaiter;

/* What may not be begun twice without a thought: see careful.c */
#define WF_MAX_PIECES 128

typedef enum WfWorking
{
	WF_WORK_NONE,
	WF_WORK_ALONE,
	WF_WORK_BESIDE /* others */
} WfWorking;

typedef struct WfPiece
{
	Oid			database; /* InvalidOid: free */
	char		kind;	  /* WfPieceKind */
	char		working;  /* WfWorking */
	int16		deaths;	  /* of the server, while it was alone under work */
	int16		unclear;  /* … while others were as well */
	int64		number;
	TimestampTz at; /* when it was begun the last time */
} WfPiece;

typedef struct WfRecord
{
	uint32		magic;
	pg_crc32c	crc;
	WfPiece		pieces[WF_MAX_PIECES];
} WfRecord;

typedef struct WfCareful
{
	LWLock	   *lock;	/* for all that follows */
	bool		crashed; /* set when shared memory is made, and then fixed */
	bool		complained;
	TimestampTz until; /* 0: nobody has asked */
	int			holder; /* procno of who has the turn */
	TimestampTz since;
	int			patience_ms;
	int			nwaiting; /* for it */
	int			waiting[WF_MAX_PIECES];
	WfRecord	record; /* as in the file */
} WfCareful;

typedef struct WfShared
{
	LWLock	   *lock;

	/* under lock */
	WfWorker	launcher;
	Oid			copies[WF_MAX_COPIES]; /* databases found to be copies; InvalidOid: free */

	/* under mutex */
	slock_t		mutex;
	int			launcher_procno;
	WfLauncherRequests requests;
	bool		dispatchers_refused; /* written by the launcher only */
	WfBlock		blocks[WF_MAX_BLOCKS];

	WfCareful	careful;

	pg_atomic_uint32 nwaiters;
	int			nprocs;
	WfWaiter   *waiters; /* one for each PGPROC */
	int			nslots;
	WfSlot		slots[FLEXIBLE_ARRAY_MEMBER];
} WfShared;

/* When shared memory is made, by the postmaster: has the server crashed? */
extern void wf_careful_init(WfCareful *careful, LWLock *lock);

extern WfShared *wf_shared; /* NULL: not preloaded */

/* This process, if it is a worker. */
extern WfSlot *wf_my_slot;
extern WfWorker *wf_my_worker;

static inline bool
wf_am_dispatcher(void)
{
	return wf_my_slot != NULL && wf_my_worker == &wf_my_slot->workers[WF_DISPATCHER_INDEX];
}

/* Our index among all PGPROCs. */
extern int	wf_my_procno(void);
extern void wf_set_latch(int procno); /* WF_NO_PROC: nobody's */

/* The slot of a database, or NULL. Takes no lock: where it matters, the caller looks again under lock or mutex. */
extern WfSlot *wf_slot_of(Oid database);

/* Make the slot new for `database`, or free it. Under lock. */
extern void wf_slot_assign(WfSlot *slot, Oid database);

/* Under lock. */
extern bool wf_database_blocked(Oid database);
/* Forget starts that have not attached; they will not be let in. Under lock. Returns how many. */
extern int	wf_worker_orphan(WfWorker *worker, int n);

/* For a statement: SIGTERM to all workers, which is not their fault. Under lock. */
extern void wf_slot_stop(WfSlot *slot);
extern void wf_launcher_wake(void);

/* Notes what is left to do when an executor has gone while it was not idle, or its place is wanted. */
extern void wf_executors_look_again(WfSlot *slot);
/* An executor of this role has ended, having failed or not. Under lock. */
extern void wf_executor_note_end(WfSlot *slot, Oid role, bool failed);

/* Milliseconds until another executor may be started for this role, after failures; 0: now. Under lock. */
extern long wf_executor_start_pause(WfSlot *slot, Oid role, TimestampTz now);
/* Milliseconds until a worker slot may be free again, after none was; 0: now. */
extern long wf_executors_refused(TimestampTz now);
/* Reserve a place (under lock), then start what was reserved (under none). */
extern bool wf_executor_reserve(WfSlot *slot, Oid role, TimestampTz now, WfTicket *ticket);
extern void wf_executors_start(const WfTicket *tickets, int n);

#endif
