/*
 * late.h
 *		Callbacks that came too late: is it known that the visit has ended? And the record of such
 *		callbacks.
 */
#ifndef WF_LATE_H
#define WF_LATE_H

#include "postgres.h"

#include "utils/jsonb.h"

/*
 * Find an ended visit or instance in the history: of which process (and step, unless NULL) was it?
 * Returns false if the history does not have it. To be called inside wf_store_enter.
 */
extern bool wf_late_visit(int64 instance, int64 visit, int *process_id, char **step);
extern bool wf_late_instance(int64 instance, int *process_id);

/*
 * The step of a visit that lives or has ended; NULL if there is no such visit. Takes no lock: as long as nobody
 * has the instance locked, another version of the process may give it another name.
 */
extern char *wf_late_step(int64 instance, int64 visit);
/* The status of an instance that lives or has ended, palloc'd; NULL if there is none. Takes no lock. */
extern char *wf_late_status(int64 instance);
/* The version that an ended instance followed; 0: it is not known to have ended. */
extern int wf_late_version(int64 instance);

/*
 * ERROR 40001 if the visit has ended, or as a living one was changed, after the snapshot of a
 * serializable transaction. Visit 0 means the instance. To be called after rights were checked,
 * since the error tells that the number exists.
 */
extern void wf_late_require_seen(int64 instance, int64 visit);

/*
 * Record a late callback with its `data` (NULL: none), cut to a bounded size; `webhook` says that
 * `role` only passed on what came with a token. A bounded number is kept for each visit; further
 * ones are dropped.
 */
extern void wf_late_record(int64 instance, int64 visit, int process_id, Oid role, bool webhook, Jsonb *data);

#endif
