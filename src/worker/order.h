/*
 * order.h
 *		Orders to instances that were called: end, be suspended, be resumed.
 */
#ifndef WF_ORDER_H
#define WF_ORDER_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Carry out the order that was taken, in an executor's transaction and inside wf_store_enter: at once, or later, if
 * the instance is locked or an earlier order waits. `deaths`: so often has the server not survived it.
 */
extern void wf_order_carry_out(const WfDelivery *taken, int deaths);

#endif
