/*
 * message.h
 *		Sending messages and signals. All functions are called inside wf_store_enter.
 */
#ifndef WF_MESSAGE_H
#define WF_MESSAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "store/event_delivery.h"
#include "store/kept.h"
#include "store/message_start.h"
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
	WF_SENT_AMBIGUOUS, /* several wait for it, or start on it: it goes to none */
	WF_SENT_FORBIDDEN, /* it is to be kept, and the role may not ask for that */
	WF_SENT_UNFIT,	   /* no instance can start with it */
} WfSent;

/* Why it went to none. */
typedef struct WfUnsent
{
	/* of AMBIGUOUS */
	int	  n;
	bool  starts; /* they are processes that start on it; else visits that wait */
	char *whose;  /* as wf_receivers_count and wf_message_starts_text give it; not in the course of a move */
	/* of UNFIT */
	WfFault fault;
} WfUnsent;

/* The answer that senders get, for the first five. */
extern const char *wf_sent_name(WfSent sent);

/*
 * Send a message in the course of a move: it goes out as a delivery, whoever waits, or starts an instance by an executor.
 * *unsent says why it was not sent. ERROR 55P03 if another transaction is about to send the same
 * message_id: that is not waited for, since this one holds an instance.
 */
extern WfSent wf_message_queue(const WfSending *sending, WfUnsent *unsent);

/*
 * The same for a caller, who brings it himself. `bring` tries to bring it to the one that waits: it answers
 * WF_SENT_DELIVERED, WF_SENT_QUEUED if the instance is busy, or WF_SENT_MISSED if the wait is over. `start` starts an
 * instance with it.
 */
typedef struct WfBringing
{
	WfSent (*bring)(const WfMessage *message, const WfReceiver *receiver);
	void (*start)(const WfMessage *message, const WfMessageStart *start);
} WfBringing;
extern WfSent wf_message_send(const WfSending *sending, const WfBringing *by, WfUnsent *unsent);

/*
 * Nobody waits for a message that was to be brought to a wait: the first process that can start with it does, by an
 * executor. Returns false if none does.
 */
extern bool wf_message_start_kept(WfMessage *message, Oid role);
/* The wait is over to which it was brought: as wf_event_delivery_refused; one that is not kept may start an instance. */
extern void wf_message_refused(const WfEventDelivery *delivery, TimestampTz now);

/*
 * A message that was to start an instance goes to the one that has waited for it longest by now. Returns false if nobody
 * does.
 */
extern bool wf_message_redirect(WfMessage *message, Oid role);

/* Send a signal: the dispatcher takes it up after the commit. `steps` as of WfSending. */
extern void wf_signal_queue(const char *name, Jsonb *data, Oid role, int steps);

/* ---- to whom ---- */

extern WfAddress wf_message_address(const WfMessage *message);
/* Let a delivery bring it. Until that is there, the message has a row, if it is to be kept or remembered. */
extern void wf_message_offer(WfMessage *message, const WfReceiver *receiver);
/* Take a kept one to all that wait now, and to all that start on it. Returns false if nobody does. */
extern bool wf_message_to_all(const WfMessage *message, Oid role);

#endif
