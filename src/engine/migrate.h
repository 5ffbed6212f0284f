/*
 * migrate.h
 *		Taking an instance to another version of its process.
 */
#ifndef WF_MIGRATE_H
#define WF_MIGRATE_H

#include "engine/carry.h"

/*
 * Take an instance, all visits of which are loaded with their subscriptions and kept callbacks, to another version. Returns
 * what keeps it from that, a List of texts in the batch's context: then nothing has changed. NIL: it was done.
 */
extern List *wf_engine_migrate(WfBatch *batch, WfInstance *instance, const WfMigration *migration);

/*
 * Go on with what follows from that: joins and conditions are judged, items of lists are begun. The subscriptions of the batch are
 * to be written before.
 */
extern void wf_engine_migrated(WfBatch *batch, WfInstance *instance);

#endif
