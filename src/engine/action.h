/*
 * action.h
 *		What a step can do: a row of callbacks for each kind of action.
 */
#ifndef WF_ACTION_H
#define WF_ACTION_H

#include "engine/state.h"
#include "shmem/lacks.h"

/* What an action answered. */
typedef struct WfAnswer
{
	Jsonb	   *reply;		/* $reply; with a fault: what came all the same, or NULL */
	WfFault		fault;		/* code NULL: none */
	bool		retryable;
	int			retry_after_ms; /* at least that long a pause; 0: no wish */
	TimestampTz started_at;		/* 0: not known */
	Jsonb	   *cookies;		/* the jar after a 2xx answer, an array of lines; NULL: empty */
	WfLack		lack;			/* with a fault: no attempt was made, for want of that */
} WfAnswer;

typedef enum WfBegun
{
	WF_BEGUN_DONE,		 /* and that is all */
	WF_BEGUN_UNDER_WAY, /* a worker goes on with it */
	WF_BEGUN_FAULT
} WfBegun;

typedef struct WfActionMethods
{
	WfBegun		(*begin) (WfBatch *batch, WfVisit *visit, WfFault *fault);
	const char *reply_key; /* of $reply, what is the initial response; NULL: it is never answered */
	bool		can_be_stopped; /* whom it has called can be asked to stop */
} WfActionMethods;

/* By WfActionKind. */
extern const WfActionMethods wf_actions[];

/* The queue of the server that a request of the visit goes to, in the batch's context; NULL with *fault if there is none. */
extern char *wf_action_http_queue(WfBatch *batch, WfVisit *visit, const WfHttpAction *http, WfFault *fault);

/* Does its step say how to ask the outside to stop? */
extern bool wf_action_can_stop(const WfVisit *visit);
/* Whatever the outside says after that, it was told to stop. */
extern bool wf_action_has_asked(const WfVisit *visit);

#endif
