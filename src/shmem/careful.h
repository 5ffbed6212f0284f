/*
 * careful.h
 *		After a crash of the server: one piece of work at a time, so that a second crash tells which one it was.
 */
#ifndef WF_CAREFUL_H
#define WF_CAREFUL_H

#include "postgres.h"

/* What is done for a visit, or a delivery; what survives one of them may still die of another. */
typedef enum WfPieceKind
{
	WF_PIECE_REQUEST = 'q',	 /* its request is made */
	WF_PIECE_ANSWER = 'a',	 /* what came back is dealt with */
	WF_PIECE_DUE = 'd',		 /* its time has come */
	WF_PIECE_ALARM = 'l',	 /* its deadline has */
	WF_PIECE_BREAK = 'b',	 /* it has failed */
	WF_PIECE_EXECUTE = 'e',	 /* an executor runs its SQL, or moves it */
	WF_PIECE_DELIVERY = 'y', /* an executor carries out a delivery: the number is that */
} WfPieceKind;

/* So many times the server has died while it was alone under work: then it is not begun again. */
#define WF_MOST_DEATHS 3

/* Did the server crash within the last workflow.careful_after_crash? Cheap. */
extern bool wf_careful(void);

/*
 * The turn to work, of one process of the whole cluster. False: not yet; this process stands in the queue then, and its latch is set
 * when it may ask again, or should look after a second. What holds it too long loses it, and goes on beside others. True at once in ordinary times.
 */
extern bool wf_careful_try(void);
/* Wait for it. Serves interrupts; outside a transaction. */
extern void wf_careful_wait(void);
/* Leave it, or the queue, to others. */
extern void wf_careful_yield(void);

/*
 * Put on record what is about to be done, and that it is over (whether it went well or not, the server has survived it). Returns how often
 * the server has died of it, as far as that is known. Both do nothing in ordinary times.
 */
extern int	wf_careful_begin(WfPieceKind kind, int64 number);
extern void wf_careful_end(void);
/* Before its end: it was not worked on, since somebody had it locked, so that this says nothing. */
extern void wf_careful_keep(void);
/* Somebody says that it is to be tried once more: earlier deaths count no longer, except of what is under work just now. */
extern void wf_careful_forget(WfPieceKind kind, int64 number);

#endif
