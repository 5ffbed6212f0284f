/*
 * batch.h
 *		A batch: living instances and visits in memory, what became of them, and how they are loaded
 *		and flushed.
 *
 * Whoever moves tokens makes a batch, locks and loads what it is about, lets engine/ change the
 * structs, and flushes. A batch holds one completed visit or thousands of started instances. It lives in a memory context of its own within one transaction.
 */
#ifndef WF_BATCH_H
#define WF_BATCH_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "model/definition.h"
#include "store/process.h"

typedef enum WfStatus
{
	WF_STATUS_ACTIVE,
	WF_STATUS_SUSPENDED,
	WF_STATUS_COMPLETED,
	WF_STATUS_ABORTED,
	WF_STATUS_FAILED,
} WfStatus;

typedef enum WfState
{
	WF_STATE_READY,
	WF_STATE_CALLING,
	WF_STATE_RETRYING,
	WF_STATE_WAITING,
	WF_STATE_CANCELLING,
	WF_STATE_INCIDENT,
} WfState;

/* Names of statuses, states and the like, as rows store them. */
extern const char *wf_status_name(WfStatus status);
extern const char *wf_state_name(WfState state);
/* ERROR XX001 for a name that is none of them. */
extern WfStatus wf_status_from_name(const char *name);
extern WfState	wf_state_from_name(const char *name);

typedef struct WfVisit WfVisit;

/* The phases of being cancelled: see engine/interrupt.c. */
typedef enum WfCancelPhase
{
	WF_CANCEL_NONE,
	WF_CANCEL_AWAIT, /* for the answer that may still come */
	WF_CANCEL_SEND,
	WF_CANCEL_TELL,	   /* the same, of a visit that takes no callback any more */
	WF_CANCEL_CONFIRM, /* by the callback */
	WF_CANCEL_INSIDE,  /* of a scope: what lives in it is interrupted */
	WF_CANCEL_CHILD,   /* of a call: the instance that it has called was told to end */
} WfCancelPhase;

/* What a visit waits for: a set of these. */
#define WF_WAITS_FOR_NOTHING   0
#define WF_WAITS_FOR_CALLBACK  (1 << 0)
#define WF_WAITS_FOR_MESSAGE   (1 << 1)
#define WF_WAITS_FOR_SIGNAL	   (1 << 2)
#define WF_WAITS_FOR_CONDITION (1 << 3)
#define WF_WAITS_FOR_TASK	   (1 << 4)
#define WF_WAITS_FOR_TOPIC	   (1 << 5)
#define WF_WAITS_FOR_AFTER	   (1 << 6)
#define WF_WAITS_FOR_UNTIL	   (1 << 7)
#define WF_WAITS_FOR_JOIN	   (1 << 8)	 /* for other tokens of its scope */
#define WF_WAITS_FOR_STEPS	   (1 << 9)	 /* for the tokens in the scope that it is */
#define WF_WAITS_FOR_EACH	   (1 << 10) /* for the items that it goes through */
#define WF_WAITS_FOR_CALL	   (1 << 11) /* for the end of the instance that it has called */
#define WF_WAITS_FOR_CLOCKS	   (WF_WAITS_FOR_AFTER | WF_WAITS_FOR_UNTIL)
#define WF_WAITS_FOR_TOKENS	   (WF_WAITS_FOR_JOIN | WF_WAITS_FOR_STEPS | WF_WAITS_FOR_EACH | WF_WAITS_FOR_CALL)
typedef int WfWaitsFor;

/*
 * The name, as a row stores it, and back: NULL for none of them. ERROR XX001 for an unknown name.
 * Several that a visit waits for are listed in the order above: "callback, message, after".
 */
extern const char	*wf_cancel_phase_name(WfCancelPhase phase);
extern WfCancelPhase wf_cancel_phase_from_name(const char *name);
extern const char	*wf_waits_for_name(WfWaitsFor waits_for);
extern WfWaitsFor	 wf_waits_for_from_name(const char *name);

