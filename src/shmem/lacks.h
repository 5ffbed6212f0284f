/*
 * lacks.h
 *		What workers could not do for want of something that they will have again: by visit, for the view visits.
 *
 * It is in shared memory since no row can be written then, and bounded: with more visits than there is room for, some are not
 * shown. Nothing durable depends on it.
 */
#ifndef WF_LACKS_H
#define WF_LACKS_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* What was wanting. */
typedef enum WfLack
{
	WF_LACK_NONE,
	WF_LACK_DISK,
	WF_LACK_MEMORY,
	WF_LACK_RESOURCES, /* connections, descriptors and the like */
	WF_LACK_LOCK,	   /* somebody else had it for too long */
	WF_LACK_CONFLICT,  /* a serialization failure, a deadlock */
	WF_LACK_SERVER,	   /* a server was shutting down or starting */
} WfLack;

#define WF_LACK_MESSAGE_LEN 192

typedef struct WfLackRow
{
	int64		instance;
	int64		visit;
	WfLack		lack;
	int			pause_ms; /* after the last try */
	bool		said;	  /* in the log */
	TimestampTz again_at;
	char		sqlstate[6];
	char		message[WF_LACK_MESSAGE_LEN];
} WfLackRow;

/* A word for it; NULL for none. */
extern const char *wf_lack_name(WfLack lack);

/*
 * From a worker: this could not be done. `instance` and `visit` say what, or are the process ID and 0 for what is nobody's. Of
 * the row these, lack, sqlstate, message and said are given. Returns the pause before the next try, which grows from call to call up to
 * longest_ms. *first: nothing that was said in the log was lacking in this database before.
 */
extern int	wf_lack_note(const WfLackRow *row, int longest_ms, bool *first);

/* It is done. Costs nothing while nothing is lacking. True if it was the last of those that were said in the log. */
extern bool wf_lack_over(int64 instance, int64 visit);

/*
 * From the dispatcher: forget what nobody has tried for long, since it was done by somebody else. Returns when to call again;
 * DT_NOEND: when something is lacking again. *last: as of wf_lack_over.
 */
extern TimestampTz wf_lacks_expire(TimestampTz now, bool *last);

/* A new dispatcher begins with none. */
extern void wf_lacks_forget(void);

/* From any backend: what is lacking that was said in the log, whoever it is that lacks it. NONE: nothing. */
extern WfLack wf_lack_said(void);

/* From any backend: what is lacking for a visit. False: nothing that is known of. Costs nothing while nothing is lacking. */
extern bool wf_lack_find(int64 instance, int64 visit, WfLackRow *row);

#endif
