/*
 * message.c
 *		Sending messages and signals: to whom they go, and what becomes of those that nobody takes now.
 *
 * Who waits for a message comes first; if nobody does, it may start an instance (message_start.c).
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
#include "store/played.h"
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
	TimestampTz now = wf_now();
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

/* What goes to several has no row that says something of each. */
static WfMessage
copy_for_all(const WfMessage *message)
{
	WfMessage copy = *message;

	copy.number = 0;
	copy.message_id = NULL;
	copy.expires_at = 0;
	return copy;
}

/* Take it to all that wait now: to many by a broadcast. Returns false if nobody waits. */
static bool
send_to_waiting(const WfMessage *message, Oid role)
{
	WfAddress	address = wf_message_address(message);
	WfRights	rights = {.role = role};
	WfReach		reach = {.rights = &rights};
	int			most = wf_broadcast_chunk(message);
	WfReceiver *receivers = palloc(sizeof(WfReceiver) * (most + 1));
	WfMessage	copy = copy_for_all(message);
	int64		after = 0;
	int			n = wf_receivers(&address, &reach, &after, PG_INT64_MAX, most + 1, receivers);

	if (n > most)
		wf_broadcast_add(false, &copy);
	else
		wf_event_deliveries_add(false, &copy, receivers, n);
	pfree(receivers);
	return n > 0;
}

/*
 * Start an instance of all processes that start on it. Returns how many; -1 with unsent->fault if it does not do for
 * one of them. Without `unsent` the message was kept: those are passed over, and executors work out business keys.
 */
static int
start_all(const WfMessage *message, Oid role, WfUnsent *unsent)
{
	WfMessageStart *starts;
	WfMessage		copy = copy_for_all(message);
	int				n = wf_message_starts(message, role, 0, &starts);
	int				fit = 0;

	for (int i = 0; i < n; i++)
	{
		WfFault fault = {0};

		if (unsent != NULL ? wf_message_start_prepare(&starts[i], message, &fault)
						   : wf_message_start_takes(&starts[i], message, &fault))
			starts[fit++] = starts[i];
		else if (unsent != NULL)
		{
			unsent->fault = fault;
			return -1;
		}
	}
	for (int i = 0; i < fit; i++)
		wf_message_start_queue(&starts[i], &copy);
	return fit;
}

/* Take it to all that wait now, and all that start on it. */
static WfSent
send_to_all(const WfMessage *message, Oid role, WfUnsent *unsent)
{
	int	 started = start_all(message, role, unsent);
	bool waits;

	if (started < 0)
		return WF_SENT_UNFIT;
	waits = send_to_waiting(message, role);
	return waits || started > 0 ? WF_SENT_QUEUED : WF_SENT_MISSED;
}

bool
wf_message_to_all(const WfMessage *message, Oid role)
{
	return send_to_all(message, role, NULL) != WF_SENT_MISSED;
}

void
wf_message_offer(WfMessage *message, const WfReceiver *receiver)
{
	if (message->number == 0 && message->expires_at != 0)
		(void) wf_kept_add(message);
	wf_kept_offer(message, receiver->subscription);
	wf_event_deliveries_add(false, message, receiver, 1);
}

/* Let an executor start an instance with it, as offer does. */
static void
offer_start(WfMessage *message, const WfMessageStart *start)
{
	if (message->number == 0 && message->expires_at != 0)
		(void) wf_kept_add(message);
	wf_kept_offer(message, WF_SUBSCRIPTION_NONE);
	wf_message_start_queue(start, message);
}

