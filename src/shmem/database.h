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
 * True if this database's sequences were checked against the current timeline since this server started. Otherwise the
 * caller must check, under a lock of its own, and then say so. (Nothing is remembered while the database has no slot.)
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
extern void wf_pause_set(WfPause pause); /* the dispatcher says what it found; shown in log and views */
extern WfPause wf_pause_get(void);

/* ---- upkeep ---- */
#define WF_UPKEEP_FAILURE_LEN 128
#define WF_UPKEEP_ERROR_LEN 256
/* An executor says what upkeep cannot do and why, for the view workers; NULL: all is well. Returns since when it fails; 0: it does not. */
extern TimestampTz wf_upkeep_say(const char *failure, const char *error);

#endif