/* A join of a scope, and the tokens that it waits for. */
typedef struct WfJoinCount
{
	int64 standing; /* visit that stands at it; 0: none */
	int64 arrived;	/* tokens that have arrived since that one, it included */
	/*
	 * Tokens that can still arrive: those at steps that reach it, and those on the way into it, but
	 * for the one that stands at it and those that are too late for it.
	 */
	int64 upstream;
} WfJoinCount;

/* The tokens of a scope: of an instance, or of a visit whose step has `steps`. */
typedef struct WfTokens
{
	int			 n;		/* visits that live directly in it, loaded or not */
	WfJoinCount *joins; /* by slot; NULL: all are 0 */
	int			 njoins;
	bool		 reached_end; /* one of its tokens has ended by its own route */

	/* only in memory */
	int			 stored_n; /* as in the row, and so on */
	WfJoinCount *stored_joins;
	int			 stored_njoins;
	bool		 stored_reached_end;
	bool		 is_judged;	 /* its joins are to be judged: the agenda has that */
	int			 last_steps; /* steps_without_wait of the token that came to a join or ended last */
} WfTokens;

/* The items of a visit whose step has `each`. */
typedef struct WfItemCounts
{
	int64 n;	 /* how many there are */
	int64 begun; /* how many of them have been begun, from the first on */
	/* In how many of them something is an incident; of an item that is a scope itself: incidents in it. */
	int64 stuck;
	int64 given; /* bytes of what they have given, if that is collected */
} WfItemCounts;

typedef struct WfInstance
{
	int64	   id;
	WfProcess *process;
	/* As in the row, for finding `process`. */
	int		 process_id;
	int		 version;	   /* as in the row */
	char	*business_key; /* NULL: none */
	WfStatus status;
	Jsonb	*data;
	WfTokens tokens;		/* its tokens, but for those in scopes inside */
	int		 incidents;		/* living visits that are incidents, in scopes inside as well */
	int		 attachment;	/* 0: none */
	char	*cancel_reason; /* reason of the cancelling; NULL: it is not being cancelled */
	/* It is to end before its tokens do, with this status; ACTIVE: it is not. */
	WfStatus	ending;
	bool		with_caller; /* suspended since its caller is, to be resumed with that */
	bool		asked;		 /* somebody is told when it rests: see store/rest.h */
	Jsonb	   *error;		 /* why it ended that way, or NULL */
	Jsonb	   *cookies;	 /* {server: [line, …]}, or NULL */
	TimestampTz started_at;
	int64		parent;		  /* instance that has called it; 0: none has */
	int64		parent_visit; /* visit of that instance */
	int64		root;		  /* the first of those that have called each other until it was; 0: it was not called */
	int			depth;		  /* how many calls led to it */
	int64		rerun_of;	  /* ended instance that it begins once more; 0: none */
	char	   *traceparent;  /* that it was given at start; NULL: none */
	Jsonb	   *migrations;	  /* that took it to another version with its whole process; NULL: none */

	/* only in memory */
	List		   *visits; /* loaded or new ones, ended ones included */
	ItemPointerData place;	/* of its row, when it was read */
	bool			is_new;
	bool			changed;
	bool			data_changed;
	bool			cookies_changed;
	bool			ended;
	bool			show_changed; /* what an attached row shows may have changed */
	bool			resumed;	  /* what was kept for it is to be released */
	bool holds_work;	/* what it offers to workers is to be held, since it is suspended, or given free again */
	bool cancelled;		/* it has ended, since it was cancelled, and not by its own logic */
	bool has_escalated; /* to its caller, which is to hear of that before its end */
	/*
	 * Its conditions are to be judged: data have changed, which the token of so many steps without a
	 * wait did last.
	 */
	bool   judges_conditions;
	bool   judges_all; /* not only those that read what has changed */
	int	   data_steps;
	Jsonb *data_before;		  /* as they were at the last judging before this batch */
	Jsonb *own_data;		  /* `data`, if this batch has made them and nothing else refers to them */
	uint64 versions;		  /* the number of the last version of what tokens see as data */
	uint64 data_version;	  /* that of `data` */
	List  *stored_conditions; /* its rows, if has_read_conditions: see store/subscription.c */
	bool   has_read_conditions;
	bool   has_all_visits; /* all of them were loaded */
	List  *conditions;	   /* of WfSubscription: in the order in which they are judged */
	int	   judged;		   /* so many of them were, in this pass */
	/* Steps entered in this batch: a loop is cut into transactions by this number. */
	int			entered;
	size_t		grown; /* bytes of data made in this batch that are still in memory */
	TimestampTz ended_at;
} WfInstance;

