/*
 * item.h
 *		The items of visits that go through a list, one row each.
 *
 * The list is kept as it was when the visit began. What begins and ends within a batch leaves no rows.
 */
#ifndef WF_ITEM_H
#define WF_ITEM_H

#include "utils/snapshot.h"

#include "store/batch.h"

/* The visit begins to go through the list, an array that lives as long as the batch; what it had before is forgotten. */
extern void wf_items_begin(WfBatch *batch, WfVisit *whole, Jsonb *list);

/* Read n items from this one on, into `values`; they live as long as the batch. ERROR XX001 if one is missing. */
extern void wf_items_read(WfBatch *batch, WfVisit *whole, int64 from, int n, Jsonb **values);

/* Keep what an item has given, which lives as long as the batch. */
extern void wf_items_give(WfBatch *batch, WfVisit *whole, int index, Jsonb *response);

/* All that they have given, as an array in CurrentMemoryContext: null for those that have not. */
extern Jsonb *wf_items_collect(WfBatch *batch, WfVisit *whole);

/* The visit ends, and with it its list. */
extern void wf_items_drop(WfBatch *batch, WfVisit *whole);

/* Read the items of `batch->items`, visits that were loaded. Snapshot NULL: the latest one. */
extern void wf_items_load(WfBatch *batch, Snapshot snapshot);

extern void wf_items_flush(WfBatch *batch);

#endif
