/*
 * topics.c
 *		Which topics have work to be fetched, now or later.
 */
#include "postgres.h"

#include "shmem/topics.h"

static WfTopic *
find_topic(WfTopics *topics, const char *name)
{
	for (int i = 0; i < topics->n; i++)
		if (strcmp(topics->topics[i].name, name) == 0)
			return &topics->topics[i];
	if (topics->n == WF_MAX_TOPICS)
		return NULL;
	strlcpy(topics->topics[topics->n].name, name, NAMEDATALEN);
	topics->topics[topics->n].ready = false;
	topics->topics[topics->n].later = 0;
	return &topics->topics[topics->n++];
}

static void
add_later(WfTopic *topic, TimestampTz later)
{
	if (later != 0 && (topic->later == 0 || later < topic->later))
		topic->later = later;
}

void
wf_topics_add(WfTopics *topics, const char *name, TimestampTz at)
{
	WfTopic *topic = topics->all ? NULL : find_topic(topics, name);

	if (topic == NULL)
		topics->all = true;
	else if (at == 0)
		topic->ready = true;
	else
		add_later(topic, at);
}

void
wf_topics_merge(WfTopics *into, const WfTopics *from)
{
	into->all |= from->all;
	for (int i = 0; !into->all && i < from->n; i++)
	{
		WfTopic *topic = find_topic(into, from->topics[i].name);

		if (topic == NULL)
			into->all = true;
		else
		{
			topic->ready |= from->topics[i].ready;
			add_later(topic, from->topics[i].later);
		}
	}
}

void
wf_topics_clear(WfTopics *topics)
{
	topics->n = 0;
	topics->all = false;
}

TimestampTz
wf_topics_due(const WfTopics *topics)
{
	TimestampTz due = DT_NOEND;

	if (topics->all)
		return 0;
	for (int i = 0; i < topics->n; i++)
	{
		if (topics->topics[i].ready)
			return 0;
		if (topics->topics[i].later != 0)
			due = Min(due, topics->topics[i].later);
	}
	return due;
}
