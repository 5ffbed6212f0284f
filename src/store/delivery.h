/*
 * delivery.h
 *		The table of deliveries: what waits to be brought to an instance, in order, and what executors owe.
 *
 * Deliveries of most kinds are for an instance (worker/delivery_kinds.c). They wait because another transaction had the
 * instance locked, because the instance is suspended, or because an executor applies them; they are applied in the
 * order of their numbers. Write-backs (owed.c), upkeep, orders to an instance that was called (notice.h) and calls that
 * were made asynchronously (operation.h) are work of executors, and stand outside of that order.
 *
 * Who applies deliveries of an instance has locked it. All functions are called inside wf_store_enter; their errors are
 * those of the statements.
 */
#ifndef WF_DELIVERY_H
#define WF_DELIVERY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "store/batch.h"

typedef struct WfDelivery
{
	int64		id;
	int64		instance; /* 0: upkeep, or one that is still to be started */
	int64		visit;	  /* 0: the delivery is for no single visit */
	int			attempt;  /* tries in a row that have failed */
	TimestampTz due_at;
	const char *kind;
	const char *queue;
	Jsonb	   *payload; /* NULL: the kind has none */
} WfDelivery;

#define WF_DELIVERY_REPLY	   "reply"
#define WF_DELIVERY_ALARM	   "alarm"
#define WF_DELIVERY_CALLBACK   "callback" /* for a handler, while its instance is suspended; a task or work likewise */
#define WF_DELIVERY_EVENT	   "event"
#define WF_DELIVERY_FETCHED	   "fetched"	/* a worker has fetched the work for which the visit waits */
#define WF_DELIVERY_ENDED	   "ended"		/* of an instance that was called, to its caller: see notice.h */
#define WF_DELIVERY_ESCALATION "escalation" /* likewise */
#define WF_DELIVERY_CONTROL	   "control"	/* an order to an instance that was called */
#define WF_DELIVERY_OPERATION  "operation"	/* a call that was made asynchronously */
#define WF_DELIVERY_REST	   "rest"		/* the instance may have come to rest: see rest.h */
#define WF_DELIVERY_START	   "start"		/* a message that starts an instance; of instance 0 */
#define WF_DELIVERY_ROW		   "row"		/* what has become of an attached row; for the instance as a whole */
#define WF_DELIVERY_WRITE_BACK "write_back"
#define WF_DELIVERY_MAINTAIN   "maintain"

/* Does the delivery `d` stand in line with others of its instance? The first condition is that of the index. */
#define WF_DELIVERY_IN_LINE \
	"d.kind <> 'write_back' AND d.kind <> '" WF_DELIVERY_CONTROL "' AND d.kind <> '" WF_DELIVERY_OPERATION \
	"' AND d.kind <> '" WF_DELIVERY_REST "'"

/* ---- by queue ---- */

/* Add a delivery. The caller leaves the wake-up. */
extern void wf_delivery_add(int64 instance, int64 visit, const char *kind, const char *queue, TimestampTz due_at,
							Jsonb *payload);

/*
 * Lock the delivery of a queue that has been due longest, and return it in CurrentMemoryContext, without its payload,
 * which may be large. Rows that other transactions have locked are skipped. NULL: no delivery is due. `after` is the one
 * that the same transaction has taken before, lest it go past all that it has done again; NULL: it has taken none.
 */
extern WfDelivery *wf_delivery_take(const char *queue, TimestampTz now, const WfDelivery *after);
/* The due time of the queue's first delivery, which may be in the past; 0: the queue is empty. */
extern TimestampTz wf_delivery_next(const char *queue);
/* Read the payload of a delivery that has one, in CurrentMemoryContext. */
extern Jsonb *wf_delivery_payload(int64 id);
extern void	  wf_delivery_delete(int64 id);
/* Make the delivery due at `due_at`, and count that as an attempt. */
extern void wf_delivery_postpone(int64 id, TimestampTz due_at);
/* Make the delivery due at `due_at`, and set how often it was tried. */
extern void wf_delivery_set(int64 id, TimestampTz due_at, int attempt);
/*
 * Make upkeep due now, and leave its wake-up. Unless `anyway` is set, upkeep that is under way, or that waits after a
 * failure, stays as it is.
 */
