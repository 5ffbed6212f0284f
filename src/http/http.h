/*
 * http.h
 *		Many HTTP requests at once on PostgreSQL's wait loop. Knows requests and numbers, not processes.
 *
 * One WfHttp per process. Its sockets are nested in one epoll descriptor (wf_http_fd) that the owner's WaitEventSet
 * watches. Nothing unwinds through libcurl: callbacks record what happened and return. No transaction is needed or
 * touched by anything here.
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

/* A request as handed in: everything is copied by wf_http_send, so it may live in a transaction's memory. */
typedef struct WfHttpRequest
{
	uint64		tag; /* the owner's; comes back with the reply */
	const char *method;
	const char *url;		/* absolute, already encoded */
	const WfHttpHeader *headers; /* secrets included: never logged */
	int			nheaders;
	const char *body; /* NULL: none */
	size_t		body_len;
	int			timeout_ms;			/* whole attempt; 0: none */
	int			connect_timeout_ms; /* 0: libcurl's default */
	int			idle_timeout_ms;	/* how long a kept connection may have been idle to be used again; 0: 60 s */
	int64		max_response;		/* bytes of body accepted; 0: 16 MB */
	bool		allow_private;		/* loopback, link-local, private addresses may be reached */
	bool		verify;				/* TLS peer and host */
	const char *ca;					/* file, or NULL for the system's */

	/*
	 * Keep a jar: `cookies` are sent as domain, path, expiry and secure allow, and the reply brings the jar back. A
	 * Cookie header among `headers` is sent instead of it. Without want_cookies there is no jar, whatever is in `cookies`.
	 */
	bool		want_cookies;
	const char *const *cookies; /* lines in the format of Netscape's cookie file; others are passed over */
	int			ncookies;
} WfHttpRequest;

typedef enum WfHttpVerdict
{
	WF_HTTP_ANSWERED, /* status, headers, body are those of a whole answer */
	WF_HTTP_CONNECT,  /* resolve, connect, TLS, or the connection broke before the answer was whole */
	WF_HTTP_TIMEOUT,
	WF_HTTP_TOO_LARGE,
	WF_HTTP_CROWDED_OUT, /* given up: it was the largest of answers that together took too much memory */
	WF_HTTP_NO_MEMORY, /* here, for the request or the answer: the service has nothing to do with it */
	WF_HTTP_REFUSED, /* the address is not allowed, or the URL cannot be used: not worth a retry */
} WfHttpVerdict;

/* Whether the body is packed as its Content-Encoding says. */
typedef enum WfHttpPacking
{
	WF_HTTP_UNPACKED, /* not, or not any more */
	WF_HTTP_PACKED,	  /* perhaps: in a way that is not known here, or it does not look so */
	WF_HTTP_CUT_OFF,  /* in one that is known, and its end is missing */
	WF_HTTP_BROKEN,
} WfHttpPacking;

/* Valid until wf_http_release. */
typedef struct WfHttpReply
{
	uint64		tag;
	WfHttpVerdict verdict;
	const char *message; /* for all but ANSWERED: one sentence without secrets */
	int			status;
	WfHttpHeader *headers; /* of the last answer, names lower case, lines unfolded, repeated ones joined with ", "; set-cookie with LF */
	int			nheaders;
	const char *body; /* unpacked bytes, not terminated by intent but always followed by a 0 byte */
	size_t		body_len;
	WfHttpPacking packing;
	char	  **cookies; /* the jar after an answer, whatever its status, without what has expired: lines, in any encoding */
	int			ncookies; /* at most 300 */
	int64		elapsed_us;
} WfHttpReply;

/* Memory comes from libcurl's own allocator and `context` (long-lived). Throws only here. */
extern WfHttp *wf_http_create(MemoryContext context, int max_connections);
extern int	wf_http_fd(WfHttp *http); /* readable when wf_http_run has something to do */

/* How many requests may be under way: max_connections. More would wait inside libcurl, where no timeout runs. */
extern int	wf_http_places(WfHttp *http);
/* The bodies that are here, whole or in part, take so much memory that hardly anything new should be sent. */
extern bool wf_http_is_crowded(WfHttp *http);

/* This process may have so many bytes of memory; 0: any number. Of those the bodies get a part. */
extern void wf_http_memory(WfHttp *http, int64 memory);

/*
 * Hand a request over; it starts at the next wf_http_run, so hand over all and then run. What cannot be sent is replied
 * to. The headers that frame a body (Content-Length, Transfer-Encoding, Connection, …) are refused: they are made here.
 * A request on a kept connection that turns out dead before any of its answer was seen is sent again once, on a new one.
 * False: there is no memory for it, and no reply will come.
 */
extern bool wf_http_send(WfHttp *http, const WfHttpRequest *request);

/* Give up a request that is under way, or its reply that nobody took yet: none will come. True if it was there. */
extern bool wf_http_abort(WfHttp *http, uint64 tag);

/* Handle what is readable or due, without blocking. */
extern void wf_http_run(WfHttp *http);

/* Milliseconds until wf_http_run has to be called even if the descriptor is silent; -1: no need. */
extern long wf_http_timeout(WfHttp *http);

/* The next finished request, or NULL. */
extern WfHttpReply *wf_http_next(WfHttp *http);
extern void wf_http_release(WfHttp *http, WfHttpReply *reply);
extern int	wf_http_in_flight(WfHttp *http);

/* Tags of requests that have been under way for that long, oldest first; room for wf_http_in_flight. Returns how many. */
extern int	wf_http_older(WfHttp *http, int milliseconds, uint64 *tags);

/* Seconds from now to a date as HTTP writes it; 0 if it is none. */
extern double wf_http_seconds_until(const char *date);

/* Close all at once (process exit). */
extern void wf_http_destroy(WfHttp *http);

#endif
