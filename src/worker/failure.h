/*
 * failure.h
 *		Whose fault a failure is: that of the work itself, or of a machine on which something is lacking for a while.
 */
#ifndef WF_FAILURE_H
#define WF_FAILURE_H

#include "postgres.h"

#include "model/fault.h"
#include "shmem/lacks.h"

/*
 * What was lacking, according to an error? WF_LACK_NONE: nothing; the work would fail the same way again, or has
 * reached a limit of its own. To be asked in the process that has caught the error, before it begins another time
 * limit.
 */
extern WfLack wf_failure_lack(const ErrorData *error);

/*
 * Work on a visit could not be done, since something was lacking. Remember that for the view visits, and log it unless
 * the log was told before. Returns the milliseconds to pause before the next try, which grow with each call up to
 * longest_ms. Instance and visit 0 stand for work of this process that belongs to no visit, an operation and
 * WF_LACK_OF_OPERATION for that.
 */
extern int wf_failure_wait(int64 instance, int64 visit, WfLack lack, const ErrorData *error, int longest_ms);

/*
 * The same for a statement whose error has become a fault. Locks and conflicts are not logged, and the pause is varied
 * at random.
 */
extern int wf_failure_wait_sql(int64 instance, int64 visit, WfLack lack, const WfFault *fault, int longest_ms);

/* The work could be done: forget what was lacking. Logs when nothing is lacking in this database any more. */
extern void wf_failure_over(int64 instance, int64 visit);

/*
 * For the dispatcher, in each turn: forget work that nobody has tried again for long. Returns when to call again;
 * DT_NOEND: when something is lacking again.
 */
extern TimestampTz wf_failures_expire(void);

/* Make the fault of work of which the server has died several times. */
extern void wf_failure_died(WfFault *fault);

#endif
