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
 * From an executor, which has one claim at a time: claim a visit. Returns false if another executor
 * has it.
 */
extern bool wf_claim(int64 visit);
extern void wf_claim_release(void);

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
/* Is the visit claimed by an executor other than this process? */
extern bool wf_claimed_elsewhere(int64 visit);

/*
 * How often in a row a visit's statement gave way to a transaction that held its instance. Only the
 * last WF_MAX_YIELDS visits are remembered; the count of others begins anew.
 */
extern void wf_yield_record(int64 visit);
extern int	wf_yield_count(int64 visit);
extern void wf_yield_forget(int64 visit);

#endif
