/*
 * server.h
 *		Foreign servers of the wrapper workflow_http: their options, the credentials mapped to them.
 *
 * Look-ups use the system caches and are themselves cached, invalidated by syscache callbacks; they need a transaction.
 * Secrets leave this module only as headers of a WfHttpRequest.
 */
#ifndef WF_SERVER_H
#define WF_SERVER_H

#include "postgres.h"

#include "http/http.h"
#include "model/fault.h"
#include "model/retry.h"

typedef struct WfServer
{
	Oid			serverid;
	const char *name;
	const char *url; /* without a trailing slash */
	int			timeout_ms;			/* default 30 s */
	int			connect_timeout_ms; /* default 10 s */
	int			idle_timeout_ms;	/* default 60 s */
	int			max_in_flight;		/* default 64; 0: it is paused */
	int64		max_response;		/* default 16 MB */
	const char *ca;
	bool		allow_private; /* default false */
	bool		verify;		   /* default true */
	WfRetry		retry;		   /* of steps that have none */
} WfServer;

/* The server of that name and our wrapper, or NULL. The answer is valid until the end of the transaction. */
extern const WfServer *wf_server_by_name(const char *name);

/* May `role` use it? */
extern bool wf_server_usable(const WfServer *server, Oid role);

/*
 * The server that `role` may use and whose url is a prefix of `url` at a boundary (same scheme, host, port; path prefix
 * ending at '/', '?', '#' or the end), and that it has reason to trust: its owner is a superuser or a role that `role` is a
 * member of, there is a user mapping of the role itself, or USAGE was granted by other ways than to PUBLIC. One with such a
 * mapping wins, then the longest; NULL if none covers it. A path with a ".." segment, in any spelling, is covered by none.
 */
extern const WfServer *wf_server_covering(const char *url, Oid role);

/*
 * Complete `request`, whose url is set, for `role` with the server's settings (timeouts only where the request has
 * none) and the credentials of the role's user mapping (its own, else PUBLIC's; none is fine). Headers are a List of WfHttpHeader *
 * that the caller turns into the request's array afterwards; an explicit Authorization header of the caller is kept and
 * then none is added by auth = basic or bearer; the same goes for the header of auth = header. What is added to the
 * list and the request is in CurrentMemoryContext. False with *fault for no USAGE, an unusable mapping, or
 * a url that the server's does not cover (so that no path leads credentials elsewhere).
 */
extern bool wf_server_prepare(const WfServer *server, Oid role, WfHttpRequest *request, List **headers, WfFault *fault);

/* Is there one of that name in such a list? */
extern bool wf_server_has_header(List *headers, const char *name);

/*
 * Look-ups from now on see what is committed now. Whoever is told of a change by its commit needs this: the
 * invalidations of that commit follow a moment later.
 */
extern void wf_server_forget(void);

/* Register the syscache callbacks; once per process, from _PG_init. */
extern void wf_server_init(void);

#endif
