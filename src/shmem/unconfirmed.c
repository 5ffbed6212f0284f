/*
 * unconfirmed.c
 *		What was committed and can be seen, though no synchronous standby has confirmed it.
 *
 * A commit waits for a synchronous standby before others can see it. A session that is cancelled or terminated
 * meanwhile, or whose postmaster dies, waits no longer, and can only warn: what it has made due can be seen then, while
 * the standby that will be promoted may never have it. So it is noted here, and the dispatcher sends nothing before it
 * is confirmed. It is noted an instant after it can be seen, and before anybody is woken for it.
 */
#include "compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "storage/lwlock.h"

#include "shmem/slots.h"
#include "shmem/unconfirmed.h"

/* Waiters are released at once when no standby is configured any more. */
bool
wf_standby_has(XLogRecPtr lsn)
{
	int	 mode = synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY	? SYNC_REP_WAIT_APPLY
				: synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_WRITE ? SYNC_REP_WAIT_WRITE
																		: SYNC_REP_WAIT_FLUSH;
	bool answer;

	LWLockAcquire(SyncRepLock, LW_SHARED);
	answer = !wf_standbys_defined() || WalSndCtl->lsn[mode] >= lsn;
	LWLockRelease(SyncRepLock);
	return answer;
}

void
wf_unconfirmed_note(void)
{
	uint64 lsn = XactLastCommitEnd;
	uint64 noted;

	/* who asks for no standby has been told so; without the lock, as a commit looks first */
	if (!SyncRepRequested() || !wf_standbys_defined() || wf_standby_has(lsn))
		return;
	noted = pg_atomic_read_u64(&wf_shared->unconfirmed);
	while (noted < lsn && !pg_atomic_compare_exchange_u64(&wf_shared->unconfirmed, &noted, lsn))
		;
}

XLogRecPtr
wf_unconfirmed(void)
{
	return pg_atomic_read_u64(&wf_shared->unconfirmed);
}

void
wf_unconfirmed_settle(XLogRecPtr lsn)
{
	uint64 noted = lsn;

	(void) pg_atomic_compare_exchange_u64(&wf_shared->unconfirmed, &noted, InvalidXLogRecPtr);
}
