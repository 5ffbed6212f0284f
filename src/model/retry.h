/*
 * retry.h
 *		How often an action is tried again, after which pauses, and after which faults: `retry` of a
 *		step, of a definition, or of a server.
 */
#ifndef WF_RETRY_H
#define WF_RETRY_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct WfRetry
{
	bool	  given;  /* false: the next one applies, in the order step, definition, server */
	int		  max;	  /* retries after the first attempt; 0 without `retry` */
	Interval *delays; /* at least one if max > 0; the last one repeats */
	int		  ndelays;
	double	  backoff; /* factor; 1: constant */
	bool	  linear;  /* "linear": the delay is multiplied by the number of the attempt */
	bool	  has_max_delay;
	Interval  max_delay;
	Interval  jitter; /* a random time up to that is added */
	/*
	 * What is retried instead of the usual faults: "503", "5xx", a SQLSTATE, "connect", "timeout", "auth".
	 */
	const char **on;
	int			 non; /* 0: the usual faults */
} WfRetry;

#define WF_MAX_RETRIES		1000000
#define WF_MAX_RETRY_DELAYS 1000
#define WF_MAX_RETRY_WORDS	100

extern bool wf_is_status(const char *text);
extern bool wf_is_status_class(const char *text); /* 5xx and the like, in either case */
/* Is it "connect", "timeout" or "auth"? */
extern bool wf_is_retry_word(const char *text);

#endif
