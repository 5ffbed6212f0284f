/*
 * operation.h
 *		Carrying out calls that were made asynchronously.
 */
#ifndef WF_WORKER_OPERATION_H
#define WF_WORKER_OPERATION_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Carry out the operation whose delivery was taken, and others that are due in its queue or stand behind it, in an executor's
 * transaction and inside wf_store_enter; or later, if the instance is locked or an earlier operation waits. `deaths`: so often has the server not survived it. What is lacking, or stops
 * this session, is thrown: then the transaction has to be rolled back, and it is tried again.
 */
extern void wf_operation_carry_out(const WfDelivery *taken, int deaths);

/*
 * Carry out the operation of this delivery alone, in the transaction of a client that has added it, inside wf_store_enter. Returns what was
 * called, with the SQLSTATE if that has failed, palloc'd; NULL: nothing. What is lacking, and a cancel, is thrown.
 */
extern char *wf_operation_play(const WfDelivery *taken);

/* No operation belongs to the transaction that begins. */
extern void wf_operations_none(void);
/* The number of the one that was under work last in this transaction; 0: none. */
extern int64 wf_operation_under_work(void);
/* The transaction has committed: nothing is lacking for what it has carried out. */
extern void wf_operations_over(void);
/* The transaction has failed: true if it had several. They are carried out one by one for a while. */
extern bool wf_operations_failed(void);

#endif
