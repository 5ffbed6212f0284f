/*
 * copies.h
 *		Databases that were found to be copies of others.
 */
#ifndef WF_COPIES_H
#define WF_COPIES_H

#include "postgres.h"

/* ---- the launcher's side ---- */
/* Databases that were found to be copies, as a palloc'd array. */
extern int	wf_copies_list(Oid **databases);
extern void wf_copy_forget(Oid database); /* the database, or its extension, has gone */

/* ---- the dispatcher's side ---- */
/* The dispatcher says whether it is in a copy. Returns true if it is, and that is news. */
extern bool wf_copy_say(bool copy);
/*
 * Leave, as the dispatcher of a copy. Returns false if it was told to look once more since, and
 * should.
 */
extern bool wf_copy_leave(void);

#endif
