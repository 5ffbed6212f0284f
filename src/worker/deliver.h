/*
 * deliver.h
 *		Applying the deliveries of an instance, in an executor.
 */
#ifndef WF_DELIVER_H
#define WF_DELIVER_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Apply the delivery `taken` to its instance, and those behind it that are due in the same queue, in the caller's
 * transaction, which also deletes them. If another transaction has locked the instance, they are postponed. `deaths`
 * says how often the server has died of the delivery. To be called inside wf_store_enter, with the row of `taken`
 * locked.
 */
extern void wf_deliver(const WfDelivery *taken, int deaths);

/*
 * To be called after the transaction of wf_deliver has failed. Returns true if several deliveries were applied in it,
 * so that it is not known which one failed: then those of this instance are applied one by one from now on.
 */
extern bool wf_deliver_one_by_one(int64 instance);

#endif
