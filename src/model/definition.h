/*
 * definition.h
 *		A process definition, read, checked and compiled.
 *
 * Pure: no SPI, no shared memory, no clock. A WfDefinition lives in one memory context and never changes; its cache
 * (store/process_cache.c) throws it away between transactions only.
 *
 * Names are kept as written. Steps are referred to by index within a definition, by name in rows.
 */
#ifndef WF_DEFINITION_H
#define WF_DEFINITION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "model/retry.h"
#include "model/template.h"

typedef enum WfOutcome
{
	WF_OUTCOME_NONE,
	WF_OUTCOME_SUCCESS,
	WF_OUTCOME_FAILED,
	WF_OUTCOME_CANCELLED,
	WF_OUTCOME_TIMED_OUT,
	WF_OUTCOME_DIED,
	WF_OUTCOME_SYSTEM_ERROR,
} WfOutcome;

/* Is it the code, or the class ("5xx") of the status, of an error? 0: it has none. */
extern bool wf_code_names(const char *word, const char *code, int http_status);

extern const char *wf_outcome_name(WfOutcome outcome);	 /* "SUCCESS", … ; NULL for none */
extern WfOutcome wf_outcome_from_name(const char *name); /* WF_OUTCOME_NONE if it is none */

typedef enum WfActionKind
{
	WF_ACTION_NONE,
	WF_ACTION_HTTP,
	WF_ACTION_SQL,
	WF_ACTION_NOTIFY,
	WF_ACTION_SET,
} WfActionKind;

typedef enum WfEventKind
{
	WF_EVENT_NONE,
	WF_EVENT_CALLBACK,
	WF_EVENT_AFTER, /* an interval */
	WF_EVENT_UNTIL, /* a timestamp */
} WfEventKind;

/* An interval, or a template that renders to one. Exactly one of the two unless absent. */
typedef struct WfDuration
{
	bool		present;
	Interval	interval;
	WfTemplate *tmpl; /* NULL: constant */
} WfDuration;

typedef struct WfPair /* a header or query parameter */
{
	const char *name;
	WfTemplate *value;
} WfPair;

typedef struct WfHttpAction
{
	const char *server; /* NULL only if `url` is given without one */
	const char *method; /* upper case; never NULL: POST with a body, else GET */
	WfTemplate *path;	/* at most one of path and url */
	WfTemplate *url;
	WfPair	   *query;
	int			nquery;
	WfPair	   *headers;
	int			nheaders;
	WfTemplate *body; /* at most one of body (JSON), text, form */
	WfTemplate *text;
	WfPair	   *form;
	int			nform;
	bool		has_form;
	WfDuration	timeout;		 /* of one attempt */
	WfDuration	connect_timeout;
} WfHttpAction;

typedef struct WfEvent
{
	WfEventKind kind;
	WfDuration	after;
	WfTemplate *until; /* renders to text that timestamptz reads */
	WfPredicate *when; /* NULL: always wait */
} WfEvent;

typedef struct WfCancelAction /* how to ask the outside system to stop */
{
	WfHttpAction *http;	   /* path, of the step's server (NULL as there), or url (server NULL); method POST unless given */
	WfDuration	timeout;   /* how long its callback is waited for; absent: 30 s */
} WfCancelAction;

typedef struct WfTargets /* where a token goes on: one goes to each of the steps */
{
	int		   *steps;
	int			n;
} WfTargets;

typedef struct WfBranch /* of `choose` */
{
	WfPredicate *when; /* NULL: otherwise */
	WfTargets	next;
} WfBranch;

/* What a step waits for, or what a handler of its `catch` begins by: an event, or outcomes and codes. */
typedef struct WfEntry
{
	WfEvent		event; /* of a handler a clock, counted from entry; NONE: it is for outcomes and codes */
	/* the rest is of handlers alone */
	bool		any;	  /* "*" */
	uint32		outcomes; /* bit (1 << WfOutcome) */
	const char **codes;	  /* error codes, or classes of status codes: see wf_code_names */
	int			ncodes;
	bool		interrupt; /* the event ends the visit; else the handler's token is one more */
	WfTemplate *save;	   /* of an event; or NULL */
	WfTargets	next;
} WfEntry;

typedef enum WfRouteKind
{
	WF_ROUTE_NEXT, /* to `next` */
	WF_ROUTE_CHOOSE,
	WF_ROUTE_END,
	WF_ROUTE_ERROR,
	WF_ROUTE_ABORT,
} WfRouteKind;

