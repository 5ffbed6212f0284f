/*
 * identity.h
 *		To which database these rows belong, and numbers that are never issued twice.
 */
#ifndef WF_IDENTITY_H
#define WF_IDENTITY_H

#include "postgres.h"

typedef enum WfIdentity
{
	WF_IDENTITY_NONE, /* nothing was ever defined in this database */
	WF_IDENTITY_OWN,
	/* restored, cloned, or made from a template: nothing is sent until it is adopted */
	WF_IDENTITY_COPY
} WfIdentity;

/* All functions have to be called inside wf_store_enter. */
extern WfIdentity wf_identity_check(void);
extern bool		  wf_identity_adopted_since_start(void); /* by adopt, or by the first definition */
extern void		  wf_identity_ensure(void);				 /* make the identity row, if no instance lives here yet */
/*
 * These rows belong to this database from now on; rewrites role OIDs by name. Returns false, with a
 * NOTICE, if there was nothing to adopt.
 */
extern bool wf_identity_adopt(void);

/*
 * Delete privileges of roles that do not exist any more. Does nothing in a copy, where OIDs mean
 * nothing.
 */
extern void wf_identity_forget_lost(void);
/*
 * Remember that sequences were checked against this timeline; called by the dispatcher at its
 * start.
 */
extern void wf_identity_record_timeline(void);

/* The next numbers. If the timeline has changed, the sequences jump by a gap first. */
extern int64 wf_next_instance(void);
extern int64 wf_next_visit(void);
/* No instance that there is by now has a number above this one. */
extern int64 wf_last_instance(void);

#endif
