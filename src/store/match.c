/*
 * match.c
 *		Which kept message goes to which wait.
 *
 * From the message that was looked at the search goes to the one that has waited longest for it, from there to the
 * first message that is kept for that one and may go there, and so on, until both agree: each step leads to one that
 * came before, or is the last. So neither a wait that has just opened nor a message that is looked at late changes the
 * order.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "store/match.h"
#include "store/message.h"
#include "store/played.h"
#include "store/privilege.h"

/* So many messages that are gone when they are to be locked are passed over. */
#define MOST_GONE 8
/* So many lines are known at a time. */
#define MOST_LINES 32

/* Messages of one role to one address: those that wait for them, in their order. */
typedef struct Line
{
	WfAddress address; /* its name is NULL: the line is not used */
	WfReach	  reach;
	int64	  after; /* up to here nobody can have one any more in this transaction */
} Line;

struct WfMatching
{
	MemoryContext context;
	MemoryContext scratch; /* of one match */
	List		 *rights;  /* WfRights, one for each role */
	Line		  lines[MOST_LINES];
	int			  nlines; /* that were made: the oldest one makes room for the next */
	const int64
		*own; /* messages of a transaction that plays: these alone, and only to instances of its own; NULL: all */
	int	 nown;
};

WfMatching *
wf_matching_begin(void)
{
	WfMatching *matching = palloc0(sizeof(WfMatching));

	matching->context = CurrentMemoryContext;
	matching->scratch = AllocSetContextCreate(CurrentMemoryContext, "workflow matching", ALLOCSET_DEFAULT_SIZES);
	return matching;
}

/* ---- what is known ---- */

static WfRights *
rights_of(WfMatching *matching, Oid role)
{
	WfRights	 *rights;
	ListCell	 *lc;
	MemoryContext old;

	foreach (lc, matching->rights)
	{
		rights = lfirst(lc);
		if (rights->role == role)
			return rights;
	}
	old = MemoryContextSwitchTo(matching->context);
	rights = palloc0(sizeof(WfRights));
	rights->role = role;
	matching->rights = lappend(matching->rights, rights);
	MemoryContextSwitchTo(old);
	return rights;
}

static WfRights *
rights_of_sender(WfMatching *matching, const WfMessage *message)
{
	return rights_of(matching, wf_role_resolve(message->role, message->role_name));
}

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static Line *
line_of(WfMatching *matching, const WfMessage *message)
{
	WfRights *rights = rights_of_sender(matching, message);
	Line	 *line;

	for (int i = 0; i < Min(matching->nlines, MOST_LINES); i++)
	{
		line = &matching->lines[i];
		if (line->reach.rights == rights && line->address.instance == message->instance &&
			strcmp(line->address.name, message->name) == 0 && is_same(line->address.key, message->key))
			return line;
	}
	line = &matching->lines[matching->nlines++ % MOST_LINES];
	*line = (Line){.address = wf_message_address(message), .reach.rights = rights};
	line->address.name = pstrdup(message->name);
	line->address.key = message->key != NULL ? pstrdup(message->key) : NULL;
	return line;
}

/* ---- partners ---- */

/* Find the one that has waited longest for the message. */
static bool
find_receiver(WfMatching *matching, const WfMessage *message, WfReceiver *receiver)
{
	MemoryContext old = MemoryContextSwitchTo(matching->context);
	Line		 *line = line_of(matching, message);
	bool		  found;

	do
		found = line->after != PG_INT64_MAX &&
				wf_receivers(&line->address, &line->reach, &line->after, PG_INT64_MAX, 1, receiver) > 0;
	while (found && matching->own != NULL && !wf_play_has_started(receiver->instance));
	if (found)
		line->after = receiver->subscription - 1; /* another message may go there first */
	MemoryContextSwitchTo(old);
	return found;
}

/* Find the first message that is kept for the receiver and may go there; NULL: none. */
static const WfMessage *
find_first(WfMatching *matching, const WfReceiver *receiver)
{
	WfKept *firsts;
	int		n = wf_kept_firsts(receiver->subscription, matching->own, matching->nown, &firsts);

	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(matching->context);
		bool		  may_go =
			wf_rights_reach(rights_of_sender(matching, &firsts[i].message), receiver->process_id, receiver->step);

		MemoryContextSwitchTo(old);
		if (may_go)
			return &firsts[i].message;
	}
	return NULL;
}

/*
 * Find a message and a receiver that are each other's first, from this message on. Returns NULL if there is no
 * receiver, but for a message that goes to all. `of`: a subscription of which it is known to be the first; 0: none.
 */
