/*
 * kept_headers.h
 *		Headers of calls that are kept with visits: the rows of workflow_data.on_behalf.
 *
 * The row of a visit says whether there are any, so that nobody looks for those of others.
 */
#ifndef WF_KEPT_HEADERS_H
#define WF_KEPT_HEADERS_H

#include "store/batch.h"

/*
 * Read those of a visit into its `kept`, unless they are known. False if its row does not say any more that there are
 * some, which happens only to one that is not locked. Those that were lost with a dump are NULL.
 */
extern bool wf_kept_headers_read(WfBatch *batch, WfVisit *visit);

/* Those of the visit have changed, or may have to go. */
extern void wf_kept_headers_list(WfBatch *batch, WfVisit *visit);

/* For wf_batch_flush: decide which are kept, before the rows of visits are written, and write them. */
extern void wf_kept_headers_settle(WfBatch *batch);
extern void wf_kept_headers_flush(WfBatch *batch);

#endif
