/*
 * counters.h
 *		What the views workers and servers show.
 */
#ifndef WF_COUNTERS_H
#define WF_COUNTERS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "shmem/database.h"
#include "shmem/registration.h"

/* ---- from workers ---- */
extern void wf_count_handled(int n);  /* so many more pieces of work, by this worker */
extern void wf_show_in_flight(int n); /* of this worker */

typedef struct WfServerCounts
{
	uint64 requests;
	uint64 failures;
	uint64 retries;
	int	   in_flight;
	/* the i-th counts requests of 2^i up to 2^(i+1) microseconds */
	uint64 elapsed_us_buckets[32];
} WfServerCounts;
/*
 * This database's counters of a server, by name; made on first use; NULL if the table of fixed size
 * is full. Only the dispatcher writes them.
 */
extern WfServerCounts *wf_server_counts(const char *server);
extern void			   wf_server_count_elapsed(WfServerCounts *counts, int64 elapsed_us);

/* ---- for the views ---- */
typedef struct WfWorkerRow
{
	WfWorkerKind kind;
	int			 pid;	   /* 0: there is no process, since the database is a copy, or `refused` */
	bool		 refused;  /* no worker slot is free */
	Oid			 database; /* InvalidOid: none */
	TimestampTz	 started_at;
	bool		 idle;	/* for an executor */
	Oid			 role;	/* the role that an executor serves; InvalidOid: none */
	WfPause		 pause; /* for a dispatcher */
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

/* Rows for the views, as palloc'd copies. Returns how many. */
extern int wf_workers_list(WfWorkerRow **rows);
extern int wf_servers_list(WfServerRow **rows); /* the workers of this database */

#endif