extern void wf_delivery_hasten_upkeep(bool anyway);

/* ---- by instance, in order ---- */

/*
 * Add a delivery behind those that wait for the instance, and leave its wake-up. It goes to `queue`; but if the last
 * waiting delivery is in a queue for executors, the new one goes to that queue, so that they stay in order, unless
 * `queue` is WF_QUEUE_SUSPENDED. Returns true if it went to executors.
 */
extern bool wf_delivery_append(int64 instance, int64 visit, const char *kind, const char *queue, TimestampTz due_at,
							   Jsonb *payload);

/*
 * Find the instances of the first `limit` deliveries of a queue that are due: each instance once, in ascending order,
 * written to `instances`, which has room for `limit`. Returns how many.
 */
extern int wf_deliveries_due(const char *queue, TimestampTz now, int limit, int64 *instances);

/*
 * Read the deliveries that wait for these instances, whether due or not: instances in the order of the array,
 * deliveries of an instance in the order of their numbers. At most `limit` are read, and no further one once the
 * payloads have reached `bytes` bytes. Returns how many; they are in CurrentMemoryContext.
 */
extern int wf_deliveries_waiting(const int64 *instances, int ninstances, int limit, size_t bytes,
								 WfDelivery **deliveries);

/* Find those of the instances for which deliveries wait, in ascending order, written to `have`. Returns how many. */
extern int wf_deliveries_have(const int64 *instances, int n, int64 *have);

/* Mark the visits of the batch for whose handlers callbacks, tasks or work are kept. */
extern void wf_deliveries_mark_callbacks(WfBatch *batch);

/* Delete deliveries by their numbers. Returns how many there were. */
extern int wf_deliveries_delete(const int64 *ids, int n);

/*
 * Postpone the deliveries that wait for instances[i] to due_at[i]. A delivery that is due later than that stays so.
 * Rows that another worker has locked are left alone: it is about to apply them, and decides itself.
 */
extern void wf_deliveries_postpone(const int64 *instances, const TimestampTz *due_at, int n);

/* Make the deliveries that wait for an instance, and are due later, due now, with the wake-ups. */
extern void wf_deliveries_hasten(int64 instance, TimestampTz now);

/*
 * wf_deliveries_hold puts the deliveries for suspended instances into the queue WF_QUEUE_SUSPENDED, where no worker
 * looks at them. wf_deliveries_release, once the instances are resumed, makes them due in the dispatcher's queue, with
 * its wake-up.
 */
extern void wf_deliveries_hold(const int64 *instances, int n);
extern void wf_deliveries_release(const int64 *instances, int n, TimestampTz now);

/* Put a delivery that takes too long in the dispatcher into a queue for executors, due now, with its wake-up. */
extern void wf_delivery_to_executor(int64 id, const char *queue, TimestampTz now);

/*
 * Put the deliveries of an instance that are in the dispatcher's queue into `queue`, where an executor has an earlier
 * one to apply, so that they stay in order; leave the wake-up. *visits are those whose replies are among them, palloc'd;
 * of other kinds, a visit may have a request under way. Returns how many.
 */
extern int wf_deliveries_follow(int64 instance, const char *queue, TimestampTz due_at, int64 **visits);

/* Find replies that wait as deliveries: those for the instances, or all if `instances` is NULL. Returns how many. */
typedef struct WfReplyKey
{
	int64 instance;
	int64 visit;
	bool  with_executor; /* the delivery is in a queue for executors */
} WfReplyKey;
extern int wf_delivery_replies(const int64 *instances, int ninstances, WfReplyKey **keys);

#endif
