/*
 * target.h
 *		Finding and locking what a caller names: an instance, or a visit by its serial number.
 */
#ifndef WF_TARGET_H
#define WF_TARGET_H

#include "postgres.h"

#include "api/arguments.h"
#include "store/batch.h"

typedef struct WfTarget
{
	WfBatch    *batch;
	WfInstance *instance; /* locked; NULL: it has ended */
	WfVisit    *visit;	  /* NULL: it has ended */
	int			process_id;
} WfTarget;

/*
 * Inside wf_store_enter. Begin a batch, wait for the lock, load. ERROR 42704 for what was never there or is no longer in
 * history. Rights are the caller's to check, against process_id, before anything is changed.
 */
extern void wf_target_instance(WfTarget *target, int64 instance);
extern void wf_target_visit(WfTarget *target, const WfSerial *serial);
/* False instead of the error. */
extern bool wf_target_find_visit(WfTarget *target, const WfSerial *serial);

#endif
