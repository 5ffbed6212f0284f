/*
 * message_start.h
 *		Instances that an executor starts for messages.
 */
#ifndef WF_WORKER_MESSAGE_START_H
#define WF_WORKER_MESSAGE_START_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Start the instance that the delivery `taken` is for, in the caller's transaction, which also deletes it. What keeps it from
 * starting puts the delivery off, or ends it. `deaths` says how often the server has died of it. To be called inside
 * wf_store_enter, with the row of `taken` locked.
 */
extern void wf_start_deliver(const WfDelivery *taken, int deaths);

#endif
