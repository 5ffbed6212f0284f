/*
 * sent.h
 *		What was sent and is not answered, for the next dispatcher: a file says so, since rows do not.
 *
 * A dispatcher that ends, and a server that is killed, leave requests behind of which nobody knows whether they have
 * arrived. They are sent again, and the next dispatcher puts those attempts on record.
 */
#ifndef WF_SENT_H
#define WF_SENT_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct WfSent
{
	int64		instance;
	int64		visit; /* 0: there is none at this place */
	TimestampTz at;
	int64		attempt; /* from 1 */
} WfSent;

/* Note a request that is about to be sent, at its place (shmem/shown.h); a place below 0 is none. */
extern void wf_sent_note(int place, int64 instance, int64 visit, int attempt);
/* The request at a place has ended. */
extern void wf_sent_forget(int place);
/* Write what was noted. To be called before requests leave. */
extern void wf_sent_write(void);

/*
 * Read what the last dispatcher of this database has left behind, in TopMemoryContext; it is removed. Returns how many
 * places there are. To be called before anything is written.
 */
extern int wf_sent_read(WfSent **sent);
/* Remove what the dispatchers of a database have left behind. */
extern void wf_sent_remove(Oid database);

#endif
