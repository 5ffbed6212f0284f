/*
 * rest.h
 *		Telling who has asked where an instance rests: an executor makes the reports of its operations.
 */
#ifndef WF_WORKER_REST_H
#define WF_WORKER_REST_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Look whether the instance of the delivery rests. What is due then is made in the executor's transaction, inside wf_store_enter; if
 * not, it is looked at later. `deaths`: so often has the server not survived it. What is lacking is thrown.
 */
extern void wf_rest_carry_out(const WfDelivery *taken, int deaths);

/* The same at once, of an instance that this transaction holds, or that has ended, of which an operation was carried out. */
extern void wf_rest_after_operation(int64 instance, int process_id);

#endif