/* When something happens to a visit, whatever it waits for; 0: never. */
typedef struct WfClocks
{
	TimestampTz deadline; /* the step's timeout */
	/* Heartbeat deadline: without a heartbeat, the visit ends then. */
	TimestampTz heartbeat_deadline;
	/* The next handler with a time begins. */
	TimestampTz next_handler;
	/* The next handler with a time begins that interrupts the visit. */
	TimestampTz next_interrupt;
	/*
	 * By entry of the step; 0: its time has come, is not counted yet, or it has none. NULL: no
	 * entry has a time.
	 */
	TimestampTz *clock_times;
	TimestampTz	 warn_at; /* a warning says that it waits for too long */
} WfClocks;

/*
 * A worker looks at the visit when the first of these times comes, or warn_at: this is
 * visit.next_timer.
 */
#define WF_ALARM_CLOCKS(clock) clock(deadline) clock(heartbeat_deadline) clock(next_handler)

/* How a visit is ended early. */
typedef struct WfCancelling
{
	WfOutcome	  outcome; /* NONE: it is not being cancelled */
	int			  handler; /* the entry that interrupted it, from 1; 0: none */
	WfCancelPhase phase;
	Jsonb		 *response; /* answer to the cancel request */
} WfCancelling;

/*
 * The documents of a visit: what it was given, and what it gives. They are stored together, if any
 * of them has changed.
 */
typedef struct WfDocuments
{
	Jsonb *reply;
	bool   has_reply; /* the action was answered (the reply itself may be null) */
	Jsonb *callback;
	Jsonb *callback_error;
	/*
	 * What has happened to it: its $event, as WfHappening of engine/engine.h. NULL for callbacks, and for
	 * clocks for which it waits.
	 */
	Jsonb *event;
	Jsonb *result;
	bool   changed; /* one of these has, or cancel.response */
} WfDocuments;

/*
 * Headers of calls that are kept with the visit: see engine/on_behalf.h. They are objects of names in lower case and
 * values, or NULL.
 */
typedef struct WfKeptHeaders
{
	bool   has_row; /* there will be a row of them */
	bool   had_row; /* there was one before this batch */
	bool   was_read;
	bool   changed;
	bool   listed;	/* in the batch, as one to be looked at when it is flushed */
	Jsonb *request; /* for its own request */
	Jsonb *onwards; /* for what follows from it without anything from outside */
} WfKeptHeaders;

/* A callback has no entry of its own: whatever an incident waited for, a person may complete it. */
#define WF_ACCEPTED_CALLBACK 0
#define WF_ACCEPTED_NOTHING	 (-1)

/* The subscriptions of a visit, as far as this batch changes them: see store/subscription.h. */
typedef struct WfSubscribed
{
	List				  *known;			/* of WfSubscription: made in this batch, or read */
	List				  *stored;			/* of WfSubscription: its rows, if all of them were read */
	bool				   may_be_stored;	/* this batch has written some */
	bool				   all_dropped;		/* those that were stored before it */
	List				  *dropped_entries; /* stored ones of these entries */
	struct WfUnsubscribed *replaced;		/* its rows, which another version's take the place of */
} WfSubscribed;

