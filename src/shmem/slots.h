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
#include "shmem/wakeups.h"
#include "shmem/registration.h"
#include "shmem/settings.h"
#include "shmem/shmem.h"
#include "shmem/shown.h"
#include "shmem/workers.h"

#define WF_NO_PROC			 (-1)
#define WF_MAX_SERVERS		 64
#define WF_MAX_BLOCKS		 32
#define WF_MAX_UNCANCELLABLE 16
#define WF_MAX_YIELDS		 128
#define WF_MAX_KEPT_CLAIMS	 16
#define WF_MAX_FAILING_ROLES 16
#define WF_MAX_LACKS		 128
#define WF_MAX_COPIES		 256
/*
 * Slots beyond workflow.databases, used while a dispatcher looks whether its database has the
 * extension.
 */
#define WF_PROBE_SLOTS 2

/* In a slot, workers[0] is the dispatcher, and the others are executors. */
#define WF_DISPATCHER_INDEX 0
#define WF_MAX_WORKERS		(1 + WF_MAX_EXECUTORS + WF_MAX_SPARE_EXECUTORS)

typedef enum WfWorkerState
{
	WF_WORKER_NONE,
	WF_WORKER_STARTING, /* registered, and not attached yet */
	WF_WORKER_RUNNING,
} WfWorkerState;

typedef struct WfWorker
{
	/* under lock */
	WfWorkerState state;
	uint32		  generation; /* counts starts: a process with an older ticket must not attach */
	int			  pid;
	int			  procno;
	TimestampTz	  started_at;
	/* Role that an executor serves, all its life; InvalidOid: none, for upkeep. */
	Oid role;

	/* under the slot's mutex */
	bool		idle;
	TimestampTz idle_since;
	bool		leave;	/* other roles wait for its place: it takes up no more work */
	bool		called; /* there may be work; cleared before it looks for it */

	/* written by the process itself, read by anyone */
	int	   in_flight;
	uint64 handled;
} WfWorker;

/* A visit that an executor has done in its open transaction, or is about to do there. */
typedef struct WfKeptClaim
{
	int64 visit;
	bool  begun; /* as in WfClaim */
} WfKeptClaim;

/* The visit that an executor works on. */
typedef struct WfClaim
{
	int64		visit;	 /* 0: none */
	bool		stopped; /* another transaction has ended or suspended the visit since */
	bool		begun; /* its statement was begun, and is not through; only the executor itself reads and writes this */
	int			nkept;
	WfKeptClaim kept[WF_MAX_KEPT_CLAIMS];
} WfClaim;

/* A statement that was begun and abandoned, so that it is to be begun again. */
typedef struct WfYield
{
	int64 visit; /* 0: a free place */
	int	  times; /* so often it gave way to a transaction that held its instance */
} WfYield;

typedef struct WfServerSlot
{
	char		   name[NAMEDATALEN];
	WfServerCounts counts; /* only the dispatcher writes them */
} WfServerSlot;

/* Executors of a role that have ended without having done anything. */
typedef struct WfRoleFailures
{
	Oid			role;
	int			failures; /* successive ones; 0: the place is free */
	TimestampTz failed_at;
} WfRoleFailures;

typedef struct WfSlot
{
	slock_t mutex;

	/* changed under lock and mutex, read under either */
	Oid database; /* InvalidOid: the place is free */

	/* under lock */
	bool		   confirmed; /* has the extension, and counts for workflow.databases */
	WfExitReason   exit_reason;
	WfRoleFailures failing[WF_MAX_FAILING_ROLES];
	WfWorker	   workers[WF_MAX_WORKERS];

	/* under mutex */
	int	 dispatcher_procno;
	bool want_unlocks;
	/* Work waits for an executor: one that becomes idle says so. */
	bool want_executors;
	/* No worker slot is free for an executor that is needed. */
	bool		executors_refused;
	bool		timeline_checked;
	WfPause		pause;
	WfWakeups	wakeups;
	WfTopics	topics;
	TimestampTz topics_next;						   /* when the dispatcher looks at them by itself */
	TimestampTz topics_quiet;						   /* it does not before */
	TimestampTz upkeep_failing_since;				   /* 0: upkeep does not fail */
	char		upkeep_failure[WF_UPKEEP_FAILURE_LEN]; /* what upkeep cannot do */
	char		upkeep_error[WF_UPKEEP_ERROR_LEN];	   /* and why */
	int64		uncancellable[WF_MAX_UNCANCELLABLE];   /* uncancellable visits; the oldest one is overwritten */
	int			nuncancellable;
	/* by index of the worker; views read them without the mutex */
	WfClaim	   claims[WF_MAX_WORKERS];
	int		   nclaims; /* without kept ones; is also read without the mutex, to see that there are none */
	WfYield	   yields[WF_MAX_YIELDS]; /* the oldest is overwritten */
	uint32	   nyields;				  /* noted so far; is also read without the mutex */
	WfLackRow  lacks[WF_MAX_LACKS];
	int		   nlacks; /* also read without the mutex, to see that there are none */
	int		   nlacks_said;
	WfNewsList news; /* `any` is also read without the mutex */

	ConditionVariable gone; /* a process of this database has left */

	/* written by the dispatcher only; names are written before nservers counts them */
	int				nservers;
	WfServerSlot	servers[WF_MAX_SERVERS];
	WfShownRequests requests; /* only the dispatcher writes them */
	WfShownTokens	tokens;	  /* likewise */
} WfSlot;

