/*
 * upgrade.h
 *		What an update of the extension cannot do in SQL to living visits.
 */
#ifndef WF_UPGRADE_H
#define WF_UPGRADE_H

#include "store/batch.h"

/*
 * A visit of version 0.1, whose row has the time of the next handler alone: compute those of all handlers that have not
 * begun yet. One whose time cannot be computed is left out, with a WARNING.
 */
extern void wf_engine_upgrade_clocks(WfBatch *batch, WfVisit *visit);

#endif
