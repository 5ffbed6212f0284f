/*
 * shown.h
 *		What workers have under work, and what keeps them from it: for those who ask why a visit stands still.
 *
 * It is what no row says. Each value has one writer and readers that do not mind one a moment old.
 */
#ifndef WF_SHOWN_H
#define WF_SHOWN_H

#include "postgres.h"

#include "shmem/database.h"

/* Requests under way that are shown; of more it is not known which they are. */
#define WF_MAX_SHOWN 4096

typedef struct WfShownRequests
{
	int			n;		/* of those places so many were ever used */
	int			hidden; /* requests for which there was no place */
	int64		visits[WF_MAX_SHOWN]; /* 0: free */
} WfShownRequests;

/* ---- workers ---- */
/* From the dispatcher: the request of a visit is under way. Returns its place, to be given back; -1: it is not shown. */
extern int	wf_request_show(int64 visit);
extern void wf_request_hide(int place);
/* A new dispatcher has none. */
extern void wf_requests_show_none(void);
/* From an executor: it has this visit under work; 0: none. */
extern void wf_show_visit(int64 visit);
/* From the launcher: there is a database for which no dispatcher could be started, since no worker slot is free. */
extern void wf_show_dispatchers_refused(bool refused);

/* ---- those who ask ---- */
typedef struct WfServing /* of this database */
{
	bool		dispatcher; /* one runs */
	bool		dispatcher_refused; /* none does, since no worker slot is free */
	bool		executors_refused; /* likewise, not as many as there is work for */
	bool		executors_busy; /* as many as there may be, none of them idle */
	WfPause		pause;
	int			in_flight; /* requests, to all servers */
} WfServing;

extern void wf_serving(WfServing *serving);
/* Is the request of a visit under way? *unknown: nobody knows. */
extern bool wf_request_is_shown(int64 visit, bool *unknown);
extern bool wf_visit_is_shown(int64 visit); /* an executor has it under work */
/* … and it waits for a lock that somebody holds on what its statement needs. */
extern bool wf_visit_waits_for_lock(int64 visit);
extern int	wf_server_in_flight(const char *server);

#endif
