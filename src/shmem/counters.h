/*
 * counters.h
 *		Counters of workers and HTTP servers, and the rows of the views workers and servers.
 *
 * They are in shared memory, and nothing of them outlives the server. Each counter has one writer; readers do not mind
 * a value that is a moment old.
 */
#ifndef WF_COUNTERS_H
#define WF_COUNTERS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "shmem/database.h"
#include "shmem/registration.h"

/* ---- from workers ---- */
extern void wf_count_handled(int n);  /* this worker has done n more pieces of work */
extern void wf_show_in_flight(int n); /* this worker has n requests in flight now */

typedef enum WfServerState
{
	WF_SERVER_OK,
	WF_SERVER_TRIPPED, /* its breaker holds everything back */
	WF_SERVER_PROBING  /* a few requests are sent to see whether it is well again */
} WfServerState;

#define WF_SERVER_ERROR_LEN 200

/* What attempts have failed of; wf_failure_kind_name says it in the words of their codes. */
typedef enum WfFailureKind
{
	WF_FAILURE_CONNECT,
	WF_FAILURE_TIMEOUT,
	WF_FAILURE_REPLY,	/* an answer that is too large, or was given up for memory */
	WF_FAILURE_REQUEST, /* the address is not allowed */
	WF_FAILURE_3XX,
	WF_FAILURE_4XX, /* but for 429 */
	WF_FAILURE_429,
	WF_FAILURE_5XX,
	WF_FAILURE_OTHER, /* another status that is not 2xx */
	WF_FAILURE_AUTH,  /* no token or secret was to be had: nothing was sent */
} WfFailureKind;
#define WF_FAILURE_KINDS (WF_FAILURE_AUTH + 1)

/* The i-th bucket of latencies counts requests that took 2^i up to 2^(i+1) microseconds. */
#define WF_LATENCY_BUCKETS 32

typedef struct WfServerCounts
{
	uint64 requests; /* sent, each attempt counted */
	uint64 failures; /* without an answer of status 2xx: those of all kinds but WF_FAILURE_AUTH */
	uint64 retries;	 /* failures after which a pause before the next attempt began */
	uint64 failures_by_kind[WF_FAILURE_KINDS];
	uint64 trips; /* how often the breaker has tripped, probes that failed left out */
	/* of the token services that its user mappings name, which are not counted above */
	uint64 token_requests;
	uint64 token_failures;
	int	   in_flight;
	uint64 elapsed_us_buckets[WF_LATENCY_BUCKETS];
	/* under the slot's mutex */
	WfServerState state;
	TimestampTz	  since; /* since when it has been ok, or has not; 0: since the dispatcher was started */
	TimestampTz	  until; /* of WF_SERVER_TRIPPED: DT_NOEND: until the option is changed */
	char		  error[WF_SERVER_ERROR_LEN]; /* "": none */
} WfServerCounts;
/*
 * Find or make this database's counters of a server. Returns NULL if their table, which has a fixed size, is full. Only
 * the dispatcher writes to them.
 */
extern WfServerCounts *wf_server_counts(const char *server);
/* Show the state of a server's breaker. */
extern void wf_server_show_state(WfServerCounts *counts, WfServerState state, TimestampTz since, TimestampTz until,
								 const char *error);
/* Count the time that a request took. */
extern void wf_server_count_elapsed(WfServerCounts *counts, int64 elapsed_us);
/* Count an attempt that has failed. */
extern void		   wf_server_count_failure(WfServerCounts *counts, WfFailureKind kind);
extern const char *wf_failure_kind_name(WfFailureKind kind);

/* ---- for the views ---- */
typedef struct WfWorkerRow
{
	WfWorkerKind kind;
	int			 pid;		  /* 0: there is no process, since the database is a copy, `refused` or `crowded_out` */
	bool		 refused;	  /* no background worker slot is free for a dispatcher */
	bool		 crowded_out; /* as many other databases have one as workflow.databases says */
	Oid			 database;	  /* InvalidOid: the worker is connected to none */
	TimestampTz	 started_at;
	bool		 idle;	/* for an executor: it has found no work */
	Oid			 role;	/* the role that an executor serves; InvalidOid: none */
	WfPause		 pause; /* for a dispatcher: whether it works, or why not */
	int			 in_flight;
	uint64		 handled;
	/* For a dispatcher: what upkeep cannot do ("": nothing fails), and why. */
	char failure[WF_UPKEEP_FAILURE_LEN];
	char error[WF_UPKEEP_ERROR_LEN];
} WfWorkerRow;

typedef struct WfServerRow
{
	char		   name[NAMEDATALEN];
	WfServerCounts counts;
} WfServerRow;

/*
 * Copy the rows of the view workers, for all databases, and of the view servers, for this database,
 * to palloc'd arrays. Both return how many rows there are.
 */
extern int wf_workers_list(WfWorkerRow **rows);
extern int wf_servers_list(WfServerRow **rows);
/* The state of a server of this database, as its dispatcher has shown it last. */
extern WfServerState wf_server_state(const char *name);

#endif
