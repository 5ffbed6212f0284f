/*
 * row_delivery.h
 *		What has become of an attached row, on its way to the instance: deliveries of the kind `row`.
 */
#ifndef WF_ROW_DELIVERY_H
#define WF_ROW_DELIVERY_H

#include "postgres.h"

#include "utils/jsonb.h"

/* The reason of an instance that is cancelled since its row was deleted. */
#define WF_ROW_DELETED "row deleted"

/* What follows from a change of a row for its instance. */
typedef struct WfRowEffect
{
	int64  instance;
	Jsonb *changes; /* merged into the data; NULL: the row was deleted, and the instance is cancelled */
	char  *key;
} WfRowEffect;

/* All functions have to be called inside wf_store_enter. */

/* Let the effects wait behind all that waits for these instances, and leave the wake-ups. Those that have ended need none. */
extern void wf_row_deliveries_add(const WfRowEffect *effects, int n);

/*
 * Take back that the rows of these instances were deleted: they are there again. Waits for a worker that is about to apply it;
 * if it does, the instance has ended afterwards.
 */
extern void wf_row_deliveries_withdraw(const int64 *instances, int n);

/* The changes that a payload has; NULL: the row was deleted. */
extern Jsonb *wf_row_delivery_changes(Jsonb *payload);

#endif