/* Nobody waits: it starts an instance of the only process that starts on it. */
static WfSent
start_one(WfMessage *message, const WfBringing *by, WfUnsent *unsent)
{
	WfMessageStart *starts;
	int				n = wf_message_starts(message, message->role, 0, &starts);

	if (n == 0)
		return WF_SENT_MISSED;
	if (n > 1)
	{
		*unsent = (WfUnsent){.n = n, .starts = true, .whose = wf_message_starts_text(starts, n)};
		return WF_SENT_AMBIGUOUS;
	}
	if (!wf_message_start_prepare(&starts[0], message, &unsent->fault))
		return WF_SENT_UNFIT;
	if (by != NULL)
	{
		by->start(message, &starts[0]);
		return WF_SENT_DELIVERED;
	}
	if (!wf_message_start_is_free(&starts[0], &unsent->fault))
		return WF_SENT_UNFIT;
	offer_start(message, &starts[0]);
	return WF_SENT_QUEUED;
}

/* Take it to the only one that waits; if nobody does, to a process that starts on it. */
static WfSent
send_to_one(WfMessage *message, const WfBringing *by, WfUnsent *unsent)
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

		if (n > 1 && (unsent->n = wf_receivers_count(&address, &reach, &unsent->whose)) > 1)
			return WF_SENT_AMBIGUOUS;
		if (n == 0)
			return start_one(message, by, unsent);
		if (message->expires_at != 0 && wf_kept_before(message))
			return WF_SENT_MISSED;
		if (by != NULL)
			sent = by->bring(message, &receivers[0]);
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
send_added(WfMessage *message, const WfBringing *by, WfUnsent *unsent)
{
	WfSent sent;

	*unsent = (WfUnsent){0};
	if (message->to_all)
		sent = send_to_all(message, message->role, unsent);
	else
		sent = send_to_one(message, by, unsent);
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
wf_message_send(const WfSending *sending, const WfBringing *by, WfUnsent *unsent)
{
	WfMessage message = message_of(sending);

	if (!may_send(sending))
		return WF_SENT_FORBIDDEN;
	if (message.message_id != NULL && !wf_kept_add(&message))
		return WF_SENT_DUPLICATE;
	return send_added(&message, by, unsent);
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
wf_message_queue(const WfSending *sending, WfUnsent *unsent)
{
	WfMessage message = message_of(sending);

	if (!may_send(sending))
		return WF_SENT_FORBIDDEN;
	if (message.message_id != NULL && !add_in_move(&message))
		return WF_SENT_DUPLICATE;
	return send_added(&message, NULL, unsent);
}

void
wf_signal_queue(const char *name, Jsonb *data, Oid role, int steps)
{
	WfMessage signal = {.name = name,
						.data = data,
						.steps = steps,
						.role = role,
						.role_name = GetUserNameFromId(role, false),
						.sent_at = wf_now()};

	wf_broadcast_add(true, &signal);
	ForceSyncCommit();
}

/* ---- what starts an instance instead ---- */

bool
wf_message_start_kept(WfMessage *message, Oid role)
{
	WfMessageStart *starts;
	int				n = wf_message_starts(message, role, 0, &starts);
	WfFault			fault = {0};

	for (int i = 0; i < n; i++)
	{
		if (!wf_message_start_takes(&starts[i], message, &fault))
			continue;
		offer_start(message, &starts[i]);
		return true;
	}
	return false;
}

void
wf_message_refused(const WfEventDelivery *delivery, TimestampTz now)
{
	WfMessage message = delivery->message;
	bool	  is_kept = message.expires_at != 0 || message.to_all || delivery->signal;

	if (is_kept || !wf_message_start_kept(&message, wf_role_resolve(message.role, message.role_name)))
		wf_event_delivery_refused(delivery, now);
}

bool
wf_message_redirect(WfMessage *message, Oid role)
{
	WfAddress  address = wf_message_address(message);
	WfRights   rights = {.role = role};
	WfReach	   reach = {.rights = &rights};
	WfReceiver receiver;
	int64	   after = 0;

	if (wf_receivers(&address, &reach, &after, PG_INT64_MAX, 1, &receiver) == 0)
		return false;
	wf_message_offer(message, &receiver);
	return true;
}
