/*
 * careful.h
 *		After a crash of the server: one piece of work at a time, so that a second crash tells which one it was.
 */
#ifndef WF_CAREFUL_H
#define WF_CAREFUL_H

#include "postgres.h"

/*
 * Kinds of work for a visit or a delivery. They count apart: a visit that survives one may die of
 * another.
 */
typedef enum WfPieceKind
{
	WF_PIECE_REQUEST = 'q', /* making the request of a visit */
	WF_PIECE_ANSWER = 'a',	/* handling the reply to it */
	WF_PIECE_DUE = 'd',		/* handling a visit that is due */
	WF_PIECE_ALARM = 'l',	/* handling a timer of a visit */
	WF_PIECE_FAIL = 'b',	/* making a visit fail */
	WF_PIECE_EXECUTE = 'e', /* running a visit's SQL, or moving it, in an executor */
	/* carrying out a delivery in an executor; its number is that of the delivery */
	WF_PIECE_DELIVERY = 'y',
} WfPieceKind;

/*
 * A piece is not begun again once the server has died so many times while it alone was being worked
 * on.
 */
#define WF_MOST_DEATHS 3

/* Did the server crash within the last workflow.careful_after_crash seconds? This is cheap. */
extern bool wf_careful(void);

/*
 * Ask for the turn to work, which one process of the whole cluster has. Returns true at once in
 * ordinary times. Returns false if it is not our turn yet: this process then waits in the queue; it
 * should ask again when its latch is set, or after a second. A process that keeps the turn for too
 * long loses it, and goes on beside others.
 */
extern bool wf_careful_try(void);
/* Wait for the turn. To be called outside a transaction; serves interrupts. */
extern void wf_careful_wait(void);
/* Give up the turn, or the place in the queue. */
extern void wf_careful_yield(void);

/*
 * wf_careful_begin records a piece of work that is about to be done, and returns how often the
 * server has died of it, as far as is known. wf_careful_end says that it is over: whatever its
 * outcome, the server has survived it. Both do nothing in ordinary times.
 */
extern int	wf_careful_begin(WfPieceKind kind, int64 number);
extern void wf_careful_end(void);
/*
 * To be called before wf_careful_end if the piece was locked by somebody else and so was not worked
 * on: its deaths stay recorded.
 */
extern void wf_careful_keep(void);
/*
 * Forget earlier deaths of a piece, since somebody wants it to be tried again. A piece that is
 * being worked on keeps them.
 */
extern void wf_careful_forget(WfPieceKind kind, int64 number);

#endif
