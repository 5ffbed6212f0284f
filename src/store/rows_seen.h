/*
 * rows_seen.h
 *		Whether users' SQL has come near the extension's rows, by its functions or by tables and views.
 *
 * While a batch has changes that are not in the rows yet, whoever looks at these sees an instance as it was.
 */
#ifndef WF_ROWS_SEEN_H
#define WF_ROWS_SEEN_H

#include "postgres.h"

/* Watch from now on, or no longer. */
extern void wf_rows_seen_watch(void);
extern void wf_rows_seen_end(void);
/* Since wf_rows_seen_watch: may the rows have been seen? */
extern bool wf_rows_seen(void);

/* For access.c: the store is entered. */
extern void wf_rows_seen_note(void);

#endif
