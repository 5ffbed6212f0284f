/*
 * beside.h
 *		Statements and write-backs that share a transaction of an executor.
 *
 * The first piece of work of a transaction takes what time it takes. If that was short, others are done beside it, each in
 * a subtransaction, until a few milliseconds have passed. What is not done soon, or fails for a reason that may
 * lie in the others, is rolled back, and done alone later.
 */
#ifndef WF_BESIDE_H
#define WF_BESIDE_H

#include "postgres.h"

#include "store/batch.h"

/* A transaction begins. */
extern void wf_beside_begin(void);
/* No more is done in it. */
extern void wf_beside_close(void);
/* May another piece of work be begun in it? */
extern bool wf_beside_goes_on(void);
/* Another piece of work is done in it; how many are, beside the first. */
extern void wf_beside_done(void);
extern int	wf_beside_count(void);
/* It has failed as a whole. Returns true if there was anything beside the first: then all are tried again, each alone. */
extern bool wf_beside_failed(void);

/* ---- what is known of steps, in the memory of this process ---- */

/* Is the statement of the visit's step short, as far as is known? */
extern bool wf_beside_is_short(const WfVisit *visit);
/* Does it leave the extension's rows alone, as far as is known? */
extern bool wf_beside_sees_no_rows(const WfVisit *visit);
/* It took so many microseconds when it had all the time that it wants. */
extern void wf_beside_note_time(const WfVisit *visit, int64 us);
/* It was not done in time beside others, or came near the extension's rows. */
extern void wf_beside_note_slow(const WfVisit *visit);
extern void wf_beside_note_seen(const WfVisit *visit);

#endif
