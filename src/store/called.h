/*
 * called.h
 *		How many instances calls of calls have led to.
 */
#ifndef WF_CALLED_H
#define WF_CALLED_H

#include "postgres.h"

#include "store/batch.h"

/*
 * May one more be called below this instance, by one that was called itself? Notes that it is. Others may call at the
 * same time, so there can be some more of them than workflow.max_called. To be called inside wf_store_enter.
 */
extern bool wf_called_has_room(WfBatch *batch, int64 root);

#endif
