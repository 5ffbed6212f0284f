/*
 * event.h
 *		What has happened to a visit, as its templates see it: $event, $result.event and $caught.event.
 */
#ifndef WF_ENGINE_EVENT_H
#define WF_ENGINE_EVENT_H

#include "engine/clocks.h"

typedef struct WfHappening
{
	WfEventKind kind;
	const char *name;	/* of a message or signal, the code of an escalation; else NULL */
	const char *key;	/* of a message; NULL: none */
	Jsonb	   *data;	/* NULL: none */
	const char *role;	/* who has sent it; NULL: nobody has */
	const char *person; /* of a task: who has done it within that role; NULL: not known */
	TimestampTz at;
	/* Steps without a wait that led to it: a step that sends counts on, a caller does not. */
	int steps;
} WfHappening;

/* "callback", "after", …, and back: NONE for any other name. */
extern const char *wf_event_kind_name(WfEventKind kind);
extern WfEventKind wf_event_kind_from_name(const char *name);
/* What a visit waits for that waits for it. */
extern WfWaitsFor wf_event_waits_for(WfEventKind kind);

/*
 * Make $event of a happening, in CurrentMemoryContext: {kind, name, key, data, role, at}, of a task with `person`, with null where there is
 * nothing; `at` as the process writes times.
 */
extern Jsonb *wf_event_document(const WfInstance *instance, const WfHappening *happening);

/*
 * $event of a visit that leaves: what has ended its wait; NULL: nothing has. What no row has, of
 * callbacks and clocks, is made in CurrentMemoryContext.
 */
extern Jsonb *wf_event_of(const WfVisit *visit, TimestampTz now);
/* The same of a clock, which strikes now. */
extern Jsonb *wf_event_of_clock(const WfVisit *visit, int entry);

/* The name in $event; NULL: it has none. */
extern char *wf_event_name(Jsonb *event);

/* The entry whose event has ended the wait of a visit, or -1. */
extern int wf_event_entry(const WfVisit *visit);

/*
 * Does the step of a visit say where to go on without an event, or with a callback? A person can go on with it then. A step
 * with `first_of` may not, if it is always open.
 */
extern bool wf_event_leads_on(const WfVisit *visit);

/*
 * What a visit has come to: the event that has ended its wait, or that interrupts it, or whose handler could not
 * begin. NULL: it was none.
 */
extern Jsonb *wf_event_told(const WfVisit *visit, TimestampTz now);

/* Does $result of the visit say what has happened? */
extern bool wf_event_in_result(const WfVisit *visit);
/*
 * The same as $result has it, in CurrentMemoryContext: without its data if these are the `response`, since it has ended the
 * wait.
 */
extern Jsonb *wf_event_of_result(const WfVisit *visit, TimestampTz now);

/* $caught of a visit that has ended, in CurrentMemoryContext. */
extern Jsonb *wf_event_caught(WfVisit *visit, TimestampTz now);

#endif
