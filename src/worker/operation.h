/*
 * operation.h
 *		Carrying out calls that were made asynchronously.
 */
#ifndef WF_WORKER_OPERATION_H
#define WF_WORKER_OPERATION_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Carry out the operation whose delivery was taken, in an executor's transaction and inside wf_store_enter, or later, if the
 * instance is locked or an earlier operation waits. `deaths`: so often has the server not survived it. What is lacking, or stops
 * this session, is thrown: then the transaction has to be rolled back, and it is tried again.
 */
extern void wf_operation_carry_out(const WfDelivery *taken, int deaths);

#endif
