/*
 * delivery.h
 *		The table of deliveries: what waits to be brought to an instance, in order, and what executors owe.
 *
 * A delivery is of a kind. Those of most kinds are for an instance (worker/delivery_kinds.c): they wait since somebody else had the
 * instance locked, since it is suspended, or since an executor does them, and are applied in the order of their numbers. Write-backs
 * (owed.c) and upkeep are work of executors, and have nothing to do with that order.
 */
#ifndef WF_DELIVERY_H
#define WF_DELIVERY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef struct WfDelivery
{
	int64		id;
	int64		instance;
	int64		visit; /* 0: for the instance as a whole */
	int			attempt;
	TimestampTz due_at;
	const char *kind;
	const char *queue;
	Jsonb	   *payload;
} WfDelivery;

#define WF_DELIVERY_REPLY	   "reply"
#define WF_DELIVERY_ALARM	   "alarm"
#define WF_DELIVERY_WRITE_BACK "write_back"
#define WF_DELIVERY_MAINTAIN   "maintain"

/* ---- by queue ---- */

extern void wf_delivery_add(int64 instance, int64 visit, const char *kind, const char *queue, TimestampTz due_at,
							Jsonb *payload);

/*
 * The delivery of the queue that has been due longest, with its row locked; those that others have locked are skipped. NULL: there
 * is none. It is allocated in CurrentMemoryContext.
 */
extern WfDelivery *wf_delivery_take(const char *queue, TimestampTz now);
extern TimestampTz wf_delivery_next(const char *queue); /* when the first one is due; 0: there is none */
extern void		   wf_delivery_delete(int64 id);
extern void		   wf_delivery_postpone(int64 id, TimestampTz due_at);
/* Postpone the delivery, and set how often it was tried. */
extern void wf_delivery_set(int64 id, TimestampTz due_at, int attempt);
/* Make upkeep due now. With `anyway` false it stays as it is while it is under way, or waits after a failure. */
extern void wf_delivery_hasten_upkeep(bool anyway);

/* ---- by instance, in order ---- */

/*
 * Add a delivery behind those that wait for the instance. It goes to `queue`; but if the last of those is in a queue of executors, it
 * goes there too, unless `queue` is `suspended`. Returns whether it went to executors. Notes that it is due.
 */
extern bool wf_delivery_append(int64 instance, int64 visit, const char *kind, const char *queue, TimestampTz due_at,
							   Jsonb *payload);

/* The instances of the first `limit` deliveries of the queue that are due, each once, in ascending order. Returns their number. */
extern int wf_deliveries_due(const char *queue, TimestampTz now, int limit, int64 *instances);

/*
 * Deliveries that wait for these instances, in the order of the array, those of an instance in the order of their numbers: at most
 * `limit` of them, and no further ones once their payloads have more than so many bytes. Returns their number; they are allocated in
 * CurrentMemoryContext.
 */
extern int wf_deliveries_waiting(const int64 *instances, int ninstances, int limit, size_t bytes,
								 WfDelivery **deliveries);

/* Which of these instances have deliveries that wait, in ascending order. Returns their number. */
extern int wf_deliveries_have(const int64 *instances, int n, int64 *have);

extern int wf_deliveries_delete(const int64 *ids, int n); /* returns how many there were */

/*
 * Postpone all that waits for these instances, each to its time. What is due later stays so; rows that others have locked are left
 * alone: whoever is about to apply them knows what to do.
 */
extern void wf_deliveries_postpone(const int64 *instances, const TimestampTz *due_at, int n);

/* Keep what waits for suspended instances: no worker looks at it until they are resumed. */
extern void wf_deliveries_hold(const int64 *instances, int n);
extern void wf_deliveries_release(const int64 *instances, int n, TimestampTz now);

/* Let an executor handle a delivery that takes too long in the dispatcher. */
extern void wf_delivery_to_executor(int64 id, const char *queue, TimestampTz now);

/* What the dispatcher would do waits behind what an executor does: to the same queue. Returns how many, and their visits. */
extern int wf_deliveries_follow(int64 instance, const char *queue, TimestampTz due_at, int64 **visits);

/* Replies that wait to be delivered: those of the instances, or all if `instances` is NULL. Returns their number. */
typedef struct WfReplyKey
{
	int64 instance;
	int64 visit;
	bool  with_executor;
} WfReplyKey;
extern int wf_delivery_replies(const int64 *instances, int ninstances, WfReplyKey **keys);

#endif
