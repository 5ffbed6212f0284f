/*
 * upkeep.h
 *		Upkeep of the history, in an executor.
 */
#ifndef WF_UPKEEP_H
#define WF_UPKEEP_H

#include "store/delivery.h"

/*
 * Carry out a round of upkeep, and make its delivery due again. It takes many transactions: it ends the one in which it
 * is called, and returns in another one, which the caller commits. To be called outside wf_store_enter. What fails in
 * it is announced, and not thrown.
 */
extern void wf_upkeep(const WfDelivery *delivery);

/* At exit, if work was uncancellable: tell the view workers if that was upkeep. */
extern void wf_upkeep_record_uncancellable(void);

#endif
