/*
 * turns.h
 *		Which of its role's queues an executor takes work from next.
 */
#ifndef WF_TURNS_H
#define WF_TURNS_H

#include "postgres.h"

typedef struct WfTurn
{
	const char *queue;		/* valid until the next call */
	bool		deliveries; /* else visits */
} WfTurn;

/* Make the list of queues that have work for this executor's role. Outside transactions. */
extern void wf_turns_list(void);
extern bool wf_turns_are_old(void); /* it was made too long ago */

extern bool wf_turn_next(WfTurn *turn); /* false: all that were in the list are used up */
extern void wf_turn_done(void);			/* a piece of its work was done: others have their turn */
extern void wf_turn_drop(void);			/* there was nothing to be taken from it */

#endif
