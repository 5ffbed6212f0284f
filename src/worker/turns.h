/*
 * turns.h
 *		Which of its role's queues an executor takes work from next.
 */
#ifndef WF_TURNS_H
#define WF_TURNS_H

#include "postgres.h"

typedef struct WfTurn
{
	const char *queue;		/* valid until the list is made again */
	bool		deliveries; /* deliveries of this queue are due; else visits are */
} WfTurn;

/*
 * Make the list of queues that have work for this executor's role. To be called outside a transaction; errors are those
 * of reading the database, and leave the list empty.
 */
extern void wf_turns_list(void);
/* Was the list made so long ago that it has to be made again? */
extern bool wf_turns_are_old(void);

/* The queue whose turn it is. Returns false if all queues of the list are used up. */
extern bool wf_turn_next(WfTurn *turn);
/* So many pieces of work of that queue were done: now it is the turn of another one. */
extern void wf_turn_done(int n);
/* That queue had no work that could be done: remove it from the list. */
extern void wf_turn_drop(void);

#endif
