/*
 * http.h
 *		Many HTTP requests at once on PostgreSQL's wait loop. This client knows requests and tags,
 *		not processes and visits.
 *
 * There is one WfHttp per process. Its sockets are nested in one epoll descriptor (wf_http_fd) that
 * the owner's WaitEventSet watches. No error unwinds through libcurl: callbacks record what
 * happened and return. No function here needs or touches a transaction.
 */
#ifndef WF_HTTP_H
#define WF_HTTP_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

typedef struct WfHttp WfHttp;

typedef struct WfHttpHeader
{
	const char *name;
	const char *value;
} WfHttpHeader;

/*
 * Who is calling, besides headers: a client certificate with its key, and what an AWS signature
 * (version 4) is made with. Each part may be NULL.
 */
typedef struct WfHttpIdentity
{
	const char *cert; /* PEM, perhaps with the key */
	const char *key;  /* PEM */
	const char *key_password;
	const char *sigv4; /* "aws:amz:region:service" */
	const char *user;
	const char *password;
} WfHttpIdentity;

/*
 * A request as the owner hands it in. wf_http_send copies everything, so it may live in a
 * transaction's memory.
 */
typedef struct WfHttpRequest
{
	uint64				tag; /* chosen by the owner; the reply has the same */
	const char		   *method;
	const char		   *url;	 /* absolute, already encoded */
	const WfHttpHeader *headers; /* with secrets, so never logged */
	int					nheaders;
	/* Is there a secret among the headers, whatever their names are? */
	bool				  has_credentials;
	const char			 *secret_query; /* added to the query of the URL, encoded; NULL: nothing */
	const WfHttpIdentity *identity;		/* NULL: none */
	const char			 *body;			/* NULL: no body */
	size_t				  body_len;
	int					  timeout_ms;		  /* for the whole attempt; 0: none */
	int					  connect_timeout_ms; /* 0: libcurl's default, 300 s */
	/* A kept connection that was idle for longer is not used again; 0: 60 s. */
	int			idle_timeout_ms;
	int64		max_response;  /* bytes that the body may have; 0: 16 MB */
	bool		allow_private; /* may loopback, link-local and private addresses be reached? */
	bool		from_mapping;  /* the URL is that of a user mapping, not the server's: it says so of its own address */
	bool		verify;		   /* verify the TLS peer and its host name */
	const char *ca;			   /* CA file, or NULL for the system's */
	/*
	 * Redirects that are followed one after the other; 0: none is, and it is the answer. With
	 * credentials, or headers that may hold some, only those to the same origin are, and none from
	 * https to http. All hops together have the timeout, each one the limit of the body.
	 */
	int max_redirects;
	/*
	 * "http://host:port" or "socks5h://host:port", by way of which it is sent; NULL: directly. The
	 * proxy may have any address; which ones it reaches is its own matter.
	 */
	const char *proxy;
	const char *proxy_user; /* NULL: the proxy wants none */
	const char *proxy_password;

	/*
	 * Keep a cookie jar: `cookies` are sent as their domain, path, expiry and secure flag allow,
	 * and the reply brings the jar back. A Cookie header among `headers` is sent instead of the
	 * jar. Without want_cookies there is no jar, and `cookies` is ignored.
	 */
	bool want_cookies;
	/* Lines in the format of Netscape's cookie file; other lines are ignored. */
	const char *const *cookies;
	int				   ncookies;
} WfHttpRequest;

typedef enum WfHttpVerdict
{
	WF_HTTP_ANSWERED, /* a complete answer: status, headers and body are set */
	/* No name, connection or TLS, or the connection broke before the answer was complete. */
	WF_HTTP_CONNECT,
	WF_HTTP_TIMEOUT,
	WF_HTTP_TOO_LARGE,
	/* Given up, as the largest of bodies that together took too much memory. */
	WF_HTTP_CROWDED_OUT,
	/* No memory here, for the request or the answer; the service is not to blame. */
	WF_HTTP_NO_MEMORY,
	/* The address is not allowed, or the URL cannot be used: not worth a retry. */
	WF_HTTP_REFUSED,
} WfHttpVerdict;

