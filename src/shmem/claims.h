/*
 * claims.h
 *		Which executor works on which visit.
 *
 * A claim keeps other executors away from a visit, and nobody else: any session may end or suspend
 * the visit, which stops the statement that runs for it. A claim ends with its executor, however
 * that ends.
 */
#ifndef WF_CLAIMS_H
#define WF_CLAIMS_H

#include "postgres.h"

/* Prepare an executor for being stopped. */
extern void wf_claims_attach(void);

/*
 * From an executor, which works on one visit at a time: claim a visit. Returns false if another executor
 * has it.
 */
extern bool wf_claim(int64 visit);
/* It is done, but not committed: its claim is kept until the transaction has ended, and another visit can be claimed. */
extern void wf_claim_keep(void);
/* It is not done: other executors may have it. */
extern void wf_claim_drop(void);
/* The transaction has ended: give up this claim, and all that are kept. */
extern void wf_claim_release(void);

/*
 * Keep those visits for later that no other executor has, at most WF_MAX_KEPT_CLAIMS of this executor. Before one is begun, it is
 * claimed.
 */
extern void wf_claims_keep(const int64 *visits, int n);
extern bool wf_claim_is_kept(int64 visit);

/*
 * Between these two calls, ending or suspending the claimed visit cancels this process as
 * pg_cancel_backend does. wf_claim_heed returns false if the visit was ended or suspended before.
 */
extern bool wf_claim_heed(void);
extern void wf_claim_heed_end(void);
/* Was the claimed visit ended or suspended by another transaction since it was claimed? */
extern bool wf_claim_is_stopped(void);

/*
 * From a transaction that has locked the visit's instance, and ends or suspends the visit: stop the
 * statement that runs for it, at commit.
 */
extern void wf_wakeup_stopped(int64 visit);

/* For wakeups.c, at commit: stop the statements of these visits. Neither allocates nor throws. */
extern void wf_claims_stop(const int64 *visits, int n);
/* Does an executor other than this process work on the visit? One that only keeps it looks for the lock of its instance first. */
extern bool wf_claimed_elsewhere(int64 visit);

/*
 * The statement of the claimed visit is about to run. If the claim ends, however that comes, before
 * wf_statements_are_through, the statement was abandoned, and its visit is remembered as one whose
 * statement is to be begun again. Only the last WF_MAX_YIELDS visits are remembered, and until the
 * server stops.
 */
extern void wf_statement_begins(void);
/* The moves that follow from the statements of all visits that are claimed or kept were committed. */
extern void wf_statements_are_through(void);
/* The statement of a visit that nobody could claim, since its row is new, was begun and rolled back. */
extern void wf_statement_abandoned(int64 visit);
/* Was the visit's statement begun and abandoned before, or begun under this process's claim? */
extern bool wf_statement_was_begun(int64 visit);

/* How often the claimed visit's statement gave way to a transaction that held its instance. */
extern void wf_yield_record(int64 visit);
extern int	wf_yield_count(int64 visit);

#endif
