/*
 * breaker.h
 *		The circuit breaker of a server, and the rate at which it is called: when nothing may be sent to it, whatever is
 *		due.
 *
 * Both are in the memory of the dispatcher, which alone sends requests, so they are kept exactly; a new dispatcher begins
 * with servers that are well.
 */
#ifndef WF_BREAKER_H
#define WF_BREAKER_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/hsearch.h"

#include "http/server.h"
#include "shmem/counters.h"

/* The window is counted in so many parts, of which the oldest is left out as a whole. */
#define WF_BREAKER_PARTS 10

typedef struct WfBreakerPart
{
	int calls; /* visits whose latest result came in this part */
	int failures;
} WfBreakerPart;

typedef struct WfBreaker
{
	const char		*server;
	WfBreakerOptions options; /* as of the last look */
	uint32			 url;	  /* hash of the URL then */
	WfServerState	 state;
	TimestampTz		 since; /* since when it has been well, or has not */
	TimestampTz		 until; /* of WF_SERVER_TRIPPED: when it is tried again; DT_NOEND: never */
	/* of WF_SERVER_PROBING: results of probes so far */
	int answered;
	int failed;
	/*
	 * After that: so many requests at once, which grows with each answer; 0: as many as the server may get. Those that were under way
	 * before it recovered count for nothing: neither take they places, nor does it say anything of now how they end.
	 */
	int	   allowed;
	uint64 recovered; /* how many times it has; requests remember it */
	int	   in_flight; /* of those that were sent since */

	int64		  part; /* number of the current part, since 2000 */
	WfBreakerPart parts[WF_BREAKER_PARTS];
	int			  in_a_row; /* visits that have found nobody since one was answered well */
	HTAB		 *failing;	/* visits whose latest result was a failure, with the part that counts it */

	bool			untold; /* the state has changed, and nobody was told */
	WfServerCounts *counts; /* where the state is shown; NULL: nowhere */
	char			error[WF_SERVER_ERROR_LEN];
} WfBreaker;

/* Make the breaker of a server, whose name must live as long as it. Throws if there is no memory. */
extern WfBreaker *wf_breaker_create(const char *server, WfServerCounts *counts);

/*
 * How many more requests may be sent now, while so many of those in flight are probes. In state WF_SERVER_PROBING they
 * are probes. 0 in state WF_SERVER_TRIPPED: not before `until`.
 */
extern int wf_breaker_places(WfBreaker *breaker, const WfServer *server, int probes, TimestampTz now);

/* A request is under way. Returns what is to be told when it has ended, however that came about. */
extern uint64 wf_breaker_sent(WfBreaker *breaker);
extern void	  wf_breaker_ended(WfBreaker *breaker, uint64 sent);

/*
 * Count the reply to the request of a visit, which has not ended before. Returns true if it was a probe that has failed: then
 * the visit is held back as it would be without the probe.
 */
extern bool wf_breaker_count(WfBreaker *breaker, int64 visit, uint64 sent, bool probe, const WfHttpReply *reply,
							 TimestampTz now);

/* Outside transactions: log a change of the state, and announce it. */
extern void wf_breaker_tell(WfBreaker *breaker);

/* ---- rate ---- */

/* What of the rate was not used; a server without a rate does not look at it. */
typedef struct WfRate
{
	double		left; /* requests that may be sent as of `at` */
	TimestampTz at;
} WfRate;

/* How many requests may be sent now; INT_MAX: the server has no rate. If none, *next is when one may be. */
extern int	wf_rate_places(WfRate *rate, const WfServer *server, TimestampTz now, TimestampTz *next);
extern void wf_rate_take(WfRate *rate, int n);

#endif
