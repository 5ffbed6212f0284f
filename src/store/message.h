/*
 * message.h
 *		Sending messages and signals. All functions are called inside wf_store_enter.
 */
#ifndef WF_MESSAGE_H
#define WF_MESSAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "store/kept.h"
#include "store/receivers.h"

/* In bytes: so that they fit into the indexes. */
#define WF_MESSAGE_MAX_NAME 200
#define WF_MESSAGE_MAX_KEY	1024

typedef struct WfSending
{
	const char *name;
	const char *key;  /* NULL: none */
	Jsonb	   *data; /* NULL: none */
	int64		ttl_ms;
	const char *message_id; /* NULL: none */
	int64		instance;	/* that alone may get it; 0: any */
	bool		to_all;
	Oid			role; /* that sends it */
	/* Of `send` in a process: steps without a wait that led to it, itself included; 0: a caller sends it. */
	int steps;
} WfSending;

/* Why it cannot be sent: `field` `problem`, such as "key" has at most 1024 bytes; it `detail`, or NULL. */
typedef struct WfUnsendable
{
	int			sqlerrcode;
	const char *field;
	const char *problem;
	const char *detail;
} WfUnsendable;

/*
 * Does it keep to the limits of messages, and of signals? Whoever sends asks before, and sets ttl_ms by
 * wf_sending_keep: it is kept `until`, counted from `from`; a time that is not 0 is at least a millisecond. Both
 * return false with *why.
 */
extern bool wf_sending_fits(const WfSending *sending, WfUnsendable *why);
extern bool wf_sending_keep(WfSending *sending, TimestampTz from, TimestampTz until, WfUnsendable *why);

typedef enum WfSent
{
	WF_SENT_DELIVERED, /* the visit has gone on with it */
	WF_SENT_QUEUED,	   /* it is on the way to an instance that is busy */
	WF_SENT_KEPT,	   /* nobody waits for it yet */
	WF_SENT_MISSED,	   /* nobody waits for it */
	WF_SENT_DUPLICATE, /* its message_id was sent before */
	WF_SENT_AMBIGUOUS, /* several wait for it: it goes to none */
	WF_SENT_FORBIDDEN, /* it is to be kept, and the role may not ask for that */
} WfSent;

/* The answer that senders get, for the first five. */
extern const char *wf_sent_name(WfSent sent);

/*
 * Send a message in the course of a move: it goes out as a delivery, whoever waits. Of a message that is
 * AMBIGUOUS, *waiting says how many wait. ERROR 55P03 if another transaction is about to send the same
 * message_id: that is not waited for, since this one holds an instance.
 */
extern WfSent wf_message_queue(const WfSending *sending, int *waiting);

/*
 * The same for a caller, who tries to bring it to the one that waits himself, by `bring`: that answers
 * WF_SENT_DELIVERED, WF_SENT_QUEUED if the instance is busy, or WF_SENT_MISSED if the wait is over. *whose,
 * as wf_receivers_count gives it, is set with WF_SENT_AMBIGUOUS.
 */
typedef WfSent (*WfBring)(const WfMessage *message, const WfReceiver *receiver);
extern WfSent wf_message_send(const WfSending *sending, WfBring bring, int *waiting, char **whose);

/* Send a signal: the dispatcher takes it up after the commit. `steps` as of WfSending. */
extern void wf_signal_queue(const char *name, Jsonb *data, Oid role, int steps);

/* ---- to whom ---- */

extern WfAddress wf_message_address(const WfMessage *message);
/* Let a delivery bring it. Until that is there, the message has a row, if it is to be kept or remembered. */
extern void wf_message_offer(WfMessage *message, const WfReceiver *receiver);
/* Take it to all that wait now: to many by a broadcast. Returns false if nobody waits. */
extern bool wf_message_to_all(const WfMessage *message, Oid role);

#endif
