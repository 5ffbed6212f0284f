/*
 * target.h
 *		Finding and locking what a caller names: an instance, or a visit by its serial number.
 */
#ifndef WF_TARGET_H
#define WF_TARGET_H

#include "postgres.h"

#include "api/arguments.h"
#include "store/batch.h"
#include "store/privilege.h"

typedef struct WfTarget
{
	WfBatch    *batch;
	WfInstance *instance; /* locked; NULL: it has ended */
	WfVisit    *visit;	  /* NULL: it has ended */
	int			process_id;
} WfTarget;

/*
 * Inside wf_store_enter. Check that `role` has one of the two privileges (give the same twice for one), begin a batch, wait
 * for the lock, load. ERROR 42704 for what was never there or is no longer in history, and for whoever has no privilege at all on
 * its process; 42501 with another one.
 */
extern void wf_target_instance(WfTarget *target, int64 instance, Oid role, WfPrivilege privilege,
							   WfPrivilege other);
extern void wf_target_visit(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege,
							WfPrivilege other);
/* Without a lock, just to look. */
extern void wf_target_look(WfTarget *target, const WfSerial *serial, Oid role, WfPrivilege privilege);
/* For whoever has another right to it. False instead of 42704. */
extern bool wf_target_find_visit(WfTarget *target, const WfSerial *serial);

/* Number of the step that a caller names. ERROR 42704 if there is none of that name. */
extern int	wf_target_step(const WfProcess *process, const char *name);

#endif
