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

#endif