/* What only this batch knows of it: no row has it. */
typedef struct WfInMemory
{
	/* Steps that led to it and that could not begin, since the instance is being cancelled. */
	int	 unbegun;
	bool skipped; /* a person says that it has succeeded */
	/* The number of the first visit inside the scope that it is; 0: the next one. */
	int64 first_inside;
	/* The first step inside of it, in place of the one that its list of steps has; NULL: that one. */
	const WfStep *first_step;
	bool		  arriving;	  /* its token is on the way into a join */
	bool		  absorbed;	  /* its token has ended in a join: there is no row of it */
	List		 *kept;		  /* kinds of events for handlers of it that are kept until their turn comes */
	bool		  carried;	  /* it is one of another version now */
	bool		  is_caught;  /* of a scope: it will be interrupted, for a handler of an escalation */
	bool		  has_enough; /* of `each`: `until` holds, and the other items will be interrupted */
	/* Of a scope: the last of its tokens was cancelled by hand, with this error. */
	Jsonb *cancelled_inside;
	/* Of a scope: what its tokens see as data, made of these: see engine/data.c. */
	Jsonb *seen;
	uint64 seen_version;
	uint64 seen_data; /* version */
	Jsonb *seen_local;
	bool   owns_seen; /* nothing else refers to `seen` */
} WfInMemory;

#define WF_NO_ITEM (-1)

typedef struct WfItemList WfItemList; /* in store/item.c */

struct WfVisit
{
	WfInstance	*instance;
	int64		 id;
	const char	*step;
	WfStep		*def;		 /* NULL: the version has no such step */
	int64		 scope_id;	 /* number of `scope`; 0: the instance */
	WfVisit		*scope;		 /* the visit that is the scope in which it lives; NULL: the instance */
	int			 item;		 /* index of the item of `each` for which it is, or WF_NO_ITEM */
	int64		 child;		 /* instance that it has called; 0: none */
	Jsonb		*begun_by;	 /* of the first visit of a handler that runs beside: by which event, and beside what */
	WfSlots		 late;		 /* joins for which its token is too late */
	WfTokens	 tokens;	 /* of a scope: those inside */
	WfItemCounts items;		 /* of `each`, and of its items that are scopes */
	WfItemList	*item_list;	 /* of `each`: what this batch knows of the list; NULL: nothing */
	Jsonb		*item_value; /* of an item itself: $item */
	Jsonb		*local;		 /* of a scope: its fields; NULL: none */
	bool		 local_changed;
	WfState		 state;
	char		*queue;	 /* which worker has to look at it at due_at */
	TimestampTz	 due_at; /* 0: no worker has to */
	WfClocks	 clocks;
	TimestampTz	 entered_at;
	/*
	 * Since when it waits, or is in this phase of being cancelled, or an incident; 0: none of
	 * these.
	 */
	TimestampTz waiting_since;
	WfWaitsFor	waits_for;
	int			attempt;			/* attempts that were answered or have failed */
	int			steps_without_wait; /* steps without wait that led to it */
	/* Entry, from 1, whose event was accepted as its end, or one of WF_ACCEPTED_. */
	int			 accepted;
	bool		 suspended; /* suspended: no worker looks at it */
	bool		 again;		/* a resolved incident that begins again */
	WfCancelling cancel;
	pg_uuid_t	 key;
	WfOutcome	 outcome; /* of an incident, or once it has ended */
	WfDocuments	 docs;
	const char	*completed_by; /* role whose call is its end, or NULL */
	bool		 webhook;	   /* that role passed on what came with a token */
	Jsonb		*caught;
	bool		 caught_changed;
	Jsonb		*error;
	/* New progress that a heartbeat brought; NULL: none (not loaded). */
	Jsonb *progress;

	WfSubscribed  subscribed;
	WfKeptHeaders kept;
	WfInMemory	  memory;

	/* What the batch does with its row. */
	ItemPointerData place; /* of its row, when it was read */
	bool			is_new;
	bool			changed;
	bool			place_changed; /* its step and scope: another version has other names, or another outermost scope */
	bool			ended;
	TimestampTz		ended_at;
};

/* Is the visit one for an item of `each`? What lives inside of such a visit is not. */
static inline bool
wf_is_item(const WfVisit *visit)
{
	return visit->scope != NULL && visit->scope->def != NULL && visit->scope->def->action == WF_ACTION_EACH;
}

/* Does the visit go through a list of which items have not been begun yet? */
static inline bool
wf_has_more_items(const WfVisit *visit)
{
	return visit->def != NULL && visit->def->action == WF_ACTION_EACH && visit->items.begun < visit->items.n;
}

