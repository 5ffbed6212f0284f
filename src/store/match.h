/*
 * match.h
 *		Which kept message goes to which wait.
 *
 * A message goes to the one that has waited for it longest, of those that its sender may reach; and a wait
 * gets the first of those that may go there. The dispatcher brings both together (worker/matching.c).
 */
#ifndef WF_MATCH_H
#define WF_MATCH_H

#include "postgres.h"

#include "store/kept.h"

/* What one transaction has found out about those who send and those who wait. */
typedef struct WfMatching WfMatching;

/* To be used inside the wf_store_enter in which it was begun. */
extern WfMatching *wf_matching_begin(void);

typedef enum WfMatched
{
	WF_MATCHED_NONE,   /* nobody may have it now */
	WF_MATCHED_LOCKED, /* somebody else has locked it, or one that goes before: it has to be tried again */
	WF_MATCHED_OTHER,  /* one that goes before it was brought to a wait: it is to be tried again at once */
	WF_MATCHED,		   /* it was brought to a wait, or to all of them, or starts an instance */
} WfMatched;

/* Take a kept message to a wait, or, if nobody waits, to a process that starts on it; or first one that is kept for that wait and came before. */
extern WfMatched wf_match_message(WfMatching *matching, const WfMessage *kept);

/*
 * Take the first message that is kept for a wait, or one before that, as above. *number is set to that of the first one,
 * if there is any. WF_MATCHED: the wait has its message; WF_MATCHED_OTHER: it is to be tried again at once.
 */
extern WfMatched wf_match_subscription(WfMatching *matching, int64 subscription, int64 *number);

/*
 * The same in a transaction that plays: take one of the messages that it keeps itself to an instance that it has started, or to
 * a process that starts on it. Returns false if there is none.
 */
extern bool wf_match_play(void);

#endif
