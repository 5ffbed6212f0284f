/*
 * failure.h
 *		Whose fault is a failure: that of the work itself, or of a machine that is short of something, which will be over?
 */
#ifndef WF_FAILURE_H
#define WF_FAILURE_H

#include "postgres.h"

#include "model/fault.h"
#include "shmem/lacks.h"

/*
 * What was the machine short of? WF_LACK_NONE: the work would fail the same way again, or has come to a limit of its own. To be
 * asked in the process that has caught the error, before it begins another time limit.
 */
extern WfLack wf_failure_lack(const ErrorData *error);

/*
 * It is tried again until it works, and spends nothing: remember that for the view visits, and say it in the log, once until it is over.
 * Returns the pause before the next try, in milliseconds. instance 0, visit 0: it is nobody's.
 */
extern int wf_failure_wait(int64 instance, int64 visit, WfLack lack, const ErrorData *error, int longest_ms);

/* The same for a statement that has failed, as a fault: a conflict with others is not worth a line in the log. */
extern int wf_failure_wait_sql(int64 instance, int64 visit, WfLack lack, const WfFault *fault, int longest_ms);

/* It has worked. */
extern void wf_failure_over(int64 instance, int64 visit);

/* From the dispatcher, each turn: nobody tries any more what was tried. Returns when to call again; DT_NOEND: no need. */
extern TimestampTz wf_failures_expire(void);

/* The fault of what the server has died of. */
extern void wf_failure_died(WfFault *fault);

#endif
