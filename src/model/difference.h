/*
 * difference.h
 *		What two definitions do not have in common.
 */
#ifndef WF_DIFFERENCE_H
#define WF_DIFFERENCE_H

#include "postgres.h"

#include "model/json.h"

/*
 * Called for each difference. `change` is "added", "removed", "changed" or "moved"; `before` is NULL for what was added,
 * `after` for what was removed. All live in CurrentMemoryContext.
 */
typedef void (*WfDifferenceSeen)(void *arg, const char *path, const char *change, Jsonb *before, Jsonb *after);

/*
 * Compare two definitions, which have no faults. Steps are told by their names, whatever place they have in their list;
 * the elements of other arrays by their places. What is new comes after what is there in both.
 */
extern void wf_difference(const WfJson *before, const WfJson *after, WfDifferenceSeen seen, void *arg);

#endif
