/*
 * late.h
 *		What came too late: is it known that it has ended? And the record of what came.
 */
#ifndef WF_LATE_H
#define WF_LATE_H

#include "postgres.h"

#include "utils/jsonb.h"

/* Inside wf_store_enter. Has it ended, and of which process (and step, unless NULL) was it? False if the history does not know it. */
extern bool wf_late_visit(int64 instance, int64 visit, int *process_id, char **step);
extern bool wf_late_instance(int64 instance, int *process_id);

/* The step of a visit, whether it lives or has ended; NULL: neither is known. Takes no lock: a visit stays at its step. */
extern char *wf_late_step(int64 instance, int64 visit);

/*
 * ERROR 40001 if it has ended, or as a living visit was changed, after the snapshot of a serializable transaction. To be asked
 * once rights are checked: the error says that there is such a number. Visit 0: the instance.
 */
extern void wf_late_require_seen(int64 instance, int64 visit);

/* Keep `data` (NULL: none), cut to a bounded size, and whether `role` only passed on what came with a token; a visit has a bounded number of them, further ones are dropped. */
extern void wf_late_record(int64 instance, int64 visit, int process_id, Oid role, bool webhook, Jsonb *data);

#endif
