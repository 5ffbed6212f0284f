/*
 * batch.h
 *		A batch: living instances and visits in memory, what became of them, and how they are loaded and flushed.
 *
 * Whoever moves tokens makes a batch, locks and loads what it is about, lets engine/ change the structs, and flushes.
 * A batch holds one completed visit or thousands of started instances; the statements are the same. It lives in a memory
 * context of its own within one transaction.
 */
#ifndef WF_BATCH_H
#define WF_BATCH_H

#include "postgres.h"

#include "datatype/timestamp.h"
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

extern const char *wf_status_name(WfStatus status);
extern const char *wf_state_name(WfState state);
/* ERROR XX001 for a word that is none of them. */
extern WfStatus wf_status_from_name(const char *name);
extern WfState wf_state_from_name(const char *name);

typedef struct WfVisit WfVisit;

/* Of cancelling: see engine/interrupt.c */
typedef enum WfCancelPhase
{
	WF_CANCEL_NONE,
	WF_CANCEL_AWAIT, /* the answer that may still be under way */
	WF_CANCEL_SEND,
	WF_CANCEL_CONFIRM, /* … by a callback */
} WfCancelPhase;

typedef enum WfWaitsFor
{
	WF_WAITS_FOR_NOTHING,
	WF_WAITS_FOR_CALLBACK,
	WF_WAITS_FOR_AFTER,
	WF_WAITS_FOR_UNTIL,
} WfWaitsFor;

/* NULL for none of them. ERROR XX001 for a word that is none. */
extern const char *wf_cancel_phase_name(WfCancelPhase phase);
extern WfCancelPhase wf_cancel_phase_from_name(const char *name);
extern const char *wf_waits_for_name(WfWaitsFor waits_for);
extern WfWaitsFor wf_waits_for_from_name(const char *name);

typedef struct WfInstance
{
	int64		id;
	WfProcess  *process;
	int			process_id;	   /* as in the row */
	int			version;	   /* as in the row */
	char	   *business_key; /* or NULL */
	WfStatus	status;
	Jsonb	   *data;
	int			tokens;		   /* living visits, loaded or not */
	int			incidents;	   /* of them, standing as incidents */
	int			attachment;	   /* 0: none */
	char	   *cancel_reason; /* being cancelled, or NULL */
	Jsonb	   *error;		   /* why it ended so, or NULL */
	Jsonb	   *cookies;	   /* {server: [line, …]}, or NULL */
	TimestampTz started_at;

	/* in memory */
	List	   *visits; /* loaded or new, ended ones included */
	bool		is_new;
	bool		changed;
	bool		data_changed;
	bool		cookies_changed;
	bool		ended;
	bool		show_changed; /* what an attached row shows may have changed */
	int			stored_tokens; /* as in the row */
	int			entered;	  /* steps entered in this batch: loops are cut into transactions */
	size_t		grown;		  /* bytes of data made in this batch */
	TimestampTz ended_at;
} WfInstance;

/* When something happens to it, whatever it waits for; 0: never. */
typedef struct WfClocks
{
	TimestampTz deadline;	   /* its timeout */
	TimestampTz silence_at;	   /* the heartbeat ends it */
	TimestampTz handler_at;	   /* the next of its handlers of clocks begins */
	TimestampTz interrupt_at;  /* the next of those that end it begins */
	TimestampTz *clock_times;	/* of each entry of the step, 0: it has struck, does not yet run, or there is none; NULL: so are all */
	TimestampTz warn_at;	   /* it will have waited too long */
} WfClocks;

/* It is looked at when the first of these comes, or warn_at: visit.alarm_at. */
#define WF_ALARM_CLOCKS(clock) clock(deadline) clock(silence_at) clock(handler_at)

/* It is to end early. */
typedef struct WfCancelling
{
	WfOutcome	outcome; /* NONE: it is not */
	int			handler; /* entry that interrupted it, from 1; 0: none */
	WfCancelPhase phase;
	Jsonb	   *response; /* what its cancel request was answered */
} WfCancelling;

/* What was given to it, and what it gives: stored together, if any of it has changed. */
typedef struct WfDocuments
{
	Jsonb	   *reply;
	bool		has_reply; /* the action has answered (its reply may be null) */
	Jsonb	   *callback;
	Jsonb	   *callback_error;
	Jsonb	   *result;
	bool		changed; /* one of these, or cancel.response */
} WfDocuments;

/* A callback has no entry of its own: whatever an incident waited for, a person may complete it. */
#define WF_ACCEPTED_CALLBACK 0
#define WF_ACCEPTED_NOTHING (-1)

struct WfVisit
{
	WfInstance *instance;
	int64		id;
	const char *step;
	WfStep	   *def; /* NULL if the version has no such step */
	WfState		state;
	char	   *queue;		   /* who has to look at it at due_at */
	TimestampTz due_at;		   /* 0: nobody has to */
	WfClocks	clocks;
	TimestampTz entered_at;
	TimestampTz waiting_since; /* also: being cancelled, or an incident; 0: none of these */
	WfWaitsFor	waits_for;
	int			attempt;	   /* attempts that were answered or have failed */
	int			restless;	   /* steps that led to it without a rest */
	int			accepted;	   /* the entry, from 1, whose event was accepted as its end, or one of WF_ACCEPTED_ */
	bool		held;		   /* suspended: no worker looks at it */
	WfCancelling cancel;
	pg_uuid_t	key;
	WfOutcome	outcome; /* of an incident, or once ended */
	WfDocuments docs;
	const char *completed_by; /* role whose call is its end, or NULL */
	bool		webhook;	  /* which passed on what came with a token */
	Jsonb	   *caught;
	Jsonb	   *error;
	Jsonb	   *progress; /* what the outside says now; NULL: nothing new (not loaded) */

