/*
 * definition.h
 *		A process definition, read, checked and compiled.
 *
 * Pure functions: no SPI, no shared memory, no clock. A WfDefinition lives in one memory context
 * and never changes; its cache (store/process_cache.c) frees it between transactions only.
 *
 * Names are kept as written. A definition refers to its steps by index, rows refer to them by name.
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

/*
 * Does `word` name the error with this code and HTTP status (0: none), by its code or by the class
 * of its status ("5xx")?
 */
extern bool wf_code_names(const char *word, const char *code, int http_status);

/* "SUCCESS", …; NULL for WF_OUTCOME_NONE */
extern const char *wf_outcome_name(WfOutcome outcome);
extern WfOutcome   wf_outcome_from_name(const char *name); /* WF_OUTCOME_NONE for any other name */

typedef enum WfActionKind
{
	WF_ACTION_NONE,
	WF_ACTION_HTTP,
	WF_ACTION_SQL,
	WF_ACTION_NOTIFY,
	WF_ACTION_SET,
	WF_ACTION_STEPS, /* an embedded sub-process: the visit is a scope */
	WF_ACTION_SEND,
	WF_ACTION_EACH, /* the visit is a scope: for each item of a list there is a visit in it */
	WF_ACTION_CALL, /* an instance of another process: the visit waits for its end */
} WfActionKind;

typedef enum WfEventKind
{
	WF_EVENT_NONE,
	WF_EVENT_CALLBACK,
	WF_EVENT_AFTER, /* after an interval */
	WF_EVENT_UNTIL, /* until a timestamp */
	WF_EVENT_EVERY, /* again and again, after an interval; of handlers only */
	WF_EVENT_MESSAGE,
	WF_EVENT_SIGNAL,
	WF_EVENT_CONDITION,	 /* a predicate over the data becomes true */
	WF_EVENT_ESCALATION, /* of handlers of scopes only */
	WF_EVENT_TASK,		 /* a person does something */
	WF_EVENT_TOPIC,		 /* a worker fetches work, and does it */
} WfEventKind;

/*
 * An interval, or a template that renders to one. Exactly one of the two is given, unless it is
 * absent.
 */
typedef struct WfDuration
{
	bool		present;
	Interval	interval;
	WfTemplate *tmpl; /* NULL: the interval is constant */
} WfDuration;

typedef struct WfPair /* a header, query parameter or form field */
{
	const char *name;
	WfTemplate *value;
} WfPair;

typedef struct WfPart /* of a body of several */
{
	const char *name;
	WfTemplate *body; /* exactly one of body (JSON), text and bytes is given */
	WfTemplate *text;
	WfTemplate *bytes;	  /* see model/bytes.h */
	WfTemplate *filename; /* NULL: none */
	WfTemplate *type;	  /* NULL: by what it holds */
} WfPart;

typedef struct WfHttpAction
{
	const char *server; /* NULL only if `url` is given without a server */
	const char *method; /* in upper case, never NULL: by default POST with a body, else GET */
	WfTemplate *path;	/* at most one of path and url is given */
	WfTemplate *url;
	WfPair	   *query;
	int			nquery;
	WfPair	   *headers;
	int			nheaders;
	WfTemplate *body; /* at most one of body (JSON), text, form, parts and bytes is given */
	WfTemplate *text;
	WfPair	   *form;
	int			nform;
	bool		has_form;
	WfPart	   *parts;
	int			nparts;
	WfTemplate *bytes;	 /* see model/bytes.h */
	WfTemplate *type;	 /* of bytes; NULL: the most general one */
	WfDuration	timeout; /* timeout of each attempt */
	WfDuration	connect_timeout;
} WfHttpAction;

#define WF_TASK_MAX_ROLES 100

typedef struct WfTask /* for a person; each NULL: not given */
{
	WfTemplate *title;	  /* renders to a text */
	WfTemplate *assignee; /* renders to the name of a role, or null */
	WfTemplate *roles;	  /* renders to the name of a role, or a list of such names, or null */
	WfTemplate *due;	  /* renders to a text that interval_in or timestamptz_in reads, or null */
	WfTemplate *data;
} WfTask;

typedef struct WfSignature WfSignature; /* see model/signature.h */

typedef struct WfEvent
{
	WfEventKind	 kind;
	WfDuration	 after; /* of EVERY too */
	int			 times; /* of EVERY: how many beats; 0: no end */
	WfTemplate	*until; /* renders to a text that timestamptz_in reads */
	const char	*name;	/* of a message or signal; the code of an escalation, or "*"; a topic */
	WfTemplate	*key;	/* of a message; NULL: none */
	WfPredicate *condition;
	WfTask		*task;
	WfTemplate	*data; /* of a topic; NULL: none */
	WfPredicate *when; /* NULL: always wait */
	/* of a callback: what one that comes with a token has to be signed with; NULL: nothing */
	const WfSignature *signature;
} WfEvent;

