/*
 * retry.h
 *		How often an action is tried again, after which pauses, and after what: `retry` of a step, of a definition, or of a server.
 */
#ifndef WF_RETRY_H
#define WF_RETRY_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct WfRetry
{
	bool		given;	/* false: ask the next: the step, its definition, its server */
	int			max;	/* retries after the first attempt; 0 without `retry` */
	Interval   *delays; /* at least one where max > 0; the last one repeats */
	int			ndelays;
	double		backoff; /* factor; 1: constant */
	bool		linear;	 /* "linear": the delay times the number of the attempt */
	bool		has_max_delay;
	Interval	max_delay;
	Interval	jitter; /* up to that is added, at random */
	const char **on;	/* what is retried, instead of the usual: "503", "5xx", a SQLSTATE, "connect", "timeout" */
	int			non;	/* 0: the usual */
} WfRetry;

#define WF_MAX_RETRIES 1000000
#define WF_MAX_RETRY_DELAYS 1000
#define WF_MAX_RETRY_WORDS 100

extern bool wf_is_status(const char *text);
extern bool wf_is_status_class(const char *text); /* in either case */
/* "connect" or "timeout" */
extern bool wf_is_retry_word(const char *text);

#endif
