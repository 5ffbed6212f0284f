/*
 * subtransaction.h
 *		Work of which an error is caught.
 */
#ifndef WF_SUBTRANSACTION_H
#define WF_SUBTRANSACTION_H

#include "postgres.h"

/*
 * Run `work` in a subtransaction: everything that it has done is undone if it returns false, or throws. Returns its
 * error, in CurrentMemoryContext, or NULL. Any error is caught, a cancel as well. Who does not want that one throws it with ReThrowError: the
 * subtransaction has ended by then, so that whoever catches it further out ends his own one, and not ours, in which the
 * user may be another.
 */
extern ErrorData *wf_subtransaction_run(bool (*work)(void *arg), void *arg);

/* Is the error one of the session or the server (resources, a cancel, a shutdown), whatever the work is? */
extern bool wf_error_is_of_server(int sqlerrcode);

#endif
