/*
 * announce.h
 *		What monitoring is told, by NOTIFY and in the log.
 */
#ifndef WF_ANNOUNCE_H
#define WF_ANNOUNCE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "shmem/news.h"

/*
 * One announcement; fields that are 0 or NULL are left out. It has no texts of errors, no keys and no data, since every
 * session may LISTEN.
 */
typedef struct WfAnnouncement
{
	const char		   *event;
	const char		   *process; /* with names as long as definitions allow, all of it fits into a NOTIFY */
	const char		   *step;
	const char		   *server;
	const char		   *state; /* of the server */
	int64				count;
	const WfNewsSerial *serials;
	int					nserials; /* at most WF_NEWS_SERIALS */
	TimestampTz			since;
} WfAnnouncement;

/* Send the announcement on channel `workflow`, when this transaction commits. Throws what NOTIFY throws. */
extern void wf_announce(const WfAnnouncement *announcement);

/*
 * For the dispatcher, in each turn, outside transactions: tell news that commits have published, about a second after
 * the first of them. Returns when to call again; DT_NOEND: when the dispatcher is woken.
 */
extern TimestampTz wf_announce_news(TimestampTz now);

/* At once: the breaker of a server has another state since then. */
extern void wf_announce_server(const char *server, const char *state, TimestampTz since);

/* The same for topics that have work: on the channel workflow_topic, with nothing but the name of each. */
extern void wf_announce_topics(const char *const *topics, int n);

#endif