typedef struct WfRoute
{
	WfRouteKind kind;
	WfTargets	next;
	WfBranch   *branches;
	int			nbranches;
	const char *error_code;
	WfTemplate *message; /* of `end: {error}` or the reason of `end: {abort}`; NULL: none */
} WfRoute;

typedef struct WfWarnWaiting /* after how long a wait is to be told of */
{
	bool		given;
	int64		after_ms; /* 0: never */
} WfWarnWaiting;

typedef struct WfStep
{
	const char *name;
	int			index;
	int			list; /* that it belongs to */
	WfActionKind action;
	WfHttpAction *http;
	const char *sql;		/* the statement as written */
	WfTemplate *channel;	/* notify */
	WfTemplate *payload;	/* notify; NULL: '' */
	WfTemplate *set;		/* an object template */
	WfPredicate *success;	/* NULL: always */
	WfTemplate *save_reply; /* an object template, or NULL */
	WfTemplate *save;		/* an object template, or NULL */
	bool		save_all;	/* "save": true */
	WfDuration	timeout;
	WfDuration	heartbeat;
	WfWarnWaiting warn_waiting; /* its own, else that of the definition */
	WfRetry		retry; /* its own, else that of the definition */
	WfCancelAction *cancel; /* or NULL */
	bool		ignore_cancel;
	bool		async;
	WfEntry    *entries; /* what it waits for, then its handlers; in rows they are counted from 1 */
	int			nwaits;	 /* how many of the former */
	int			nentries;
	WfRoute		route;
} WfStep;

static inline bool
wf_is_clock(WfEventKind kind)
{
	return kind == WF_EVENT_AFTER || kind == WF_EVENT_UNTIL;
}

/* What it waits for; NONE: it does not wait. */
static inline WfEventKind
wf_step_waits_for(const WfStep *step)
{
	return step->nwaits > 0 ? step->entries[0].event.kind : WF_EVENT_NONE;
}

typedef struct WfStepList /* steps among which tokens go on: their routes do not leave it */
{
	int			parent; /* the step that it is within; -1: the process */
	int			first;	/* of its steps */
	int			n;
} WfStepList;

typedef struct WfDefinition
{
	const char *description; /* or NULL */
	Jsonb	   *data;		 /* defaults; an object, never NULL */
	WfStep	   *steps; /* of all lists, one list after the other */
	int			nsteps;
	WfStepList *lists; /* the first one is that of the process itself */
	int			nlists;
	int			start;
	WfRetry		retry; /* of steps that have none of their own */
	WfWarnWaiting warn_waiting; /* likewise */
	bool		has_retention;
	Interval	retention; /* of its ended instances; zero: for ever */
} WfDefinition;

/* One fault of a definition, or something that its author is warned of. */
typedef struct WfIssue
{
	const char *path; /* "$.steps[2].retry.max" */
	const char *step; /* the name of the step that it is in; NULL: in none, or in one without a name */
	const char *message;
	const char *hint;
} WfIssue;

/* Others than the reader add theirs too (servers, SQL). At most 100 are kept, more are counted. */
typedef struct WfIssues WfIssues;
struct WfIssues
{
	WfIssue    *items;
	int			n;
	int			allocated;
	WfIssues   *warnings; /* NULL: nobody wants to hear them */
};

/* What a definition refers to outside of itself: model/reference.h. */
typedef struct WfReferences WfReferences;

/*
 * Report all issues in one ERROR (22023 invalid_parameter_value, or 0A000 if all are "not supported yet"): the message
 * counts them, the detail has a line each "path (step): message", the hint a line "path, path: hint" for each different
 * hint.
 */
pg_noreturn extern void wf_issues_report(const char *process, const WfIssues *issues);

/* The same of warnings, as one NOTICE; nothing if there are none. */
extern void wf_issues_notice(const char *process, const WfIssues *warnings);

/*
 * Read and compile `json` (text as the user wrote it, so that duplicate keys are seen). All memory is in
 * CurrentMemoryContext. Returns NULL if issues were found; text that is no JSON at all is an issue too, with the
 * position. Depth is limited; any input ends in a definition or in issues, never in another error. What it refers to is
 * added to `references`, also if it has issues; NULL: nobody asks.
 */
extern WfDefinition *wf_definition_compile(const char *json, WfReferences *references, WfIssues *issues);

/* The index of a step by name, or -1. */
extern int	wf_definition_step(const WfDefinition *def, const char *name);

#endif
