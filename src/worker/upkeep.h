/*
 * upkeep.h
 *		Upkeep of the history.
 */
#ifndef WF_UPKEEP_H
#define WF_UPKEEP_H

#include "store/delivery.h"

/* Carry it out, in many transactions: within one, which it ends, and in another one when it returns. */
extern void wf_upkeep(const WfDelivery *delivery);

/* At exit: upkeep may be the reason, since it would not heed its time limit. */
extern void wf_upkeep_record_uncancellable(void);

#endif