/* Is the end of the visit known already? */
static inline bool
wf_has_accepted(const WfVisit *visit)
{
	return visit->accepted != WF_ACCEPTED_NOTHING;
}

/* An attempt that is recorded, or an incident that is over. */
typedef struct WfAttempt
{
	WfVisit	   *visit;
	int			attempt;
	int			http_status; /* 0: none */
	const char *server;		 /* that was called; NULL: none, or not known */
	TimestampTz started_at;
	Jsonb	   *error; /* NULL: it succeeded */
	bool		incident;
	const char *ended_with; /* of an incident: the call that ended it, or NULL */
	Oid			ended_by;	/* role that made that call */
} WfAttempt;

struct by_key_hash; /* in batch.c */

typedef struct WfKey
{
	int64 instance;
	int64 visit; /* 0: the instance, or all of its visits */
} WfKey;

/*
 * Memory budget of a worker for one batch, in bytes as loaded: much more memory is used when these
 * are changed. A single instance or visit may be larger.
 */
#define WF_BATCH_MEMORY_BUDGET ((size_t) 32 * 1024 * 1024)

typedef struct WfAgenda WfAgenda; /* in engine/agenda.c */

typedef struct WfBatch
{
	MemoryContext context;
	TimestampTz	  now;			/* the time of all moves in it */
	List		 *instances;	/* of WfInstance */
	List		 *attempts;		/* of WfAttempt */
	List		 *incidents;	/* of WfVisit: new incidents */
	WfAgenda	 *agenda;		/* operations that are still to be run */
	List		 *warnings;		/* of WfVisit: those that have waited for too long */
	List		 *subscribed;	/* of WfSubscription: those to be written */
	List		 *unsubscribed; /* of WfUnsubscribed: those to be deleted */
	List		 *inside;		/* of WfVisit: those in scopes that are to be loaded */
	List		 *items;		/* of WfVisit: items that are to be loaded */
	List		 *item_lists;	/* of WfItemList: those that are to be written */
	List		 *called;		/* of WfInstance: those that were called, and are still to begin */
	int			  ncalled;		/* how many were, */
	int64		  called_steps; /* how many steps they have entered, */
	size_t		  called_bytes; /* and how large their data were */
	List		 *notices;		/* to callers and to what was called: see store/notice.h */
	/* All instances of this process up to this number are suspended or resumed for themselves; 0: of none. */
	int					all_of;
	int64				all_to;
	struct by_key_hash *by_key;		   /* all instances and visits, by number */
	size_t				memory_budget; /* memory budget in bytes; 0: no limit */
	size_t				loaded;		   /* bytes that were loaded */
	/* Needs a synchronous commit: something must be durable before it can be seen from outside. */
	bool needs_sync_commit;
	/* Name of the SQL function that a person has called, or NULL. */
	const char *call;
	Oid			caller;
	bool		webhook; /* the caller passed on what came with a token */
	/* A call moves the instances that it names, or starts: what it makes due is due on its behalf, with its headers. */
	bool   by_call;
	bool   has_call_headers; /* they were asked for */
	Jsonb *call_headers;
	Jsonb *headers; /* else those of the call from which the present move follows; NULL: of none */
	List  *kept;	/* of WfVisit: those whose headers may have changed */
} WfBatch;

/* ---- life of a batch; to be called inside wf_store_enter ---- */
extern WfBatch *wf_batch_begin(void);
extern void		wf_batch_end(WfBatch *batch); /* frees its memory */

/* Make a new instance. `id` 0 means the next number. Its row appears at flush. */
extern WfInstance *wf_batch_new_instance(WfBatch *batch, WfProcess *process, int64 id);
/* Make a new visit at a step of an instance. `id` 0 means the next number. */
extern WfVisit *wf_batch_new_visit(WfBatch *batch, WfInstance *instance, WfStep *step, int64 id);
/* Do the tokens of a scope differ from those in its row? */
extern bool wf_tokens_changed(const WfTokens *tokens);
/* Make a new random idempotency key. */
extern void wf_batch_make_key(pg_uuid_t *key);

