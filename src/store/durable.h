/*
 * durable.h
 *		Make sure that what a caller is told is still true after a crash.
 */
#ifndef WF_DURABLE_H
#define WF_DURABLE_H

/*
 * Wait until everything visible now is on disk, and on standbys as the caller's synchronous_commit
 * asks. To be called before a caller is told what others have committed, and not inside
 * wf_store_enter. Does nothing in recovery, where all that can be seen is on the primary's disk.
 * ERROR 57014 if the wait for a standby is cancelled.
 */
extern void wf_durable_require(void);

/*
 * Wait until standbys have confirmed what can be seen to be due: a commit whose own wait was cut short can be seen
 * without that. To be called between reading what is due and sending it, outside of a transaction. ERROR 57014 if the
 * wait is cancelled.
 */
extern void wf_durable_require_due(void);

#endif
