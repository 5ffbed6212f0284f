/*
 * action.h
 *		What a step can do: one row of callbacks for each kind of action.
 */
#ifndef WF_ACTION_H
#define WF_ACTION_H

#include "engine/state.h"
#include "shmem/lacks.h"

/* How an action ended: its reply, or a fault. */
typedef struct WfAnswer
{
	/* $reply; with a fault: what came all the same, or NULL. */
	Jsonb  *reply;
	WfFault fault; /* code is NULL if there is none */
	bool	retryable;
	/* the service wants a pause of so many ms at least; 0: it names none */
	int			retry_after_ms;
	TimestampTz started_at; /* when the attempt began; 0: not known */
	Jsonb	   *cookies;	/* cookie jar after a 2xx answer, an array of lines; NULL: empty */
	/* With a fault: no attempt was made, since this was lacking. */
	WfLack lack;
	/* With a fault: the request only tried whether its server is well again, and no attempt counts. */
	bool held;
} WfAnswer;

typedef enum WfBegun
{
	WF_BEGUN_DONE,		/* the action is done already */
	WF_BEGUN_UNDER_WAY, /* a worker carries the action out; or the visit waits for other tokens */
	WF_BEGUN_INSIDE,	/* the visit is a scope, and its first step is to be entered */
	WF_BEGUN_ITEMS,		/* the visit is a scope, and goes through a list */
	WF_BEGUN_SEND,		/* something is to be sent now */
	WF_BEGUN_CALL,		/* a process is to be called now */
	WF_BEGUN_FAULT
} WfBegun;

typedef struct WfActionMethods
{
	WfBegun (*begin)(WfBatch *batch, WfVisit *visit, WfFault *fault);
	/* Key of $reply that holds the initial response; NULL: it is all of that, or the action has no answer. */
	const char *reply_key;
	bool		can_be_stopped; /* the service that it called can be asked to stop */
} WfActionMethods;

/* Indexed by WfActionKind. */
extern const WfActionMethods wf_actions[];

/*
 * The queue of the server to which the visit's request goes, in the batch's context; NULL with
 * *fault if there is none.
 */
extern char *wf_action_http_queue(WfBatch *batch, WfVisit *visit, const WfHttpAction *http, WfFault *fault);

/* Does the step of the visit say how to ask the service to stop? */
extern bool wf_action_can_stop(const WfVisit *visit);
/* Was the service asked to stop? Its callbacks are too late then. */
extern bool wf_action_has_sent_cancel(const WfVisit *visit);

#endif
