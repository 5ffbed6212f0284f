/*
 * on_behalf.h
 *		On whose behalf something is due: the headers of the call that made it so, for user mappings
 *		with auth on_behalf.
 *
 * Every move follows from something. If that is a call of a client, which names an instance or starts one, all that
 * becomes due in its batch is due on its behalf. If it is a visit whose turn has come without anything from outside
 * having happened, such as that of a statement, it is due on behalf of the call on whose behalf the visit was. After a
 * reply, a clock, a message or the end of a child it is on nobody's.
 *
 * Of the headers of a call, those are kept that a mapping of the process's owner wants. Who asks for nothing pays
 * nothing.
 */
#ifndef WF_ON_BEHALF_H
#define WF_ON_BEHALF_H

#include "store/batch.h"

/*
 * What follows now, to the end of the agenda, follows from this visit: what was kept for that counts. Without that call
 * it follows from a call, or from nobody.
 */
extern void wf_on_behalf_follow(WfBatch *batch, WfVisit *visit);
extern void wf_on_behalf_end(WfBatch *batch);

/* Keep what the visit needs for the request that is due by its queue, or else for what follows from it. */
extern void wf_on_behalf_due(WfBatch *batch, WfVisit *visit);
/* Keep what it needs for what follows from it; what it needs for its own request stays. */
extern void wf_on_behalf_onwards(WfBatch *batch, WfVisit *visit);
/* Keep what its cancel request needs. */
extern void wf_on_behalf_cancel(WfBatch *batch, WfVisit *visit);
/* It has sent its request, or needs none. */
extern void wf_on_behalf_sent(WfBatch *batch, WfVisit *visit);
/* It needs nothing any more: it waits for the outside, or has ended. */
extern void wf_on_behalf_drop(WfBatch *batch, WfVisit *visit);

#endif
