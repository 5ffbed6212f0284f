/*
 * identity.h
 *		Which database these rows belong to, and numbers that are never issued twice.
 */
#ifndef WF_IDENTITY_H
#define WF_IDENTITY_H

#include "postgres.h"

typedef enum WfIdentity
{
	WF_IDENTITY_NONE, /* nothing was ever defined here */
	WF_IDENTITY_OWN,
	WF_IDENTITY_COPY /* restored, cloned, made from a template: stays quiet until adopted */
} WfIdentity;

/* All inside wf_store_enter. */
extern WfIdentity wf_identity_check(void);
extern bool wf_identity_adopted_since_start(void); /* by adopt, or by the first definition */
extern void wf_identity_ensure(void); /* make the row, if nothing lives here yet */
extern bool wf_identity_adopt(void); /* false, with a NOTICE: there was nothing to be done */

/* In the database that the rows belong to: what roles were given that are gone goes too. */
extern void wf_identity_forget_lost(void);  /* these rows are this database's from now on; rewrites role OIDs by name */
extern void wf_identity_note_timeline(void); /* the dispatcher, at its start: sequences were checked against it */

/* The next numbers. Sequences have jumped by a gap if the timeline has changed. */
extern int64 wf_next_instance(void);
extern int64 wf_next_visit(void);

#endif
