/*
 * executor_shares.h
 *		How the executors of a database are shared out among the roles whose work is due.
 */
#ifndef WF_EXECUTOR_SHARES_H
#define WF_EXECUTOR_SHARES_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* What is due for one role. InvalidOid: nobody's. */
typedef struct WfDemand
{
	Oid			role;
	int			wanted; /* pieces of work, those included that are being done */
	TimestampTz since;	/* the first of them was due then */
} WfDemand;

/*
 * From the dispatcher, with all demands there are: share out the executors among the roles. Wakes idle ones, starts new ones,
 * tells some to leave; all that have work are called to look again, the busy ones too. Returns after how many milliseconds to call
 * again; -1: no need, unless something changes. *all_busy: there are as many as there may be, and none was idle.
 */
extern int	wf_executors_share(const WfDemand *demands, int n, bool *all_busy);

#endif
