/*
 * owed.h
 *		Write-backs to attached rows that have failed and are owed.
 */
#ifndef WF_OWED_H
#define WF_OWED_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "store/attachment.h"

/* All functions have to be called inside wf_store_enter. */

/*
 * A write-back of `instance` for the key of `shown` begins: what is owed to the same row for this
 * instance or older ones ends. *since is when the first of these was due, 0 if there was none.
 * Returns false if a worker is trying one of them at this moment.
 */
extern bool wf_owed_supersede(int64 delivery, int64 instance, const WfShown *shown, TimestampTz *since);

/*
 * The write-back of this delivery has failed: it is due again at `again`, and owed since `since`
 * (0: since it was due). What it needs to write later is stored, since the history of an ended
 * instance may be gone by then. Returns false if the last error was the same.
 */
extern bool wf_owed_keep(int64 delivery, const WfShown *shown, const char *error, TimestampTz again, TimestampTz since);
/*
 * Record an error that happened outside the write-back itself. Does nothing if the delivery is no
 * write-back.
 */
extern void wf_owed_record_error(int64 delivery, const char *error);

/*
 * Make all that is owed to rows of an attachment due now, but for what is being tried. Returns how
 * many.
 */
extern int64 wf_owed_due(int attachment, TimestampTz now);
/*
 * End all write-backs of an ended instance. Returns false if a worker is trying one at this moment,
 * and may keep it.
 */
extern bool wf_owed_erase(int64 instance);
/*
 * End all write-backs of an attachment that is gone. One that is being tried ends by itself, since
 * it does not find the attachment any more.
 */
extern void wf_owed_delete(int attachment);

#endif
