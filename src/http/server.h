/*
 * server.h
 *		Foreign servers of the wrapper workflow_http: their options, and the credentials mapped to
 *		them.
 *
 * Look-ups use the system caches and are themselves cached, invalidated by syscache callbacks; they
 * need a transaction. Secrets leave this module only as headers, secret_query and identity of a
 * WfHttpRequest.
 */
#ifndef WF_SERVER_H
#define WF_SERVER_H

#include "postgres.h"

#include "http/grant.h"
#include "http/http.h"
#include "model/fault.h"
#include "model/retry.h"
#include "nodes/pg_list.h"

typedef enum WfBreakerMode
{
	WF_BREAKER_ON,
	WF_BREAKER_OFF,
	WF_BREAKER_OPEN /* nothing is sent */
} WfBreakerMode;

/* When requests to a server that fails are held back. */
typedef struct WfBreakerOptions
{
	WfBreakerMode mode;
	int			  min_calls;	/* it takes so many visits with a result */
	int			  failure_rate; /* and so many percent of them that failed */
	int			  window_ms;	/* within this time */
	int			  open_ms;		/* nothing is sent for so long */
	int			  probes;		/* then so many requests */
	int			  slow_ms;		/* an answer that takes so long is a failure; 0: none is */
} WfBreakerOptions;

typedef struct WfServer
{
	Oid				 serverid;
	const char		*name;
	const char		*url;				 /* without a trailing slash */
	int				 timeout_ms;		 /* default 30 s */
	int				 connect_timeout_ms; /* default 10 s */
	int				 idle_timeout_ms;	 /* default 60 s */
	int				 max_in_flight;		 /* default 64; 0: the server is paused */
	double			 rate;				 /* requests a second; 0: as many as can be */
	int				 burst;				 /* so many at once, after a pause */
	int64			 max_response;		 /* default 16 MB */
	const char		*ca;
	bool			 allow_private;	   /* default false */
	bool			 verify;		   /* default true */
	bool			 trace;			   /* requests say to which trace they belong; default true */
	int				 follow_redirects; /* so many one after the other; default 0 */
	const char		*proxy;			   /* URL of a proxy; default NULL: none */
	WfBreakerOptions breaker;
	WfRetry			 retry; /* for steps that have no `retry` */
} WfServer;

/*
 * The server of that name and our wrapper, or NULL. It is valid until the end of the transaction.
 */
extern const WfServer *wf_server_by_name(const char *name);

/* Does the server still exist, and has `role` the privilege USAGE on it? */
extern bool wf_server_usable(const WfServer *server, Oid role);

/* Why no server can cover the URL: a continuation of "the URL …"; NULL: there is nothing wrong with it by itself. */
extern const char *wf_server_url_problem(const char *url);

/*
 * The server that covers `url` for `role`, or NULL. It must be one that the role may use and whose
 * url is a prefix of `url` at a boundary (same scheme, host and port; the path prefix ends at '/',
 * '?', '#' or the end).
 *
 * The role must also have a reason to trust it: its owner is a superuser or a role of which `role`
 * is a member, or the role has a user mapping of its own, or USAGE was granted otherwise than to
 * PUBLIC. A server with such a mapping wins, then the longest path. A path with a ".." segment, in
 * any spelling, is covered by none.
 */
extern const WfServer *wf_server_covering(const char *url, Oid role);

/*
 * Was the server given to `role` by name: is it that of `role` or of a role of which it is a member, has it a user mapping
 * of its own, or USAGE otherwise than through PUBLIC? Superusers have all.
 */
extern bool wf_server_is_given(const WfServer *server, Oid role);

/* May `role` send a request to this URL by way of the server? Returns false with *fault if not. */
extern bool wf_server_admits(const WfServer *server, Oid role, const char *url, WfFault *fault);

/*
 * Complete `request`, whose url is set, for `role`: with the server's settings (timeouts only where
 * the request has none) and the credentials of the role's user mapping (its own, else PUBLIC's;
 * none is fine).
 *
 * *headers is a List of WfHttpHeader * that the caller turns into the request's array afterwards.
 * An Authorization header that is in the list already is kept, and auth = basic, bearer or sigv4
 * then adds none; the same goes for the header of auth = header, and for a parameter of the query
 * that the URL has already. What is added is allocated in
 * CurrentMemoryContext.
 *
 * Returns false and sets *fault if the role has no USAGE, the mapping is unusable, or the server's
 * url does not cover that of the request, so that no path leads credentials elsewhere.
 */
extern bool wf_server_prepare(const WfServer *server, Oid role, WfHttpRequest *request, List **headers, WfFault *fault);

/*
 * Headers of the call that made a request due, and that go with it (auth = on_behalf). Does any user mapping want one?
 * Which do the mappings of the role want, or of PUBLIC, for whatever server: names in lower case, palloc'd? And which
 * does that of the role for this server: NULL, or its name, valid until the end of the transaction?
 */
extern bool		   wf_server_passes_on(void);
extern List		  *wf_server_headers_passed_on(Oid role);
extern const char *wf_server_header_passed_on(const WfServer *server, Oid role);

/*
 * What webhooks of the server are signed with: the option webhook_secret of the role's user mapping (its own, else
 * PUBLIC's), or what is in the file of webhook_secret_file, palloc'd; NULL with *problem. Whoever asks has checked that the
 * role may use the server.
 */
extern char *wf_server_webhook_secret(const WfServer *server, Oid role, const char **problem);

/*
 * How the role gets a token for the server, after wf_server_prepare; NULL: it needs none. It is
 * valid until the end of the transaction.
 */
extern const WfGrant *wf_server_grant(const WfServer *server, Oid role);

/*
 * Complete a request for a token of the role: whom it trusts and what it may reach are settings of
 * the server if the token_url is within its url, else those of the grant. The client certificate of
 * the mapping is shown there, too. False with *fault if that cannot be read.
 */
extern bool wf_server_prepare_token(const WfServer *server, Oid role, WfHttpRequest *request, WfFault *fault);

/* Has a List of WfHttpHeader * one of that name, in any case? */
extern bool wf_server_has_header(List *headers, const char *name);

/*
 * Make look-ups from now on see what is committed now. A process that learns of a change from the
 * commit itself needs this, since the invalidations of that commit follow a moment later.
 */
extern void wf_server_forget(void);

/* How often has a server or a user mapping changed, as far as this process has been told (in a transaction)? */
extern uint64 wf_server_changes(void);

/* Register the syscache callbacks; once per process, from _PG_init. */
extern void wf_server_init(void);

#endif
