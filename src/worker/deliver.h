/*
 * deliver.h
 *		Deliveries that executors bring to instances.
 */
#ifndef WF_DELIVER_H
#define WF_DELIVER_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Bring a delivery that was taken to its instance, and those behind it that are due in the same queue, in the transaction that deletes them;
 * or postpone them all, if the instance is locked. `deaths`: how often the server has died of it.
 */
extern void wf_deliver(const WfDelivery *taken, int deaths);

/*
 * After that transaction has failed: were there others with it? Then nobody knows whose fault that was, and they are brought one by
 * one from now on.
 */
extern bool wf_deliver_one_by_one(int64 instance);

#endif
