/*
 * announce.h
 *		What monitoring is told, by NOTIFY and in the log.
 */
#ifndef WF_ANNOUNCE_H
#define WF_ANNOUNCE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "shmem/news.h"

/* What is 0 or NULL is left out. No texts of errors, no keys and no data: whoever is connected may listen. */
typedef struct WfAnnouncement
{
	const char		   *event;
	const char		   *process; /* names as long as definitions let them be: then it is less than a NOTIFY may be */
	const char		   *step;
	const char		   *server;
	int64				count;
	const WfNewsSerial *serials;
	int					nserials; /* at most WF_NEWS_SERIALS */
	TimestampTz			since;
} WfAnnouncement;

/* At the end of this transaction, on channel `workflow`. */
extern void wf_announce(const WfAnnouncement *announcement);

/*
 * From the dispatcher, outside transactions, each turn: tells what was published, a while after the first of it. Returns when to call
 * again; DT_NOEND: when woken.
 */
extern TimestampTz wf_announce_news(TimestampTz now);

#endif
