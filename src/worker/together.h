/*
 * together.h
 *		Visits of an instance that an executor moves along with the one that it has taken up.
 */
#ifndef WF_TOGETHER_H
#define WF_TOGETHER_H

#include "postgres.h"

#include "engine/engine.h"
#include "store/due.h"

/* A piece of work begins: there are none. */
extern void wf_together_none(void);
/*
 * Find those of the queue that have only to be moved, as the one that was taken up, whose instance is locked. Nobody else can move them
 * meanwhile, so they need not be claimed. To be called inside wf_store_enter.
 */
extern void wf_together_find(const char *queue, const WfWorkItem *item);
/* Load the visit, and those with it. */
extern void wf_together_load(WfBatch *batch, const WfWorkItem *item);
/* Move those with it by `move`, as long as a turn lasts: what is left is due still. */
extern void wf_together_move(WfBatch *batch, const WfWorkItem *item, void (*move)(WfBatch *batch, WfVisit *visit));
/* It has failed. Returns true if there were others: then all are tried again, each alone. */
extern bool wf_together_failed(void);
/* It was committed. */
extern void wf_together_done(const WfWorkItem *item);

#endif
