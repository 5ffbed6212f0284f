/*
 * matching.c
 *		Messages that are kept, and the waits that open: the dispatcher brings them together.
 *
 * Whoever keeps a message does not see waits that are about to open, and who opens one does not look for
 * messages. Each commit leaves a wake-up with the first of its numbers, and the dispatcher looks for the partners of
 * all from there on. Whoever commits last so triggers a look that sees both; a dispatcher that starts looks at all.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "store/kept.h"
#include "store/match.h"
#include "worker/dispatcher_internal.h"

/* So many numbers are looked at together, and at most so many in one transaction. */
#define LOOKED_AT_TOGETHER		  100
#define LOOKED_AT_PER_TRANSACTION 1000
/* So many messages are brought to a wait in one transaction. */
#define MATCHED_PER_TRANSACTION 64
/* After so long the transaction ends, whatever it has come to: so that other queues have their turn. */
#define LONGEST_LOOK_MS 50
/* A message that somebody has locked is tried again after so long. */
#define LOCKED_PAUSE_MS 1000

typedef struct Match
{
	WfMatching *matching;
	TimestampTz began_at;
	int64		messages_from;
	int64		subscriptions_from;
	int64		locked; /* the first message that somebody else has locked; PG_INT64_MAX: none */
	int			looked_at;
	int			matched;
} Match;

/* Has this transaction done enough? */
static bool
is_full(const Match *match)
{
	return match->matched >= MATCHED_PER_TRANSACTION ||
		   TimestampDifferenceExceeds(match->began_at, GetCurrentTimestamp(), LONGEST_LOOK_MS);
}

/* Note what became of a message. Returns false if it has to be tried again: not if nobody may have it. */
static bool
note(Match *match, WfMatched matched, int64 number)
{
	if (matched == WF_MATCHED_LOCKED)
		match->locked = Min(match->locked, number);
	else if (matched != WF_MATCHED_NONE)
		match->matched++;
	return matched != WF_MATCHED_OTHER;
}

/* Look for the waits of some kept messages. Returns how far it came. */
static int64
match_messages(Match *match)
{
	WfKept *kept = palloc(sizeof(WfKept) * LOOKED_AT_TOGETHER);
	int64	next = match->messages_from;
	int		n = wf_kept_look(&next, LOOKED_AT_TOGETHER, kept);

	for (int i = 0; i < n; i++)
	{
		const WfMessage *message = &kept[i].message;

		if (!kept[i].wanted)
			continue;
		do
		{
			if (is_full(match) && match->looked_at > 0)
				return message->number;
			match->looked_at++;
		} while (!note(match, wf_match_message(match->matching, message), message->number));
	}
	match->looked_at += n;
	return next;
}

/* Look for the messages of one wait: one that does not end with its message gets all. Returns false if it is full. */
static bool
match_subscription(Match *match, int64 subscription)
{
	WfMatched matched;
	int64	  number;

	do
	{
		if (is_full(match) && match->looked_at > 0)
			return false;
		match->looked_at++;
		matched = wf_match_subscription(match->matching, subscription, &number);
		(void) note(match, matched, number);
	} while (matched == WF_MATCHED_OTHER);
	return true;
}

/* Look for the messages of some waits. Returns how far it came. */
static int64
match_subscriptions(Match *match)
{
	int64 *subscriptions = palloc(sizeof(int64) * LOOKED_AT_TOGETHER);
	int64  next = match->subscriptions_from;
	int	   n = wf_kept_waiting(&next, LOOKED_AT_TOGETHER, subscriptions);

	for (int i = 0; i < n; i++)
		if (!match_subscription(match, subscriptions[i]))
			return subscriptions[i];
	match->looked_at += LOOKED_AT_TOGETHER;
	return next;
}

static void
begin_side(Match *match)
{
	match->began_at = GetCurrentTimestamp();
	match->looked_at = match->matched = 0;
}

static bool
may_look_at_more(const Match *match)
{
	return match->looked_at < LOOKED_AT_PER_TRANSACTION && !is_full(match);
}

/* Each side has its share of the transaction, so that neither waits for the other. */
static void
match_some(WfDispatcher *dispatcher, void *arg)
{
	Match *match = arg;
	int	   kept;

	match->matching = wf_matching_begin();
	begin_side(match);
	while (match->messages_from != PG_INT64_MAX && may_look_at_more(match))
		match->messages_from = match_messages(match);
	if (match->subscriptions_from == PG_INT64_MAX)
		return;
	begin_side(match);
	kept = wf_kept_count(LOOKED_AT_PER_TRANSACTION);
	while (kept > 0 && match->subscriptions_from != PG_INT64_MAX && may_look_at_more(match))
		match->subscriptions_from = match_subscriptions(match);
	/* there are more waits to be looked at than messages: look from the side of those */
	if (kept > 0 && kept < LOOKED_AT_PER_TRANSACTION && match->subscriptions_from != PG_INT64_MAX)
		match->messages_from = 0;
	/* who keeps a message from now on looks at all waits for it */
	if (kept < LOOKED_AT_PER_TRANSACTION)
		match->subscriptions_from = PG_INT64_MAX;
}

void
wf_messages_match(WfDispatcher *dispatcher)
{
	TimestampTz now = GetCurrentTimestamp();
	Match		match = {.locked = PG_INT64_MAX};

	if (dispatcher->locked_messages_at <= now)
	{
		dispatcher->messages_from = Min(dispatcher->messages_from, dispatcher->locked_message);
		dispatcher->locked_message = PG_INT64_MAX;
		dispatcher->locked_messages_at = WF_NEVER;
	}
	match.messages_from = dispatcher->messages_from;
	match.subscriptions_from = dispatcher->subscriptions_from;
	if (wf_messages_next(dispatcher) > now || !wf_small_transaction(dispatcher, match_some, &match))
		return;
	dispatcher->messages_from = match.messages_from;
	dispatcher->subscriptions_from = match.subscriptions_from;
	if (match.locked == PG_INT64_MAX)
		return;
	dispatcher->locked_message = Min(dispatcher->locked_message, match.locked);
	dispatcher->locked_messages_at =
		Min(dispatcher->locked_messages_at, TimestampTzPlusMilliseconds(now, LOCKED_PAUSE_MS));
}

TimestampTz
wf_messages_next(const WfDispatcher *dispatcher)
{
	if (dispatcher->messages_from != PG_INT64_MAX || dispatcher->subscriptions_from != PG_INT64_MAX)
		return DT_NOBEGIN;
	return dispatcher->locked_messages_at;
}