/* Whether the body of a reply is still encoded in the way that its Content-Encoding says. */
typedef enum WfHttpPacking
{
	WF_HTTP_UNPACKED, /* the body is plain, or was decoded */
	/* Perhaps encoded: in a way that is unknown here, or the body does not look like it. */
	WF_HTTP_PACKED,
	WF_HTTP_CUT_OFF, /* encoded in a known way, but its end is missing */
	WF_HTTP_BROKEN,
} WfHttpPacking;

/* The reply to a request; valid until wf_http_release. */
typedef struct WfHttpReply
{
	uint64		  tag;
	WfHttpVerdict verdict;
	/*
	 * One sentence without secrets: what went wrong, or, of an answer that is a redirect, why that is not
	 * followed, to go behind a comma; else NULL.
	 */
	const char *message;
	int			status;
	/*
	 * Headers of the last answer: names in lower case, lines unfolded, values of repeated headers
	 * joined with ", ", those of set-cookie with LF.
	 */
	WfHttpHeader *headers;
	int			  nheaders;
	/* Decoded bytes, always followed by a 0 byte, which body_len does not count. */
	const char	 *body;
	size_t		  body_len;
	WfHttpPacking packing;
	/* The jar after an answer of any status, without expired cookies: lines, in any encoding. */
	char **cookies;
	int	   ncookies; /* at most 300 */
	int64  elapsed_us;
} WfHttpReply;

/*
 * Make the client of this process, for at most max_connections requests at once. Its memory comes
 * from `context`, which must be long-lived, and from libcurl's allocator. Throws 53200, or the
 * error of the operating system, if that fails; no other function here throws.
 */
extern WfHttp *wf_http_create(MemoryContext context, int max_connections);
extern int	   wf_http_fd(WfHttp *http); /* readable when wf_http_run has something to do */

/*
 * How many requests may be in flight: max_connections. More would wait inside libcurl, where no
 * timeout runs.
 */
extern int wf_http_places(WfHttp *http);
/*
 * Do the bodies in memory, complete or not, take so much that hardly any new request should be
 * sent?
 */
extern bool wf_http_is_crowded(WfHttp *http);

/* Limit the memory of this process to so many bytes; 0: no limit. The bodies get a part of that. */
extern void wf_http_memory(WfHttp *http, int64 memory);

/*
 * Hand a request over. It starts at the next wf_http_run, so hand over all requests first, then
 * run. A request that cannot be sent gets a reply that says so. Headers that frame a body
 * (Content-Length, Transfer-Encoding, Connection, …) are refused, since the client makes them. A
 * request on a kept connection that turns out dead before any byte of the answer was seen is sent
 * again once, on a new connection. Returns false if there is no memory for the request: then no
 * reply will come.
 */
extern bool wf_http_send(WfHttp *http, const WfHttpRequest *request);

/*
 * Give up a request that is under way, or drop its reply if nobody took it yet. Returns true if
 * there was one; no reply will come.
 */
extern bool wf_http_abort(WfHttp *http, uint64 tag);

/* Handle sockets that are readable and timers that are due, without blocking. */
extern void wf_http_run(WfHttp *http);

/* Milliseconds until wf_http_run has to be called even if the descriptor is silent; -1: no need. */
extern long wf_http_timeout(WfHttp *http);

/*
 * The reply of the next finished request, or NULL. The caller owns it until it calls
 * wf_http_release.
 */
extern WfHttpReply *wf_http_next(WfHttp *http);
extern void			wf_http_release(WfHttp *http, WfHttpReply *reply);
extern int			wf_http_in_flight(WfHttp *http);

/*
 * Write to `tags` those of requests that have been under way for so many milliseconds, oldest
 * first. The array must hold wf_http_in_flight entries. Returns how many were written.
 */
extern int wf_http_older(WfHttp *http, int milliseconds, uint64 *tags);

/* Seconds from now to a date in HTTP's format; 0 if the text is no date. */
extern double wf_http_seconds_until(const char *date);

/* Give up all requests and close all connections, at the exit of the process. */
extern void wf_http_destroy(WfHttp *http);

#endif
