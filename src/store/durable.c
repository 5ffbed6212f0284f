/*
 * durable.c
 *		Make sure that what a caller is told is still true after a crash.
 *
 * Workers commit lazily what makes nothing due: after a crash it would only be done again, perhaps
 * with another outcome. That does no harm as long as nobody has heard of the outcome. So whoever
 * tells a caller that something has ended calls this first.
 *
 * The commit in question is not looked for: its record was written before anybody could see its
 * rows, and so lies before the present end of the log. Most calls find the log flushed that far
 * already.
 */
#include "compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"

#include "shmem/unconfirmed.h"
#include "store/durable.h"

/*
 * The end of the log, in the way of XLogFlush: at a page boundary the position for the next record
 * lies behind the header of the new page, up to which nothing can be flushed yet.
 */
static XLogRecPtr
end_of_log(void)
{
	XLogRecPtr end = GetXLogInsertRecPtr();
	uint32	   offset = end % XLOG_BLCKSZ;
	bool	   begins_segment = XLogSegmentOffset(end, wal_segment_size) < XLOG_BLCKSZ;

	return offset == (begins_segment ? SizeOfXLogLongPHD : SizeOfXLogShortPHD) ? end - offset : end;
}

/*
 * Wait for standbys as a commit does. A commit can only warn of a cancel; this throws, since the
 * caller has not been told yet. With remote_apply, the position need not be that of a commit: a
 * standby that has replayed everything reports so.
 */
static void
wait_for_standbys(XLogRecPtr lsn)
{
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(lsn, true);
	RESUME_INTERRUPTS();
	CHECK_FOR_INTERRUPTS();
	if (SyncRepRequested() && !wf_standby_has(lsn))
		ereport(ERROR, errcode(ERRCODE_QUERY_CANCELED),
				errmsg("canceling statement while it waited for a synchronous standby"),
				errdetail("What it would tell is not on the standby yet, and could be lost with this server."),
				errhint("A lower synchronous_commit lets it answer without the standby."));
}

void
wf_durable_require(void)
{
	XLogRecPtr lsn;

	if (RecoveryInProgress())
		return;
	lsn = end_of_log();
	if (GetFlushRecPtr(NULL) < lsn)
		XLogFlush(lsn);
	wait_for_standbys(lsn);
}

void
wf_durable_require_due(void)
{
	XLogRecPtr lsn = wf_unconfirmed();

	if (likely(lsn == InvalidXLogRecPtr))
		return;
	if (!wf_standby_has(lsn))
		wait_for_standbys(lsn);
	wf_unconfirmed_settle(lsn);
}
