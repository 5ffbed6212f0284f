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
#include "store/message.h"
#include "worker/dispatcher_internal.h"

/* At most so many numbers are looked at in one transaction. */
#define LOOKED_AT_PER_TRANSACTION 1000
/* About so many messages are brought to a wait in one transaction. */
#define MATCHED_PER_TRANSACTION 64
/* So many are tried, most of which may find nobody who may have them. */
#define TRIED_PER_TRANSACTION 200
/* A message that somebody has locked is tried again after so long. */
#define LOCKED_PAUSE_MS 1000

typedef struct Match
{
	int64 messages_from;
	int64 subscriptions_from;
	int64 locked; /* the first message that somebody else has locked; PG_INT64_MAX: none */
	int	  matched;
	int	  tried;
	/* The wait that was not done with, and the last message that was tried for it. */
	int64 resume;
	int64 tried_for_it;
} Match;

/* Has this transaction done enough? */
static bool
is_full(const Match *match)
{
	return match->matched >= MATCHED_PER_TRANSACTION || match->tried >= TRIED_PER_TRANSACTION;
}

static int64
match_one(Match *match, int64 number)
{
	int64 matched = wf_message_match(number);

	match->tried++;
	if (matched == WF_MATCHED_LOCKED)
		match->locked = Min(match->locked, number);
	else if (matched != WF_MATCHED_NONE)
		match->matched++;
	return matched;
}

/*
 * Match a message, and before it those that were kept earlier for the same: a wait may have opened since these were
 * looked at.
 */
static void
match_in_order(Match *match, int64 number)
{
	int64 older[MATCHED_PER_TRANSACTION];
	int	  n = wf_kept_older(number, lengthof(older), older);

	for (int i = 0; i < n; i++)
		(void) match_one(match, older[i]);
	(void) match_one(match, number);
}

/* Look for the waits of kept messages. Returns how far it came. */
static int64
match_messages(Match *match)
{
	int64 *numbers = palloc(sizeof(int64) * LOOKED_AT_PER_TRANSACTION);
	int64  next = match->messages_from;
	int	   n = wf_kept_wanted(&next, LOOKED_AT_PER_TRANSACTION, numbers);

	for (int i = 0; i < n; i++)
	{
		if (is_full(match))
			return numbers[i];
		match_in_order(match, numbers[i]);
	}
	return next;
}

/* Does a wait that ends with its message have one now? A handler that stays has all that are kept for it. */
static bool
is_satisfied(int64 subscription, int64 matched)
{
	return (matched == subscription || matched == WF_MATCHED_ALL) && !wf_receiver_is_open(subscription);
}

/* Look for the messages of one wait. Returns false if there may be more of them. */
static bool
match_subscription(Match *match, int64 subscription)
{
	int64 numbers[MATCHED_PER_TRANSACTION];
	int64 after = subscription == match->resume ? match->tried_for_it : 0;
	int	  n;

	if (!wf_receiver_is_open(subscription))
		return true;
	do
	{
		n = wf_kept_for(subscription, after, lengthof(numbers), numbers);
		for (int i = 0; i < n; i++)
		{
			if (is_full(match))
			{
				match->resume = subscription;
				match->tried_for_it = after;
				return false;
			}
			if (is_satisfied(subscription, match_one(match, numbers[i])))
				return true;
			after = numbers[i];
		}
	} while (n == lengthof(numbers));
	return true;
}

/* Look for the messages of waits. Returns how far it came. */
static int64
match_subscriptions(Match *match)
{
	int64 *subscriptions = palloc(sizeof(int64) * LOOKED_AT_PER_TRANSACTION);
	int64  next = match->subscriptions_from;
	int	   kept = wf_kept_count(LOOKED_AT_PER_TRANSACTION);
	int	   n;

	/* who keeps a message from now on looks at all waits for it */
	if (kept == 0)
		return PG_INT64_MAX;
	n = wf_kept_waiting(&next, LOOKED_AT_PER_TRANSACTION, subscriptions);
	for (int i = 0; i < n; i++)
	{
		if (!match_subscription(match, subscriptions[i]))
			return subscriptions[i];
		if (match->resume == subscriptions[i])
			match->resume = 0;
	}
	/* there are more waits to be looked at than messages: look from the side of those */
	if (next != PG_INT64_MAX && kept < LOOKED_AT_PER_TRANSACTION)
	{
		match->messages_from = 0;
		return PG_INT64_MAX;
	}
	return next;
}

static void
match_some(WfDispatcher *dispatcher, void *arg)
{
	Match *match = arg;

	if (match->messages_from != PG_INT64_MAX)
		match->messages_from = match_messages(match);
	if (match->subscriptions_from != PG_INT64_MAX && !is_full(match))
		match->subscriptions_from = match_subscriptions(match);
}

void
wf_messages_match(WfDispatcher *dispatcher)
{
	TimestampTz now = GetCurrentTimestamp();
	Match		match = {.locked = PG_INT64_MAX,
						 .resume = dispatcher->resume_subscription,
						 .tried_for_it = dispatcher->resume_after};

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
	dispatcher->resume_subscription = match.resume;
	dispatcher->resume_after = match.tried_for_it;
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
