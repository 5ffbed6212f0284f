/*
 * database.h
 *		What is known of this database since the server started: its timeline, its pause, its upkeep.
 */
#ifndef WF_DATABASE_H
#define WF_DATABASE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* ---- timeline: sequences jump once after a promotion or recovery ---- */
/*
 * Were this database's sequences checked against the current timeline since this server started? If
 * not, the caller must check them, under a lock of its own, and then say so. Nothing is remembered
 * while the database has no slot.
 */
extern bool wf_timeline_checked(void);
extern void wf_timeline_set_checked(bool checked);

/* ---- pausing: a copy, or workflow.start_paused ---- */
typedef enum WfPause
{
	WF_PAUSE_UNKNOWN,
	WF_RUNNING,
	WF_PAUSED_COPY,
	WF_PAUSED_SETTING
} WfPause;
/* The dispatcher says what it found; the log and views show it. */
extern void	   wf_pause_set(WfPause pause);
extern WfPause wf_pause_get(void);

/* ---- upkeep ---- */
#define WF_UPKEEP_FAILURE_LEN 128
#define WF_UPKEEP_ERROR_LEN	  256
/*
 * An executor says what upkeep cannot do and why, for the view workers; NULL: nothing fails.
 * Returns since when it fails, or 0.
 */
extern TimestampTz wf_upkeep_say(const char *failure, const char *error);

#endif