typedef struct WfCancelAction /* the request that asks the called service to stop */
{
	/*
	 * With a path of the step's server (its `server` is as there), or a url (`server` NULL). The
	 * method is POST unless given.
	 */
	WfHttpAction *http;
	WfDuration	  timeout; /* how long the confirming callback is waited for; absent: 30 s */
} WfCancelAction;

typedef struct WfSend /* throws an event */
{
	WfEventKind kind; /* MESSAGE, SIGNAL or ESCALATION */
	const char *name;
	WfTemplate *data; /* NULL: none */
	/* of a message only */
	WfTemplate *key;		/* NULL: none */
	WfTemplate *message_id; /* NULL: none */
	WfTemplate *instance;	/* NULL: any */
	WfDuration	ttl;
	bool		to_all;
} WfSend;

typedef struct WfEach WfEach; /* see model/each.h */

typedef struct WfCall /* another process, as a child */
{
	const char *process;
	int			version;	  /* 0: the latest */
	WfTemplate *data;		  /* an object template; NULL: none */
	WfTemplate *business_key; /* NULL: none */
} WfCall;

typedef struct WfTargets /* where a token goes on: a token enters each of these steps */
{
	int *steps;
	int	 n;
} WfTargets;

typedef struct WfBranch /* one branch of `choose`, or of a `next` with conditions */
{
	/* NULL: of `choose`, it is taken if no other was; of `next`, always, unless it is `otherwise` */
	WfPredicate *when;
	bool		 otherwise; /* {"else": name}: it is taken if no other was */
	WfTargets	 next;
} WfBranch;

/*
 * An entry of a step: what it waits for, or when a handler of its `catch` begins, by an event or by
 * outcomes and codes.
 */
typedef struct WfEntry
{
	/*
	 * For a handler: a time, counted from the entry of the visit; kind NONE: it has outcomes and
	 * codes.
	 */
	WfEvent event;
	/* the next four are for handlers only */
	bool		 any;	   /* the entry has "*" */
	uint32		 outcomes; /* bits (1 << WfOutcome) */
	const char **codes;	   /* error codes, or classes of status codes: see wf_code_names */
	int			 ncodes;
	/* the handler interrupts the visit; otherwise its token is an additional one */
	bool interrupt; /* of handlers only */
	/* Of `first_of`, and of handlers by events: NULL: nothing to save. Where it leads to. */
	WfTemplate *save;
	WfTargets	next;
	int			beat; /* of EVERY: which of the repeating entries of the step it is, from 0 */
} WfEntry;

typedef enum WfRouteKind
{
	WF_ROUTE_NEXT, /* leads to each of `next` */
	WF_ROUTE_CHOOSE,
	WF_ROUTE_SPLIT, /* leads to each branch that is true */
	WF_ROUTE_END,
	WF_ROUTE_END_SCOPE, /* ends the scope that it is in, successfully */
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
	/* message of `end: {error}`, or the reason of `end: {abort}`; NULL: none */
	WfTemplate *message;
} WfRoute;

typedef enum WfJoinKind
{
	WF_JOIN_NONE,
	WF_JOIN_ALL,   /* goes on when no other token can reach it any more */
	WF_JOIN_COUNT, /* goes on when n have arrived; the others are too late */
} WfJoinKind;

typedef struct WfJoin
{
	WfJoinKind kind;
	int		   n;	 /* of WF_JOIN_COUNT */
	int		   slot; /* which of the joins of its list it is, from 0 */
} WfJoin;

typedef struct WfSlots /* slots of joins, sorted */
{
	int *slots;
	int	 n;
} WfSlots;

typedef struct WfWarnWaiting /* after how long a wait is warned of */
{
	bool  given;
	int64 after_ms; /* in ms; 0: never */
} WfWarnWaiting;

