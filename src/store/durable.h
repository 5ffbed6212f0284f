/*
 * durable.h
 *		What a caller is told is still true after a crash.
 */
#ifndef WF_DURABLE_H
#define WF_DURABLE_H

/*
 * Before somebody is told what others have committed: it is on disk, and on standbys as the caller's synchronous_commit
 * asks. Not inside wf_store_enter. Does nothing in recovery, where everything that can be seen is on the primary's disk. ERROR
 * 57014 if the wait for a standby is cancelled.
 */
extern void wf_durable_require(void);

#endif
