/*
 * lacks.h
 *		What workers could not do because something was lacking that they will have again: by visit,
 *		for the view visits, and by operation, for the view operations.
 *
 * It is in shared memory since no row can be written in such a moment, and its size is bounded: if
 * there are more visits, some are not shown. Nothing durable depends on it.
 */
#ifndef WF_LACKS_H
#define WF_LACKS_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* What was lacking. */
typedef enum WfLack
{
	WF_LACK_NONE,
	WF_LACK_DISK,
	WF_LACK_MEMORY,
	WF_LACK_RESOURCES, /* connections, descriptors and the like */
	WF_LACK_LOCK,	   /* another transaction held it for too long */
	WF_LACK_CONFLICT,  /* a serialization failure or a deadlock */
	WF_LACK_SERVER,	   /* a called PostgreSQL server was shutting down or starting */
} WfLack;

#define WF_LACK_MESSAGE_LEN 192
/* In place of a visit: then the number of the operation stands in place of the instance. */
#define WF_LACK_OF_OPERATION (-1)

typedef struct WfLackRow
{
	int64		instance;
	int64		visit;
	WfLack		lack;
	int			pause_ms; /* pause after the last try */
	bool		said;	  /* the log told of it */
	TimestampTz again_at;
	char		sqlstate[6];
	char		message[WF_LACK_MESSAGE_LEN];
} WfLackRow;

/* The name of a lack, as the view visits shows it; NULL for WF_LACK_NONE. */
extern const char *wf_lack_name(WfLack lack);

/*
 * A worker could not do a piece of work. `instance` and `visit` name it; for work that belongs to
 * no visit they are the process ID and 0. The caller fills in these, and lack, sqlstate, message
 * and said. Returns the pause in ms before the next try, which grows with each call up to
 * longest_ms. *first: the log has told of no other lack in this database that is still there.
 */
extern int wf_lack_record(const WfLackRow *row, int longest_ms, bool *first);

/*
 * The work is done. Costs nothing while nothing is lacking. Returns true if it was the last of the
 * lacks that the log told of.
 */
extern bool wf_lack_over(int64 instance, int64 visit);

/*
 * For the dispatcher: drop rows that nobody has refreshed for long, since another worker did the
 * work. Returns when to call again; DT_NOEND: when something is lacking again. *last is what
 * wf_lack_over would return.
 */
extern TimestampTz wf_lacks_expire(TimestampTz now, bool *last);

/* Drop all rows; a new dispatcher calls this. */
extern void wf_lacks_forget(void);

/*
 * From any backend: a lack that the log has told of, whatever work is concerned; WF_LACK_NONE if
 * there is none.
 */
extern WfLack wf_lack_said(void);

/*
 * From any backend: find what a visit lacks. Returns false if nothing is known. Costs nothing while
 * nothing is lacking.
 */
extern bool wf_lack_find(int64 instance, int64 visit, WfLackRow *row);

#endif