/* While a statement works on a database as a whole, no worker may start there. */
typedef struct WfBlock
{
	Oid database; /* InvalidOid: the place is free */
	int procno;
} WfBlock;

typedef struct WfWaiter
{
	Oid				 database; /* written before instance */
	bool			 by_move;  /* any move of the instance wakes it: written before instance, too */
	pg_atomic_uint64 instance; /* 0: not waiting */
	pg_atomic_uint32 woken;
} WfWaiter;

/* Work that is not begun again at once after a crash: see careful.c. */
#define WF_MAX_PIECES 128

typedef enum WfWorking
{
	WF_WORK_NONE,
	WF_WORK_ALONE,
	WF_WORK_BESIDE /* while others worked too */
} WfWorking;

typedef struct WfPiece
{
	Oid			database; /* InvalidOid: the place is free */
	char		kind;	  /* WfPieceKind */
	char		working;  /* WfWorking */
	int16		deaths;	  /* crashes of the server while only this piece was worked on */
	int16		unclear;  /* crashes while others were worked on, too */
	int64		number;
	TimestampTz at; /* when it was last begun */
} WfPiece;

typedef struct WfRecord
{
	uint32	  magic;
	pg_crc32c crc;
	WfPiece	  pieces[WF_MAX_PIECES];
} WfRecord;

/* A process that waits for the turn. */
typedef struct WfTurnWaiter
{
	int			procno;
	bool		dispatcher;
	TimestampTz asked_at; /* when it last asked for it */
} WfTurnWaiter;

typedef struct WfCareful
{
	LWLock		*lock;	  /* protects all that follows */
	bool		 crashed; /* set when shared memory is made, and not changed after that */
	bool		 complained;
	TimestampTz	 until;		 /* end of the careful time; 0: no worker has asked yet */
	int			 holder;	 /* procno of the process that has the turn */
	bool		 dispatcher; /* it is a dispatcher, or the last one was */
	TimestampTz	 since;
	int			 patience_ms;
	int			 nwaiting; /* processes that wait for the turn */
	WfTurnWaiter waiting[WF_MAX_PIECES];
	WfRecord	 record; /* the same as in the file */
} WfCareful;

typedef struct WfShared
{
	LWLock *lock;

	/* under lock */
	WfWorker launcher;
	/* databases that were found to be copies; InvalidOid: free */
	Oid copies[WF_MAX_COPIES];

	/* under mutex */
	slock_t			   mutex;
	int				   launcher_procno;
	WfLauncherRequests requests;
	bool			   dispatchers_refused; /* only the launcher writes it */
	WfBlock			   blocks[WF_MAX_BLOCKS];

	WfCareful careful;

	/* see unconfirmed.c; it has no lock */
	pg_atomic_uint64 unconfirmed;

	pg_atomic_uint32 nwaiters;
	int				 nprocs;
	WfWaiter		*waiters; /* one for each PGPROC */
	int				 nslots;
	WfSlot			 slots[FLEXIBLE_ARRAY_MEMBER];
} WfShared;

/*
 * Initialize, and find out whether the server has crashed. Called by the postmaster when it makes
 * shared memory.
 */
extern void wf_careful_init(WfCareful *careful, LWLock *lock);

extern WfShared *wf_shared; /* NULL: the library is not preloaded */

/* The slot and place of this process; NULL if it is no worker. */
extern WfSlot	*wf_my_slot;
extern WfWorker *wf_my_worker;

static inline bool
wf_am_dispatcher(void)
{
	return wf_my_slot != NULL && wf_my_worker == &wf_my_slot->workers[WF_DISPATCHER_INDEX];
}

/* The index of this process among all PGPROCs. */
extern int	wf_my_procno(void);
extern void wf_set_latch(int procno); /* no effect for WF_NO_PROC */

/*
 * The slot of a database, or NULL. Takes no lock: where it matters, the caller checks again under
 * lock or mutex.
 */
extern WfSlot *wf_slot_of(Oid database);

/* Initialize the slot for `database`, or free it. To be called under the lock. */
extern void wf_slot_assign(WfSlot *slot, Oid database);

/* Does a statement block the database? To be called under the lock. */
extern bool wf_database_blocked(Oid database);
/*
 * Forget starts that have not attached; these processes will not be let in. Returns how many. To be
 * called under the lock.
 */
extern int wf_worker_orphan(WfWorker *worker, int n);

/*
 * Send SIGTERM to all workers, for a statement; their exit counts as no failure. To be called under
 * the lock.
 */
extern void wf_slot_stop(WfSlot *slot);
extern void wf_launcher_wake(void);

/*
 * Wake the dispatcher to share out executors again: one has gone while it was not idle, or its
 * place is wanted.
 */
extern void wf_executors_look_again(WfSlot *slot);
/* Count the end of an executor of this role, `failed` or not. To be called under the lock. */
extern void wf_executor_report_end(WfSlot *slot, Oid role, bool failed);

/*
 * Milliseconds until another executor may be started for this role, after failures; 0: at once. To
 * be called under the lock.
 */
extern long wf_executor_start_pause(WfSlot *slot, Oid role, TimestampTz now);
/* Milliseconds until a worker slot may be free again, after none was; 0: at once. */
extern long wf_executors_refused(TimestampTz now);
/* Reserve a place, under the lock; then start what was reserved, without locks. */
extern bool wf_executor_reserve(WfSlot *slot, Oid role, TimestampTz now, WfTicket *ticket);
extern void wf_executors_start(const WfTicket *tickets, int n);

#endif
