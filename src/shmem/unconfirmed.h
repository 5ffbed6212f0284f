/*
 * unconfirmed.h
 *		What was committed and can be seen, though no synchronous standby has confirmed it.
 */
#ifndef WF_UNCONFIRMED_H
#define WF_UNCONFIRMED_H

#include "access/xlogdefs.h"

/* Have standbys confirmed this position, as synchronous_commit asks for, or are none asked for? */
extern bool wf_standby_has(XLogRecPtr lsn);

/* At the end of a commit that has made something due: note it, if its wait for a standby was cut short. Does not fail. */
extern void wf_unconfirmed_note(void);

/* Up to where standbys have to confirm what can be seen; InvalidXLogRecPtr: nothing was noted. */
extern XLogRecPtr wf_unconfirmed(void);

/* Up to there it is confirmed. */
extern void wf_unconfirmed_settle(XLogRecPtr lsn);

#endif