typedef struct WfStep
{
	const char	   *name;
	int				index;
	int				list; /* the list that it belongs to */
	WfActionKind	action;
	WfHttpAction   *http;
	const char	   *sql;		   /* statement, as written */
	WfTemplate	   *channel;	   /* for NOTIFY */
	WfTemplate	   *payload;	   /* for NOTIFY; NULL: '' */
	WfTemplate	   *set;		   /* an object template */
	WfPredicate	   *success;	   /* NULL: always true */
	WfTemplate	   *save_reply;	   /* an object template; NULL: nothing to save */
	WfTemplate	   *save;		   /* an object template; NULL: nothing to save */
	bool			save_all;	   /* "save": true */
	bool			forgets_reply; /* what its action is answered is kept nowhere after the visit, */
	bool			drops_reply;   /* nor while that stands, since nothing can ask for it then */
	WfDuration		timeout;
	WfDuration		heartbeat;
	WfWarnWaiting	warn_waiting; /* that of the step, else that of the definition */
	WfRetry			retry;		  /* that of the step, else that of the definition */
	WfCancelAction *cancel;		  /* NULL: not given */
	bool			ignore_cancel;
	bool			async;
	WfEntry		   *entries; /* what the step waits for, then its handlers; rows count them from 1 */
	int				nwaits;	 /* how many entries it waits for: several are `first_of` */
	int				nentries;
	bool			first_of;	 /* the entry that happens says where to go on; none is open: `route` */
	int				nsubscribed; /* how many entries come from outside or from the data: see wf_is_subscribed */
	int				noffered;	 /* how many of these are tasks or topics */
	int				nbeats;		 /* how many entries are EVERY */
	bool			uses_event;	 /* it mentions $event */
	WfSend		   *send;
	WfCall		   *call;
	WfJoin			join;
	int				inner; /* of WF_ACTION_STEPS: its list of steps; of WF_ACTION_EACH: a list of one; else 0 */
	/*
	 * A step with `each` is two of the same name. The first is the whole: `timeout`, `catch`, `async`, `join`,
	 * `ignore_cancel` and the route. The other, the only one of a list within, is what is done for each item.
	 */
	WfEach *each;
	bool	is_item;
	/* Fields of the scope that it is, as an object template; NULL: none. */
	WfTemplate	*local;
	const char **local_names; /* the names of these fields */
	int			 nlocals;
	WfRoute		 route;
	/* The joins of its list that a token at this step can reach, by routes and handlers. */
	WfSlots reaches;
	/*
	 * The joins of its list, those of WF_JOIN_COUNT only, to which every way leads through this
	 * step: a token that enters it begins a new round, and is not too late for them.
	 */
	WfSlots renews;
} WfStep;

static inline bool
wf_is_clock(WfEventKind kind)
{
	return kind == WF_EVENT_AFTER || kind == WF_EVENT_UNTIL || kind == WF_EVENT_EVERY;
}

/* Work that is offered to people or to workers: a task or a topic, of each of which a step has at most one. */
static inline bool
wf_is_offered(WfEventKind kind)
{
	return kind == WF_EVENT_TASK || kind == WF_EVENT_TOPIC;
}

/* What rows know of: they come from outside, or from the data. */
static inline bool
wf_is_subscribed(WfEventKind kind)
{
	return kind == WF_EVENT_MESSAGE || kind == WF_EVENT_SIGNAL || kind == WF_EVENT_CONDITION || wf_is_offered(kind);
}

/* The event that a step waits for, of `first_of` the first one; NONE: it does not wait. */
static inline WfEventKind
wf_step_waits_for(const WfStep *step)
{
	return step->nwaits > 0 ? step->entries[0].event.kind : WF_EVENT_NONE;
}

/*
 * How many times the clocks of the step have: one for each entry, then one for each repeating entry,
 * after which that has no more beats.
 */
static inline int
wf_step_nclocks(const WfStep *step)
{
	return step->nentries + step->nbeats;
}

/*
 * Is the step begun by an executor, in a transaction of its own? A business key or a message_id may have to wait for
 * another transaction that is about to use it.
 */
static inline bool
wf_step_by_executor(const WfStep *step)
{
	return step->async || (step->send != NULL && step->send->message_id != NULL) ||
		   (step->call != NULL && step->call->business_key != NULL);
}

/* The entry by which the step waits for a callback, or -1. */
static inline int
wf_step_callback_entry(const WfStep *step)
{
	for (int i = 0; i < step->nwaits; i++)
		if (step->entries[i].event.kind == WF_EVENT_CALLBACK)
			return i;
	return -1;
}

/* The handler of the step that begins by a callback, or -1. It has none if it waits for one itself. */
static inline int
wf_step_callback_handler(const WfStep *step)
{
	for (int i = step->nwaits; i < step->nentries; i++)
		if (step->entries[i].event.kind == WF_EVENT_CALLBACK)
			return i;
	return -1;
}

/* The entry of the step, a handler too, whose event is of this kind: the first one, or -1. */
static inline int
wf_step_entry(const WfStep *step, WfEventKind kind)
{
	for (int i = 0; i < step->nentries; i++)
		if (step->entries[i].event.kind == kind)
			return i;
	return -1;
}

