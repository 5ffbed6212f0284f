/*
 * played.h
 *		What a transaction plays by itself: the time to which it was advanced, and the instances that it has started.
 *
 * workflow.advance does in the caller's transaction what workers would do after its commit, with replies that were made up.
 * None of that may become real: such a transaction cannot be committed.
 */
#ifndef WF_PLAYED_H
#define WF_PLAYED_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* The time by which the engine goes: that of the clock, or, once this transaction was advanced, where that stands. */
extern TimestampTz wf_now(void);

/* Does the time of this transaction stand, so that it moves by wf_play_advance alone? */
extern bool wf_play_stands(void);

/*
 * wf_play_begin: from now on the (sub)transaction cannot be committed or prepared, only rolled back: ERROR 25000. wf_play_stop_clock: the time
 * stands, as well. wf_play_advance: it stands there, unless it has come further already.
 */
extern void wf_play_begin(void);
extern void wf_play_stop_clock(void);
extern void wf_play_advance(TimestampTz to);

/* Others may have come that act before a commit, as foreign data wrappers do: they are to be asked after the one that refuses it. */
extern void wf_play_before_commit(void);

/* This transaction starts an instance, which nobody else knows. */
extern void wf_play_started(int64 instance);

/* Has it? */
extern bool wf_play_has_started(int64 instance);

/*
 * It has a broadcast; a message that may be kept; a delivery that is for no instance that is there, of an asynchronous call, or of a message
 * that starts one. The first two give those that it has had, palloc'd, whether they are there still or not.
 */
extern void wf_play_broadcast(int64 broadcast);
extern void wf_play_message(int64 message);
extern void wf_play_delivery(int64 delivery);
extern int	wf_play_broadcasts(int64 **broadcasts);
extern int	wf_play_messages(int64 **messages);

/* What can be played next. Of those that are due at the same time, the first of these comes first. */
typedef enum WfPlayKind
{
	WF_PLAY_REPLY, /* never found by wf_play_next, since no row has it */
	WF_PLAY_CALL,  /* one that was made asynchronously */
	WF_PLAY_START, /* by a message */
	WF_PLAY_DELIVERY,
	WF_PLAY_ALARM,
	WF_PLAY_CLOCK,
	WF_PLAY_MOVE,
	WF_PLAY_REQUEST,
	WF_PLAY_WORK, /* of executors: statements, and moves */
	WF_PLAY_WRITE_BACK,
	WF_PLAY_REST /* whoever wants to know that an instance rests is told */
} WfPlayKind;

typedef struct WfPlayable
{
	WfPlayKind	kind;
	TimestampTz at; /* never before wf_now() */
	int64		instance;
	int64		visit;
	int64		delivery; /* 0: none */
	char	   *queue;	  /* of a write-back */
	bool		in_line;  /* of a delivery: it stands in line with others of its instance */
	int			attempt;  /* of a delivery: so often it was put off */
} WfPlayable;

/* Visits that are passed over, arrays as arguments: those with a request under way, and others that are due, but for their alarms; and their alarms. */
typedef struct WfPlayPassed
{
	Datum in_flight;
	Datum due;
	Datum alarms;
} WfPlayPassed;

/*
 * Find what is due first, up to `until`, of the instances that this transaction has started, in the order of time. Returns how many,
 * palloc'd; there may be more. To be called inside wf_store_enter, as the next one.
 */
extern int wf_play_next(TimestampTz until, const WfPlayPassed *passed, WfPlayable **next);
/* Is the delivery still there? */
extern bool wf_play_is_there(int64 delivery);

#endif
