/*
 * owed.h
 *		Write-backs to attached rows that have failed and are owed.
 */
#ifndef WF_OWED_H
#define WF_OWED_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "store/attachment.h"

/* All inside wf_store_enter. */

/*
 * A write-back for the key of `shown` begins, that of `instance`: what is owed to the same row for this instance or an older one
 * ends. *since is when the first of these was due, 0 if there was none. False if somebody is trying one of them at this moment.
 */
extern bool wf_owed_supersede(int64 delivery, int64 instance, const WfShown *shown, TimestampTz *since);

/*
 * The write-back of this delivery has failed: it is due again at `again`, and owed since `since` (0: since it was due). With what
 * it takes to write later, even if the history of an ended instance is gone by then. False: it said the same the last time.
 */
extern bool wf_owed_keep(int64 delivery, const WfShown *shown, const char *error, TimestampTz again, TimestampTz since);
/* Something went wrong around it; no change if the delivery is no write-back. */
extern void wf_owed_note(int64 delivery, const char *error);

/* All that is owed to rows of an attachment is due now, but what is being tried. Returns how many. */
extern int64 wf_owed_due(int attachment, TimestampTz now);
/* All write-backs of an ended instance end. False: somebody is trying one at this moment, and may keep it. */
extern bool wf_owed_erase(int64 instance);
/* They end; what is being tried ends by itself, as the attachment is gone. */
extern void wf_owed_delete(int attachment);

#endif
