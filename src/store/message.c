/*
 * message.c
 *		Sending messages and signals: to whom they go, and what becomes of those that nobody takes now.
 *
 * A sender sees the waits that were committed, and those of its own transaction. A wait that is committed
 * later meets the message in the dispatcher (worker/matching.c), if that is kept.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "store/broadcast.h"
#include "store/event_delivery.h"
#include "store/message.h"
#include "store/privilege.h"

/* A message_id is remembered for so long, or for the ttl, if that is longer. */
#define REMEMBERED_MS (INT64CONST(24) * 60 * 60 * 1000)
/* A wait that is over when the message comes is looked for again so often. */
#define MOST_ROUNDS 8
/* In a move: longest wait for a transaction that sends the same message_id. */
#define LONGEST_LOCK_MS "100"

static const char *const answers[] = {
	[WF_SENT_DELIVERED] = "delivered", [WF_SENT_QUEUED] = "queued",		  [WF_SENT_KEPT] = "kept",
	[WF_SENT_MISSED] = "missed",	   [WF_SENT_DUPLICATE] = "duplicate",
};

const char *
wf_sent_name(WfSent sent)
{
	return answers[sent];
}

WfAddress
wf_message_address(const WfMessage *message)
{
	return (WfAddress){.name = message->name, .key = message->key, .instance = message->instance};
}

static WfMessage
message_of(const WfSending *sending)
{
	TimestampTz now = GetCurrentTimestamp();
	WfMessage	message = {.name = sending->name,
						   .key = sending->key,
						   .message_id = sending->message_id,
						   .instance = sending->instance,
						   .to_all = sending->to_all,
						   .data = sending->data,
						   .steps = sending->steps,
						   .role = sending->role,
						   .role_name = GetUserNameFromId(sending->role, false),
						   .sent_at = now};

	if (sending->ttl_ms > 0)
		message.expires_at = TimestampTzPlusMilliseconds(now, sending->ttl_ms);
	if (sending->message_id != NULL)
		message.remembered_until = TimestampTzPlusMilliseconds(now, Max(sending->ttl_ms, REMEMBERED_MS));
	return message;
}

/* ---- to whom ---- */

bool
wf_message_to_all(const WfMessage *message, Oid role)
{
	WfAddress	address = wf_message_address(message);
	WfRights	rights = {.role = role};
	WfReach		reach = {.rights = &rights};
	int			most = wf_broadcast_chunk(message);
	WfReceiver *receivers = palloc(sizeof(WfReceiver) * (most + 1));
	WfMessage	copy = *message;
	int64		after = 0;
	int			n = wf_receivers(&address, &reach, &after, PG_INT64_MAX, most + 1, receivers);

	copy.number = 0; /* its row says nothing of single receivers */
	copy.message_id = NULL;
	copy.expires_at = 0;
	if (n > most)
		wf_broadcast_add(false, &copy);
	else
		wf_event_deliveries_add(false, &copy, receivers, n);
	pfree(receivers);
	return n > 0;
}

void
wf_message_offer(WfMessage *message, const WfReceiver *receiver)
{
	if (message->number == 0 && message->expires_at != 0)
		(void) wf_kept_add(message);
	wf_kept_offer(message, receiver->subscription);
	wf_event_deliveries_add(false, message, receiver, 1);
}

/* Take it to the only one that waits. */
static WfSent
send_to_one(WfMessage *message, WfBring bring, int *waiting, char **whose)
{
	WfAddress  address = wf_message_address(message);
	WfReceiver receivers[2];

	for (int round = 0; round < MOST_ROUNDS; round++)
	{
		WfRights rights = {.role = message->role};
		WfReach	 reach = {.rights = &rights};
		int64	 after = 0;
		int		 n = wf_receivers(&address, &reach, &after, PG_INT64_MAX, 2, receivers);
		WfSent	 sent = WF_SENT_QUEUED;

		if (n > 1 && (*waiting = wf_receivers_count(&address, &reach, whose)) > 1)
			return WF_SENT_AMBIGUOUS;
		if (n == 0 || (message->expires_at != 0 && wf_kept_before(message)))
			return WF_SENT_MISSED;
		if (bring != NULL)
			sent = bring(message, &receivers[0]);
		if (sent == WF_SENT_QUEUED)
			wf_message_offer(message, &receivers[0]);
		if (sent != WF_SENT_MISSED)
			return sent;
	}
	return WF_SENT_MISSED;
}

/* ---- sending ---- */

/* What becomes of its row, now that it is known to whom the message went. */
static WfSent
settle(WfMessage *message, WfSent sent)
{
	if (sent == WF_SENT_MISSED && message->expires_at != 0)
	{
		if (message->number == 0)
			(void) wf_kept_add(message);
		wf_kept_wake(message);
		return WF_SENT_KEPT;
	}
	if (sent == WF_SENT_DELIVERED || (sent == WF_SENT_QUEUED && message->to_all))
		wf_kept_delivered(message);
	else if (sent != WF_SENT_QUEUED)
		wf_kept_forget(message); /* so that it can be sent again */
	return sent;
}

static WfSent
send_added(WfMessage *message, WfBring bring, int *waiting, char **whose)
{
	WfSent sent;

	if (message->to_all)
		sent = wf_message_to_all(message, message->role) ? WF_SENT_QUEUED : WF_SENT_MISSED;
	else
		sent = send_to_one(message, bring, waiting, whose);
	sent = settle(message, sent);
	if (sent == WF_SENT_QUEUED || sent == WF_SENT_KEPT)
		ForceSyncCommit(); /* the sender was told so */
	return sent;
}

static bool
may_send(const WfSending *sending)
{
	return sending->ttl_ms == 0 || wf_kept_allowed(sending->name, sending->role);
}

/* A message with a message_id gets its row first, so that two of them do not both go on. */
WfSent
wf_message_send(const WfSending *sending, WfBring bring, int *waiting, char **whose)
{
	WfMessage message = message_of(sending);

	if (!may_send(sending))
		return WF_SENT_FORBIDDEN;
	if (message.message_id != NULL && !wf_kept_add(&message))
		return WF_SENT_DUPLICATE;
	return send_added(&message, bring, waiting, whose);
}

static bool
add_in_move(WfMessage *message)
{
	int	 level = NewGUCNestLevel();
	bool added;

	(void) set_config_option("lock_timeout", LONGEST_LOCK_MS, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	added = wf_kept_add(message);
	AtEOXact_GUC(true, level);
	return added;
}

WfSent
wf_message_queue(const WfSending *sending, int *waiting)
{
	WfMessage message = message_of(sending);
	char	 *ignored;

	if (!may_send(sending))
		return WF_SENT_FORBIDDEN;
	if (message.message_id != NULL && !add_in_move(&message))
		return WF_SENT_DUPLICATE;
	return send_added(&message, NULL, waiting, &ignored);
}

void
wf_signal_queue(const char *name, Jsonb *data, Oid role, int steps)
{
	WfMessage signal = {.name = name,
						.data = data,
						.steps = steps,
						.role = role,
						.role_name = GetUserNameFromId(role, false),
						.sent_at = GetCurrentTimestamp()};

	wf_broadcast_add(true, &signal);
	ForceSyncCommit();
}
