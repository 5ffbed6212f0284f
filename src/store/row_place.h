/*
 * row_place.h
 *		Where this process has last seen rows of instances and visits, so that the next transaction finds them without
 *		their index.
 *
 * A hint: the row may have another version elsewhere by now, or be gone, and another one may be in its place. So whoever
 * uses it (wf_relation_find_at) makes sure that it is the row, or looks its key up.
 */
#ifndef WF_ROW_PLACE_H
#define WF_ROW_PLACE_H

#include "postgres.h"

#include "storage/itemptr.h"

/* Remember places in this process from now on. It is worth it for one that moves the same instances again and again. */
extern void wf_row_places_begin(void);

/* Of an instance, with visit 0, or of a visit. */
extern void			   wf_row_place_note(int64 instance, int64 visit, ItemPointerData place);
extern ItemPointerData wf_row_place(int64 instance, int64 visit); /* not valid: it is not known */

#endif