/* Can something that is sent to it, or completes it, happen to a visit of the step? */
static inline bool
wf_step_hears(const WfStep *step)
{
	for (int i = 0; i < step->nentries; i++)
	{
		WfEventKind kind = step->entries[i].event.kind;

		if (kind == WF_EVENT_CALLBACK || kind == WF_EVENT_MESSAGE || kind == WF_EVENT_SIGNAL || kind == WF_EVENT_TOPIC)
			return true;
	}
	return false;
}

typedef struct WfStepList /* a list of steps: routes of its steps do not leave it */
{
	int	 parent; /* the step that contains the list; -1: the process does */
	int	 first;	 /* of the steps of the list */
	int	 n;
	int	 start; /* the step at which it begins */
	int *joins; /* the step of each of its joins, by slot */
	int	 njoins;
} WfStepList;

/*
 * A process with `timeout` or `catch` is a scope itself: the only step of the first list with
 * `steps`, which cannot be named by anything, and with the steps to which its handlers lead.
 */
#define WF_PROCESS_STEP "(process)"

typedef struct WfStartOn /* a message or a webhook that starts an instance */
{
	const char *message;	  /* NULL: a webhook does */
	const char *key;		  /* NULL: none */
	WfTemplate *business_key; /* NULL: none */
	int			step;		  /* where it begins, within WF_PROCESS_STEP if there is one */
	/* of a webhook only */
	const char		  *webhook;
	const WfSignature *signature;		   /* NULL: none is needed */
	WfTemplate		  *data;			   /* an object template; NULL: the body */
	WfTemplate		  *idempotency_key;	   /* NULL: a header has it */
	const char		  *idempotency_header; /* that has to be there; NULL: WF_IDEMPOTENCY_HEADER, if that is there */
} WfStartOn;

#define WF_IDEMPOTENCY_HEADER "Idempotency-Key"

typedef struct WfDefinition
{
	const char	 *description; /* NULL: none */
	Jsonb		 *data;		   /* default data: an object, never NULL */
	WfStep		 *steps;	   /* steps of all lists, one list after the other */
	int			  nsteps;
	WfStepList	 *lists; /* the first list is that of the process itself */
	int			  nlists;
	int			  start;		  /* where an instance begins: the start of the first list */
	int			  process_step;	  /* the step WF_PROCESS_STEP; -1: there is none */
	bool		  has_conditions; /* a step has an entry of that kind */
	bool		  has_signatures; /* callbacks of a step have to be signed */
	WfStartOn	 *starts;
	int			  nstarts;
	WfRetry		  retry;		/* for steps that have none of their own */
	WfWarnWaiting warn_waiting; /* for steps that have none of their own */
	bool		  has_retention;
	Interval	  retention; /* how long its ended instances are kept; zero: for ever */
} WfDefinition;

/* A fault of a definition, or something of which its author is warned. */
typedef struct WfIssue
{
	const char *path; /* place in the definition, such as "$.steps[2].retry.max" */
	/* Name of the step in which it is; NULL: in none, or in one without a name. */
	const char *step;
	int			line; /* of the text, from 1 */
	const char *message;
	const char *hint;
} WfIssue;

/*
 * The issues of a definition. Other checks than the reader's add theirs too (servers, SQL). At most
 * 100 are kept; further ones are counted.
 */
typedef struct WfIssues WfIssues;
struct WfIssues
{
	WfIssue	 *items;
	int		  n;
	int		  allocated;
	WfIssues *warnings; /* NULL: warnings are not wanted */
};

/* What a definition refers to outside of itself: see model/reference.h. */
typedef struct WfReferences WfReferences;

/*
 * Report all issues in one ERROR: 22023, or 0A000 if all of them are parts that are not supported
 * yet. The message counts them, the detail has a line "path (step): message" for each, the hint a
 * line "path, path: hint" for each different hint.
 */
pg_noreturn extern void wf_issues_report(const char *process, const WfIssues *issues);

/* Report warnings in one NOTICE; does nothing if there are none. */
extern void wf_issues_notice(const char *process, const WfIssues *warnings);

/*
 * Read and compile `json`, the text as the user wrote it, so that duplicate keys are seen. All
 * memory is in CurrentMemoryContext. Returns NULL if issues were found; text that is no JSON is an
 * issue too, with its position. Depth is limited. Any input ends in a definition or in issues,
 * never in another error.
 *
 * What the definition refers to is added to `references`, even if it has issues; NULL: not wanted.
 */
extern WfDefinition *wf_definition_compile(const char *json, WfReferences *references, WfIssues *issues);

/* The index of the step with that name, or -1: of one with `each`, that of the whole. */
extern int wf_definition_step(const WfDefinition *def, const char *name);

/* What a step with `each` does for each item. */
static inline WfStep *
wf_step_of_item(const WfDefinition *def, const WfStep *whole)
{
	return &def->steps[def->lists[whole->inner].start];
}

#endif
