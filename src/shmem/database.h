/*
 * database.h
 *		What is known of this database since the server started: its timeline, its pause, its upkeep.
 *
 * It is in the database's slot of shared memory, and goes with that. Any process of the database may ask.
 */
#ifndef WF_DATABASE_H
#define WF_DATABASE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* ---- timeline: the sequences jump once after a promotion or a recovery ---- */
/*
 * Were this database's sequences checked against the current timeline since this server started? If
 * not, the caller must check them, under a lock of its own, and call wf_timeline_set_checked.
 * Nothing is remembered while the database has no slot.
 */
extern bool wf_timeline_checked(void);
extern void wf_timeline_set_checked(bool checked);

/* ---- pausing: a copy, or workflow.start_paused ---- */
typedef enum WfPause
{
	WF_PAUSE_UNKNOWN, /* no dispatcher has found out yet */
	WF_RUNNING,
	WF_PAUSED_COPY,	  /* the rows belong to another database */
	WF_PAUSED_SETTING /* by workflow.start_paused */
} WfPause;
/* Set by the dispatcher, which found it out. The view workers shows it. */
extern void	   wf_pause_set(WfPause pause);
extern WfPause wf_pause_get(void);

/* ---- upkeep ---- */
#define WF_UPKEEP_FAILURE_LEN 128
#define WF_UPKEEP_ERROR_LEN	  256
/*
 * For an executor: tell the view workers what upkeep cannot do, and why; NULL: nothing fails.
 * Returns since when upkeep has been failing, or 0.
 */
extern TimestampTz wf_upkeep_say(const char *failure, const char *error);

#endif
