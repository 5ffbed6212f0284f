/*
 * shown.h
 *		What workers are working on, and what keeps them from working on more: for views that say
 *		why a visit stands still.
 *
 * It is what no row says. Each value has one writer, and readers that do not mind one a moment old.
 */
#ifndef WF_SHOWN_H
#define WF_SHOWN_H

#include "postgres.h"

#include "shmem/database.h"

/* So many requests in flight are shown; of further ones it is not known which they are. */
#define WF_MAX_SHOWN 4096

typedef struct WfShownRequests
{
	int	  n;					/* places that were ever used */
	int	  hidden;				/* requests in flight for which there was no place */
	int64 visits[WF_MAX_SHOWN]; /* 0: the place is free */
} WfShownRequests;

/* So many of those who wait for a token are shown. */
#define WF_MAX_SHOWN_TOKENS 32

/* Requests of this owner to this server wait for a token (worker/token.h). */
typedef struct WfShownToken
{
	char server[NAMEDATALEN];
	Oid	 owner;
} WfShownToken;

typedef struct WfShownTokens
{
	int			 n;
	WfShownToken awaited[WF_MAX_SHOWN_TOKENS];
} WfShownTokens;

/* ---- workers ---- */
/*
 * For the dispatcher: the request of a visit is in flight. Returns its place, to be given back; -1:
 * it is not shown.
 */
extern int	wf_request_show(int64 visit);
extern void wf_request_hide(int place);
/* Show no requests; a new dispatcher calls this. */
extern void wf_requests_show_none(void);
/* Show who waits for a token, at most WF_MAX_SHOWN_TOKENS, in place of those shown before. */
extern void wf_tokens_show(const WfShownToken *awaited, int n);
/* For the launcher: a dispatcher could not be started, since no worker slot is free. */
extern void wf_show_dispatchers_refused(bool refused);

/* ---- for the views ---- */
typedef struct WfServing /* the workers of this database */
{
	bool dispatcher;		 /* a dispatcher runs */
	bool dispatcher_refused; /* none could be started, since no worker slot is free */
	/* Executors that are needed could not be started, for the same reason. */
	bool	executors_refused;
	bool	executors_busy; /* as many executors as allowed, none of them idle */
	WfPause pause;
	int		in_flight; /* requests in flight, to all servers */
} WfServing;

extern void wf_serving(WfServing *serving);
/* Is the request of a visit in flight? *unknown: it may be, but is not shown. */
extern bool wf_request_is_shown(int64 visit, bool *unknown);
extern bool wf_token_is_awaited(const char *server, Oid owner);
extern bool wf_visit_is_shown(int64 visit); /* an executor is working on it */
/*
 * Does the statement of the visit, which an executor runs, wait for a lock that another transaction
 * holds?
 */
extern bool wf_visit_waits_for_lock(int64 visit);
extern int	wf_server_in_flight(const char *server);

#endif