	/* in memory */
	bool		is_new;
	bool		changed;
	int			unbegun;	  /* steps that led to it none of which may begin */
	bool		skipped;	  /* a person says that it has succeeded */
	bool		again;		  /* an incident that is begun once more */
	bool		ended;
	TimestampTz ended_at;
};

/* Is its end known, whenever it comes? */
static inline bool
wf_has_accepted(const WfVisit *visit)
{
	return visit->accepted != WF_ACCEPTED_NOTHING;
}

/* An attempt that is worth to be looked back at; or an incident that is over. */
typedef struct WfAttempt
{
	WfVisit    *visit;
	int			attempt;
	int			http_status; /* 0: none */
	TimestampTz started_at;
	Jsonb	   *error; /* NULL: it succeeded */
	bool		incident;
	const char *ended_with; /* of an incident: what ended it, or NULL */
	Oid			ended_by;	/* and whose call that was */
} WfAttempt;

struct by_key_hash; /* batch.c */

typedef struct WfKey
{
	int64		instance;
	int64		visit; /* 0: all of them */
} WfKey;

/* What a worker loads at once: much more is made of it. A single instance or visit may be larger. */
#define WF_BATCH_ROOM ((size_t) 32 * 1024 * 1024)

typedef struct WfAgenda WfAgenda; /* engine/agenda.c */

typedef struct WfBatch
{
	MemoryContext context;
	TimestampTz now;	   /* of every move in it */
	List	   *instances; /* WfInstance */
	List	   *attempts;  /* WfAttempt */
	List	   *incidents; /* WfVisit: new ones */
	WfAgenda   *agenda;	   /* what is still to be done in it */
	List	   *warnings;  /* WfVisit: wait too long */
	struct by_key_hash *by_key; /* all of it */
	size_t		room;	   /* bytes that may be loaded; 0: any number */
	size_t		loaded;	   /* bytes, once read */
	bool		makes_due; /* something must be durable before it can be seen from outside */
	const char *call;	   /* the function that a person has called, or NULL */
	Oid			caller;
	bool		webhook;   /* who has passed on what came with a token */
} WfBatch;

/* ---- life of a batch; inside wf_store_enter ---- */
extern WfBatch *wf_batch_begin(void);
extern void wf_batch_end(WfBatch *batch); /* frees its memory */

/* A new instance, with its number; `id` and `first_visit` 0: take the next. Its row appears at flush. */
extern WfInstance *wf_batch_new_instance(WfBatch *batch, WfProcess *process, int64 id);
/* A new visit at a step of an instance; id 0: the next number. */
extern WfVisit *wf_batch_new_visit(WfBatch *batch, WfInstance *instance, WfStep *step, int64 id);
/* A new idempotency key, random. */
extern void wf_batch_make_key(pg_uuid_t *key);

typedef enum WfLock
{
	WF_LOCK_WAIT,
	WF_LOCK_SKIP,
	WF_LOCK_NONE /* just look: nothing may be changed */
} WfLock;

/*
 * Lock and load living instances, in ascending order. Returns how many were added; with WF_LOCK_SKIP those locked by others are left out.
 * Look them up with wf_batch_instance: NULL for one that is not there (ended, skipped, or never was).
 */
extern int	wf_batch_lock(WfBatch *batch, const int64 *ids, int n, WfLock lock);
extern WfInstance *wf_batch_instance(WfBatch *batch, int64 id);

typedef struct WfLiving
{
	int64		instance;
	int			process_id;
} WfLiving;

/* Without a lock, for rights to be checked before one is waited for: those that live, by number. Returns how many. */
extern int	wf_batch_living(const int64 *ids, int n, WfLiving **living);

/* Load visits of locked instances: single ones, or all of an instance. Absent ones are not added. */
extern void wf_batch_load_visits(WfBatch *batch, const int64 *instances, const int64 *visits, int n);
extern void wf_batch_load_all_visits(WfBatch *batch, WfInstance *instance);
extern WfVisit *wf_batch_visit(WfBatch *batch, int64 instance, int64 visit);
/* 0 is never. */
extern TimestampTz wf_earlier(TimestampTz a, TimestampTz b);
/* The earliest of its clocks, but for the event that it waits for; 0: none. */
extern TimestampTz wf_batch_alarm(const WfVisit *visit);
/* Is it, or its instance, not here for want of room? It has to be loaded in another batch then. */
extern bool wf_batch_left_out(const WfBatch *batch, int64 instance, int64 visit);

/* Write everything: new, changed and ended rows, write-backs, notes for workers. Forces a synchronous commit if need be. */
extern void wf_batch_flush(WfBatch *batch);
#endif
