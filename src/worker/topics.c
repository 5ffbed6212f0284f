/*
 * topics.c
 *		Who listens to the channel workflow_topic is told the topics that have work to be fetched.
 *
 * Commits say which topics have work now, and from when on there may be some more: locks run out, and pauses end
 * (shmem/topics.h). So it is known without a look at the database that something new is there; only when a lock may have
 * run out are the rows asked whether it has, and when the next one will: not too often, where that takes long.
 *
 * A topic is told at once, and then at most once in TOLD_EVERY_MS.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/wakeups.h"
#include "store/work.h"
#include "worker/announce.h"
#include "worker/dispatcher_internal.h"

#define TOLD_EVERY_MS 100
/* Commits do not wake the dispatcher for the sake of topics within this time after it has looked. */
#define QUIET_MS 10
/* After a look at rows it rests so many times as long as that took: there are as many moments as locks and pauses that end. */
#define LOOK_SHARE 10
/* If not all is known, so many topics are looked for in one transaction. */
#define TOPICS_PER_LOOK 64

typedef struct Known
{
	WfTopic		topic;
	TimestampTz told_at;
} Known;

/* What is known: in an array that grows, of which each turn drops what is over. */
static Known *known = NULL;
static int	  nknown = 0;
static int	  room = 0;
/* All topics have to be looked for, behind this one. */
static bool looking_for_all = false;
static char behind[NAMEDATALEN];
/* Until then the rows are not looked at. */
static TimestampTz rests_until = 0;

static Known *
know(const char *name)
{
	for (int i = 0; i < nknown; i++)
		if (strcmp(known[i].topic.name, name) == 0)
			return &known[i];
	if (nknown == room)
	{
		room = Max(2 * room, 16);
		known = known == NULL ? MemoryContextAlloc(TopMemoryContext, room * sizeof(Known))
							  : repalloc(known, room * sizeof(Known));
	}
	known[nknown] = (Known){0};
	strlcpy(known[nknown].topic.name, name, NAMEDATALEN);
	return &known[nknown++];
}

static void
note_later(Known *one, TimestampTz later)
{
	if (later != 0 && (one->topic.later == 0 || later < one->topic.later))
		one->topic.later = later;
}

static void
take_wakeups(void)
{
	WfTopics taken;

	wf_topics_take(&taken);
	if (taken.all)
		wf_topics_forget();
	for (int i = 0; i < taken.n; i++)
	{
		Known *one = know(taken.topics[i].name);

		one->topic.ready |= taken.topics[i].ready;
		note_later(one, taken.topics[i].later);
	}
}

void
wf_topics_forget(void)
{
	looking_for_all = true;
	behind[0] = '\0';
}

/* ---- what the rows say ---- */

static void
look_at_topic(Known *one, TimestampTz now)
{
	TimestampTz next;

	one->topic.ready |= wf_work_is_ready(one->topic.name, now, &next);
	one->topic.later = next;
}

static void
look_for_some(TimestampTz now)
{
	const char *topics[TOPICS_PER_LOOK];
	int			n = wf_work_topics(behind, TOPICS_PER_LOOK, topics);

	for (int i = 0; i < n; i++)
	{
		look_at_topic(know(topics[i]), now);
		strlcpy(behind, topics[i], NAMEDATALEN);
	}
	looking_for_all = n == TOPICS_PER_LOOK;
}

static void
look(WfDispatcher *dispatcher, void *arg)
{
	TimestampTz now = *(TimestampTz *) arg;

	for (int i = 0; i < nknown; i++)
		if (known[i].topic.later != 0 && known[i].topic.later <= now)
			look_at_topic(&known[i], now);
	if (looking_for_all)
		look_for_some(now);
	now = GetCurrentTimestamp();
	rests_until = now + LOOK_SHARE * (now - *(TimestampTz *) arg);
}

static bool
has_to_look(TimestampTz now)
{
	if (now < rests_until)
		return false;
	for (int i = 0; i < nknown; i++)
		if (known[i].topic.later != 0 && known[i].topic.later <= now)
			return true;
	return looking_for_all;
}

/* ---- telling ---- */

static TimestampTz
told_next(const Known *one)
{
	return one->told_at == 0 ? 0 : TimestampTzPlusMilliseconds(one->told_at, TOLD_EVERY_MS);
}

static void
tell(TimestampTz now)
{
	const char **names = palloc(sizeof(char *) * Max(nknown, 1));
	int			 n = 0;

	for (int i = 0; i < nknown; i++)
	{
		if (!known[i].topic.ready || told_next(&known[i]) > now)
			continue;
		known[i].topic.ready = false;
		known[i].told_at = now;
		names[n++] = known[i].topic.name;
	}
	wf_announce_topics(names, n);
}

/* Drop what is over, and return when to look again. */
static TimestampTz
look_ahead(TimestampTz now)
{
	TimestampTz next = looking_for_all ? rests_until : WF_NEVER;
	int			n = 0;

	for (int i = 0; i < nknown; i++)
	{
		const Known *one = &known[i];

		if (!one->topic.ready && one->topic.later == 0 && told_next(one) <= now)
			continue;
		if (one->topic.ready)
			next = Min(next, told_next(one));
		if (one->topic.later != 0)
			next = Min(next, Max(one->topic.later, rests_until));
		known[n++] = *one;
	}
	nknown = n;
	return next;
}

void
wf_topics_tell(WfDispatcher *dispatcher)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!looking_for_all && wf_topics_next() > now)
		return;
	take_wakeups();
	if (has_to_look(now) && !wf_small_transaction(dispatcher, look, &now))
		return;
	tell(now);
	wf_topics_look(look_ahead(now), TimestampTzPlusMilliseconds(now, QUIET_MS));
}
