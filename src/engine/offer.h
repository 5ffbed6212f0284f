/*
 * offer.h
 *		A visit begins to wait for tasks and topics: what people and workers see of it is worked out.
 */
#ifndef WF_ENGINE_OFFER_H
#define WF_ENGINE_OFFER_H

#include "engine/event.h"
#include "store/subscription.h"

/*
 * Work out what is offered by an entry of the visit's step, in CurrentMemoryContext, which has to be that of the batch. Returns NULL
 * with *fault if that cannot be.
 */
extern WfOffer *wf_offer_make(WfBatch *batch, WfVisit *visit, int entry, const WfVariables *variables, WfFault *fault);

/*
 * Offer the tasks and topics that begin handlers of the visit, which has begun; or those for which it waits from now on, of open
 * entries. Return false with *fault if one cannot be worked out.
 */
extern bool wf_offer_handlers(WfBatch *batch, WfVisit *visit, WfFault *fault);
extern bool wf_offer_waits(WfBatch *batch, WfVisit *visit, const WfVariables *variables, const bool *open,
						   WfFault *fault);

#endif
