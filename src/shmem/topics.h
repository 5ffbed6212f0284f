/*
 * topics.h
 *		Which topics have work to be fetched, now or later: what commits leave for the dispatcher, which tells those who
 *		LISTEN.
 *
 * Part of the wake-ups, but not all of it is worth waking anybody: commits come in thousands a second, and so does
 * work. Those of the moment after the dispatcher has looked wait for its next look, and what is due later than that costs
 * nothing.
 */
#ifndef WF_TOPICS_H
#define WF_TOPICS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define WF_MAX_TOPICS 32

/* The longest name of a topic, in bytes. */
#define WF_TOPIC_MAX (NAMEDATALEN - 1)

typedef struct WfTopic
{
	char		name[NAMEDATALEN];
	bool		ready; /* some can be fetched now */
	TimestampTz later; /* and some from then on; 0: not known */
} WfTopic;

typedef struct WfTopics
{
	int		n;
	WfTopic topics[WF_MAX_TOPICS];
	bool	all; /* there were more than fit, or unknown ones */
} WfTopics;

/* Add what can be fetched from `at` on; 0: at once. Neither allocates nor fails. */
extern void wf_topics_add(WfTopics *topics, const char *name, TimestampTz at);
extern void wf_topics_merge(WfTopics *into, const WfTopics *from);
extern void wf_topics_clear(WfTopics *topics);
/* When has somebody to look at them? 0: at once; DT_NOEND: there are none. */
extern TimestampTz wf_topics_due(const WfTopics *topics);

#endif
