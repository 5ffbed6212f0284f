/*
 * take_up.h
 *		Which visit of a queue an executor takes up.
 */
#ifndef WF_TAKE_UP_H
#define WF_TAKE_UP_H

#include "postgres.h"

#include "store/due.h"

/* So many are taken up beside the first of a transaction, at most. */
#define WF_MOST_BESIDE 15

typedef enum WfTaken
{
	WF_TAKEN,
	WF_TAKEN_NONE,
	WF_TAKEN_LOCKED /* there is work, and other transactions have locked all of it */
} WfTaken;

/*
 * Claim the first visit of the queue that no other executor has, and whose instance no other transaction has locked. Its
 * instance is locked now if item->locked. To be called inside wf_store_enter.
 */
extern WfTaken wf_take_up(const char *queue, WfWorkItem *item);

/*
 * In the same transaction, with the claim of that visit kept: claim the next one whose statement may be run beside it. It
 * looks at no table: the caller sees whether the instance is locked. Returns false if none is known; others may be due all the same.
 */
extern bool wf_take_up_beside(WfWorkItem *item);

#endif