static const WfMessage *
find_pair(WfMatching *matching, const WfMessage *message, int64 of, WfReceiver *receiver)
{
	while (!message->to_all)
	{
		const WfMessage *first;

		if (!find_receiver(matching, message, receiver))
			return NULL;
		if (receiver->subscription == of)
			break;
		first = find_first(matching, receiver);
		if (first == NULL || first->number >= message->number)
			break;
		message = first;
	}
	return message;
}

/* ---- matching ---- */

/* Bring it, if it is still kept; *gone: it is not. */
static WfMatched
bring(WfMatching *matching, const WfMessage *kept, const WfReceiver *receiver, bool *gone)
{
	WfMessage message;
	bool	  locked;

	*gone = false;
	if (!wf_kept_take(kept->number, &message, &locked))
	{
		*gone = !locked;
		return WF_MATCHED_LOCKED;
	}
	if (!message.to_all)
		wf_message_offer(&message, receiver);
	else if (wf_message_to_all(&message, rights_of_sender(matching, &message)->role))
		wf_kept_delivered(&message);
	else
		return WF_MATCHED_NONE;
	return WF_MATCHED;
}

/* Nobody waits for it: it may start an instance. It is locked only if some process starts on it. */
static WfMatched
start(WfMatching *matching, const WfMessage *kept)
{
	Oid				role = rights_of_sender(matching, kept)->role;
	WfMessageStart *starts;
	WfMessage		message;
	bool			locked;

	if (wf_message_starts(kept, role, 0, &starts) == 0)
		return WF_MATCHED_NONE;
	if (!wf_kept_take(kept->number, &message, &locked))
		return locked ? WF_MATCHED_LOCKED : WF_MATCHED_NONE;
	return wf_message_start_kept(&message, role) ? WF_MATCHED : WF_MATCHED_NONE;
}

/* `of` as above; *receiver: who got it, unless it went to all or starts an instance. */
static WfMatched
match(WfMatching *matching, const WfMessage *kept, int64 of, WfReceiver *receiver)
{
	for (int i = 0; i < MOST_GONE; i++)
	{
		const WfMessage *first = find_pair(matching, kept, i == 0 ? of : 0, receiver);
		WfMatched		 matched;
		bool			 gone;

		if (first == NULL)
		{
			*receiver = (WfReceiver){0};
			/* found by a wait of which the lines do not know yet, since it is newer than they are: it is looked at again */
			return of != 0 ? WF_MATCHED_NONE : start(matching, kept);
		}
		matched = bring(matching, first, receiver, &gone);
		if (first->number != kept->number && matched != WF_MATCHED_LOCKED)
			return matched == WF_MATCHED ? WF_MATCHED_OTHER : WF_MATCHED_LOCKED;
		if (!gone)
			return matched;
		if (first->number == kept->number)
			return WF_MATCHED_NONE;
	}
	return WF_MATCHED_LOCKED;
}

WfMatched
wf_match_message(WfMatching *matching, const WfMessage *kept)
{
	MemoryContext old = MemoryContextSwitchTo(matching->scratch);
	WfReceiver	  receiver;
	WfMatched	  matched = match(matching, kept, 0, &receiver);

	MemoryContextSwitchTo(old);
	MemoryContextReset(matching->scratch);
	return matched;
}

WfMatched
wf_match_subscription(WfMatching *matching, int64 subscription, int64 *number)
{
	MemoryContext	 old = MemoryContextSwitchTo(matching->scratch);
	WfReceiver		 receiver;
	WfReceiver		 got = {0};
	const WfMessage *first = NULL;
	WfMatched		 matched = WF_MATCHED_NONE;

	if (wf_receiver_is_open(subscription, &receiver))
		first = find_first(matching, &receiver);
	if (first != NULL)
	{
		*number = first->number;
		matched = match(matching, first, subscription, &got);
		if (matched == WF_MATCHED && (got.subscription != subscription || got.stays))
			matched = WF_MATCHED_OTHER;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(matching->scratch);
	return matched;
}

bool
wf_match_play(void)
{
	int64	   *own;
	int			nown = wf_play_messages(&own);
	WfMatching *matching;
	WfKept	   *kept;
	int			n;

	if (nown == 0)
		return false;
	matching = wf_matching_begin();
	matching->own = own;
	matching->nown = nown;
	n = wf_kept_look_at(own, nown, &kept);
	for (int i = 0; i < n; i++)
	{
		WfMatched matched = kept[i].wanted ? wf_match_message(matching, &kept[i].message) : WF_MATCHED_NONE;

		if (matched == WF_MATCHED || matched == WF_MATCHED_OTHER)
			return true;
	}
	return false;
}
