/*
 * durable.c
 *		What a caller is told is still true after a crash.
 *
 * Workers commit lazily what makes nothing due: after a crash it would only be done again, with other answers perhaps. That is
 * nobody's business as long as nobody has heard of it. So whoever tells of an end calls this first. Which commit made the end
 * is not looked for: its record was written before anybody could see the rows, and so lies before the end of the log as it
 * is now. Most calls find the log flushed that far.
 */
#include "compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "storage/lwlock.h"

#include "store/durable.h"

/*
 * The end of the log, as XLogFlush has it: at the boundary of a page the position for the next record lies behind that page's
 * header, up to which nothing can be flushed yet.
 */
static XLogRecPtr
end_of_log(void)
{
	XLogRecPtr	end = GetXLogInsertRecPtr();
	uint32		offset = end % XLOG_BLCKSZ;
	bool		begins_segment = XLogSegmentOffset(end, wal_segment_size) < XLOG_BLCKSZ;

	return offset == (begins_segment ? SizeOfXLogLongPHD : SizeOfXLogShortPHD) ? end - offset : end;
}

/* What waits for a standby is released at once when no standby is asked for any more. */
static bool
standby_has(XLogRecPtr lsn)
{
	int			mode = synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY ? SYNC_REP_WAIT_APPLY
		: synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_WRITE ? SYNC_REP_WAIT_WRITE
																: SYNC_REP_WAIT_FLUSH;
	bool		answer;

	LWLockAcquire(SyncRepLock, LW_SHARED);
	answer = !wf_standbys_defined() || WalSndCtl->lsn[mode] >= lsn;
	LWLockRelease(SyncRepLock);
	return answer;
}

/*
 * As a commit waits. But a cancel, after which a commit can only warn, is an error here: what has not been told is no lie. The
 * position need not be a commit's for remote_apply: a standby that has replayed all it has says so.
 */
static void
wait_for_standbys(XLogRecPtr lsn)
{
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(lsn, true);
	RESUME_INTERRUPTS();
	CHECK_FOR_INTERRUPTS();
	if (SyncRepRequested() && !standby_has(lsn))
		ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED),
				errmsg("canceling statement while it waited for a synchronous standby"),
				errdetail("What it would tell is not on the standby yet, and could be lost with this server."),
				errhint("A lower synchronous_commit lets it answer without the standby."));
}

void
wf_durable_require(void)
{
	XLogRecPtr	lsn;

	if (RecoveryInProgress())
		return;
	lsn = end_of_log();
	if (GetFlushRecPtr(NULL) < lsn)
		XLogFlush(lsn);
	wait_for_standbys(lsn);
}
