/*
 * trace.h
 *		Traces (W3C Trace Context): the one of an instance, and the spans of its requests.
 *
 * A trace that nobody has given is not stored: it is worked out of the number of the instance and the time of its
 * start, with a key of the database, and a span of the visit and the number of the attempt.
 */
#ifndef WF_TRACE_H
#define WF_TRACE_H

#include "postgres.h"

#include "store/batch.h"

#define WF_TRACE_HEADER "traceparent"
/* hexadecimal digits */
#define WF_TRACE_ID_LEN 32
#define WF_SPAN_ID_LEN	16
/* "00-<trace>-<span>-<flags>" */
#define WF_TRACEPARENT_LEN 55

/* The span of a cancel request, whose visit has attempts of other numbers. */
#define WF_ATTEMPT_CANCEL 0

typedef struct WfTraceIds
{
	char trace[WF_TRACE_ID_LEN + 1];
	char span[WF_SPAN_ID_LEN + 1];
} WfTraceIds;

/*
 * These need a transaction, and return false if the database has no key: then it has no process either. `given` is the
 * traceparent that the instance has begun with; NULL: none.
 */
extern bool wf_trace_of_instance(int64 instance, TimestampTz started_at, const char *given,
								 char trace[WF_TRACE_ID_LEN + 1]);
extern bool wf_trace_of_attempt(int64 visit, int attempt, char span[WF_SPAN_ID_LEN + 1]);
extern bool wf_trace_ids(const WfVisit *visit, int attempt, WfTraceIds *ids);

/* The value of the header for an attempt of the visit, palloc'd; NULL: there is no key. */
extern char *wf_trace_parent(const WfVisit *visit, int attempt);

/*
 * The traceparent that an instance begins with that is started at this moment: that of the setting
 * workflow.traceparent, else of the visit whose statement runs. Palloc'd; NULL: there is none.
 */
extern char *wf_trace_given(void);

/* The statement of this visit runs; NULL: none does any more. */
extern void wf_trace_run(const WfVisit *visit);

#endif
