/*
 * executor_shares.h
 *		How the executors of a database are shared out among the roles whose work is due.
 */
#ifndef WF_EXECUTOR_SHARES_H
#define WF_EXECUTOR_SHARES_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* The work that is due for one role; InvalidOid: for nobody. */
typedef struct WfDemand
{
	Oid			role;
	int			wanted; /* pieces of work, including those that are being done */
	TimestampTz since;	/* when the first of them was due */
} WfDemand;

/*
 * For the dispatcher, with the demands of all roles: share out the executors among the roles. Idle
 * ones are woken, new ones started, some told to leave; busy executors of roles with work are
 * called to look again, too. Returns the milliseconds after which to call again; -1: no need,
 * unless something changes. *all_busy: there are as many executors as allowed, and none was idle.
 */
extern int wf_executors_share(const WfDemand *demands, int n, bool *all_busy);

#endif