typedef enum WfLock
{
	WF_LOCK_WAIT,
	WF_LOCK_SKIP,
	WF_LOCK_NONE /* just to look: nothing may be changed */
} WfLock;

/*
 * Lock and load living instances, in ascending order. Returns how many were added: with
 * WF_LOCK_SKIP, those locked by others are skipped. wf_batch_instance finds them: NULL for one that
 * is not in the batch (ended, skipped, or never was).
 */
extern int		   wf_batch_lock(WfBatch *batch, const int64 *ids, int n, WfLock lock);
extern WfInstance *wf_batch_instance(WfBatch *batch, int64 id);

typedef struct WfLiving
{
	int64 instance;
	int	  process_id;
} WfLiving;

/*
 * Find the living instances among these, without a lock, so that rights can be checked before one
 * is waited for: sorted by number, palloc'd. Returns how many.
 */
extern int wf_batch_living(const int64 *ids, int n, WfLiving **living);

/*
 * Load visits of locked instances: single ones, or all of an instance. Visits that do not exist are
 * not added. The visits of the scopes in which they live are loaded with them.
 */
extern void wf_batch_load_visits(WfBatch *batch, const int64 *instances, const int64 *visits, int n);
extern void wf_batch_load_all_visits(WfBatch *batch, WfInstance *instance);
/*
 * Load all visits of these instances of the batch, in their order, as far as the memory budget allows. Returns the first
 * instance of which not all were loaded; 0: there is none.
 */
extern int64 wf_batch_load_visits_of(WfBatch *batch, const int64 *instances, int n);
/* The same of those that are locked, by whom all visits are needed then: wf_batch_load_all_visits asks no more for those that were loaded. */
extern int64 wf_batch_load_ahead(WfBatch *batch, const int64 *instances, int n);

/*
 * Load visits directly in a scope that are to be interrupted, at most so many: those that are not
 * being cancelled, have no accepted end, or have still to do their action, or have called another instance, and are
 * not at one of these steps, or are `incidents` there; and no more than fit into WF_BATCH_MEMORY_BUDGET, but at least one.
 * Returns whether there may be more of them.
 */
extern bool wf_batch_load_inside(WfBatch *batch, const WfVisit *scope, const char **but_steps, int nsteps,
								 bool incidents, int most);

/*
 * Mark the visits directly in a scope (NULL: in the instance) as too late for a join, whether they
 * are loaded or not: those at one of these steps. The structs of loaded ones stay as they are.
 */
extern void		wf_batch_mark_late(WfBatch *batch, const WfInstance *instance, const WfVisit *scope, const char **steps,
								   int nsteps, int slot);
extern WfVisit *wf_batch_visit(WfBatch *batch, int64 instance, int64 visit);
/*
 * The same for a living visit, which is loaded if need be, whatever the memory budget is. ERROR XX001
 * if it is not there.
 */
extern WfVisit *wf_batch_need_visit(WfBatch *batch, WfInstance *instance, int64 visit);

/* Has the instance any visit that lives? Without loading one, and without a lock. */
extern bool wf_batch_has_visits(int64 instance);

/*
 * Load an instance and one of its visits without a lock, as of one moment, and without the changes that
 * this transaction itself has made from this command on.
 */
extern void wf_batch_look(WfBatch *batch, int64 instance, int64 visit, CommandId before);

/* The earlier of two times, where 0 means never. */
extern TimestampTz wf_earlier(TimestampTz a, TimestampTz b);
/* The next timer of a visit, apart from the event that it waits for; 0: none. */
extern TimestampTz wf_batch_next_timer(const WfVisit *visit);
/*
 * Was the visit, or its instance, deferred by the memory budget? It has to be loaded in another
 * batch then.
 */
extern bool wf_batch_is_deferred(const WfBatch *batch, int64 instance, int64 visit);

/*
 * Write everything: new, changed and ended rows, write-backs, wake-ups for workers. Forces a
 * synchronous commit if one is needed. Throws 40001 if a row is not there, or not to be had.
 */
extern void wf_batch_flush(WfBatch *batch);
#endif
