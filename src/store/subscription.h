/*
 * subscription.h
 *		What visits and their handlers wait for besides callbacks and clocks: messages, signals,
 *		conditions, tasks and topics.
 *
 * A subscription is a row as long as its event can happen. In a batch only what changes is known; it is
 * written when the batch is flushed, or before, when somebody in the batch sends something. A visit has
 * at most one for each entry of its step.
 */
#ifndef WF_SUBSCRIPTION_H
#define WF_SUBSCRIPTION_H

#include "store/batch.h"

/* What is offered to people or to workers, as its row has it. */
typedef struct WfOffer
{
	TimestampTz since; /* when it was made */
	Jsonb	   *data;  /* NULL: none */
	/* of a task */
	const char *title;
	Oid			assignee; /* InvalidOid: nobody yet */
	Oid		   *roles;
	int			nroles;
	TimestampTz due; /* 0: none */
	/* of a topic: for which item of `each` it is, if it is for one */
	Jsonb *item;
	int	   index; /* or WF_NO_ITEM */
} WfOffer;

typedef struct WfSubscription
{
	WfVisit	   *visit;
	int64		number; /* that of its row; 0: it gets the next one, or is not known here */
	int			entry;	/* of the visit's step, from 0 */
	const char *key;	/* NULL: without one */
	WfOffer	   *offer;	/* of a task or topic that is to be written */
	bool		met;	/* of a condition: it held when it was judged last */
	bool		closed; /* nothing more is brought to it; known only if its number is */
	bool		is_stored;
	bool		was_read; /* its row was, by this batch */
	bool		is_dropped;
	bool		met_changed; /* since it was stored */
} WfSubscription;

/* A stored subscription that is to be deleted. */
typedef struct WfUnsubscribed
{
	int64 instance;
	int64 visit;
	int	  entry;  /* -1: all of the visit */
	int	  tables; /* in which of them: see below */
} WfUnsubscribed;

/* Where subscriptions are rows: those of tasks and topics are found by who does them. */
#define WF_IN_SUBSCRIPTION (1 << 0)
#define WF_IN_TASK		   (1 << 1)
#define WF_IN_WORK		   (1 << 2)
#define WF_IN_ALL		   (WF_IN_SUBSCRIPTION | WF_IN_TASK | WF_IN_WORK)

/*
 * Make a subscription for an entry. `key` must live as long as the batch; so must the `offer` that a task or topic is to be
 * given.
 */
extern WfSubscription *wf_subscription_add(WfBatch *batch, WfVisit *visit, int entry, const char *key);
/* Drop the subscription of an entry, or all of the visit: those events cannot happen any more. */
extern void wf_subscription_drop(WfBatch *batch, WfVisit *visit, int entry);
extern void wf_subscriptions_drop(WfBatch *batch, WfVisit *visit);
/*
 * Has the entry a subscription? One that may be stored counts, unless this batch has dropped it: whoever
 * has found its row in this transaction knows the rest.
 */
extern bool wf_subscription_may_be_there(const WfVisit *visit, int entry);

/*
 * Read the conditions of an instance whose answer may have changed with its data, and load their visits:
 * instance->conditions has them then, and those of this batch last.
 */
extern void wf_subscription_read_conditions(WfBatch *batch, WfInstance *instance);
extern void wf_subscription_set_met(WfBatch *batch, WfSubscription *subscription, bool met);

/*
 * Read the stored subscriptions of the batch's visits into these, in their order. Those of one visit may then be
 * replaced: all are dropped, and some carried over to an entry of its step of now, under their number.
 */
extern void wf_subscriptions_read(WfBatch *batch);
extern void wf_subscriptions_replace(WfBatch *batch, WfVisit *visit);
extern void wf_subscription_carry(WfBatch *batch, const WfSubscription *stored, int entry);

/* Write what has changed. */
extern void wf_subscriptions_flush(WfBatch *batch);

#endif
