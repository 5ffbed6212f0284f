/*
 * engine.h
 *		Moving tokens: everything that happens to a visit comes through here.
 *
 * All functions work on a batch whose instances the caller has locked and whose visits it has
 * loaded. They change the structs only; wf_batch_flush writes them. They do not throw for what a
 * process or an outside system did wrong: that becomes the outcome of a visit.
 */
#ifndef WF_ENGINE_H
#define WF_ENGINE_H

#include "postgres.h"

#include "engine/action.h"
#include "engine/event.h"
#include "store/batch.h"
#include "store/notice.h"
#include "store/work.h"

/*
 * Start an instance and move its token as far as it goes. `data` NULL: none; numbers 0: the next
 * ones. ERROR 54000 if the data are larger than workflow.max_data.
 */
typedef struct WfStart
{
	WfProcess *process;
	Jsonb	  *data; /* an object, or NULL */
	char	  *business_key;
	int		   attachment;
	int64	   instance;
	int64	   visit;	  /* number of the visit of the first step */
	bool	   suspended; /* suspended before its first step */
	/* Where it begins: a step of the process itself; NULL: the first one. */
	const WfStep *step;
	int64		  rerun_of;	   /* ended instance that it begins once more; 0: none */
	int			  steps;	   /* without a wait that led to it */
	char		 *traceparent; /* of whoever starts it: wf_trace_given; NULL: none */
	bool		  any_size;	   /* its data hold those of another instance: workflow.max_data does not count */
} WfStart;
extern WfInstance *wf_engine_start(WfBatch *batch, const WfStart *start);
/* The same error for a start that is still to come. */
extern void wf_engine_require_data(const WfStart *start);

/* An action was answered: see engine/action.h. */
extern void wf_engine_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);
/*
 * A worker has ended while the request of a visit was under way, which is sent again: put that attempt on record. Nothing
 * of the visit changes, so it need not be locked.
 */
extern void wf_engine_lost_attempt(WfBatch *batch, WfVisit *visit, TimestampTz started_at);

/*
 * wf_engine_postpone: the work could not be done because something was lacking; it is due again at
 * `until`, in the same state. A fault that the author names in `retry` or `catch` (wf_engine_names)
 * is not postponed, but handled as an answer.
 */
extern void wf_engine_postpone(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern bool wf_engine_names(const WfVisit *visit, const WfFault *fault);

/*
 * A callback, which ends the visit or begins a handler: `error` is NULL for success, else what fail() gave. `by_hand`
 * says that the caller may resolve incidents by completing them. Returns false if an event was accepted before as the
 * end of the visit, or none is awaited any more. ERROR 55000 if the visit takes no callback.
 */
extern bool wf_engine_takes_callback(const WfVisit *visit);
extern bool wf_engine_callback(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error, bool by_hand);

/*
 * A message or signal for an entry of the visit's step: it ends the visit, or begins a handler. Returns false
 * if that cannot happen any more. Whoever calls has found the subscription under the instance's lock; one that is
 * suspended is not to be called for.
 */
extern bool wf_engine_event(WfBatch *batch, WfVisit *visit, int entry, const WfHappening *happening);

/*
 * The instance that the visit has called has ended, or escalates. Does nothing if the visit does not wait for it any
 * more.
 */
extern void wf_engine_ended(WfBatch *batch, WfVisit *visit, const WfEnded *ended);
extern void wf_engine_escalated(WfBatch *batch, WfVisit *visit, const WfEscalation *escalation);

/* A callback, task or work for a handler that came while the instance was suspended. */
extern bool wf_engine_kept(WfBatch *batch, WfVisit *visit, const WfHappening *kept);

/* Somebody has done the task of a visit, or the work of its topic. */
typedef struct WfDone
{
	Jsonb	   *data;
	Jsonb	   *error;	/* NULL: a success, else what fail() gave */
	const char *person; /* of a task; NULL: not known */
} WfDone;

/*
 * So the event of this kind happens: it ends the visit, or begins a handler. Returns false if that cannot happen any more. ERROR
 * 55000 for an error where that begins a handler. The caller has found its row under the instance's lock.
 */
extern bool wf_engine_done(WfBatch *batch, WfVisit *visit, WfEventKind kind, const WfDone *done);

/*
 * The visit's due time has come (a timer, a loop that was cut, a kept callback). Does nothing if
 * that is no longer so.
 */
extern void wf_engine_due(WfBatch *batch, WfVisit *visit);

/*
 * A timer of the visit has come (handler, timeout, heartbeat, warning). Does nothing if that is no
 * longer so.
 */
extern void wf_engine_alarm(WfBatch *batch, WfVisit *visit);

/*
 * A move could not be made: the visit becomes an incident with this fault, or is caught. What has
 * failed:
 */
typedef enum WfFailing
{
	/* Its request, or the reply to that: an accepted callback still ends the visit. */
	WF_FAIL_ACTION,
	WF_FAIL_VISIT,
	/* Perhaps what the visit carries: its documents are dropped. */
	WF_FAIL_BARE,
} WfFailing;
extern void wf_engine_fail(WfBatch *batch, WfVisit *visit, const WfFault *fault, WfFailing failing);

/* What is due takes too long in the dispatcher: an executor does it. */
extern void wf_engine_hand_over(WfBatch *batch, WfVisit *visit);

/* Merge changes into the data. ERROR 54000 if the result is larger than workflow.max_data. */
extern void wf_engine_set_data(WfBatch *batch, WfInstance *instance, Jsonb *changes);
/* The same without that error: returns false with *fault, and has done nothing. */
extern bool wf_engine_try_data(WfBatch *batch, WfInstance *instance, Jsonb *changes, WfFault *fault);

/*
 * Cancel all visits of an instance, but those of steps with ignore_cancel; once none is left, it
 * ends as aborted. Services that were called are first asked to stop, if the step says how.
 */
extern void wf_engine_cancel(WfBatch *batch, WfInstance *instance, const char *reason);
extern void wf_engine_cancel_visit(WfBatch *batch, WfVisit *visit, const char *reason);

/* Suspend: no worker looks at the visits, and callbacks are kept until the instance is resumed. */
extern void wf_engine_suspend(WfBatch *batch, WfInstance *instance, bool with_caller);
extern void wf_engine_resume(WfBatch *batch, WfInstance *instance);

/*
 * For workers: the visit's work was fetched; it is given back, false if somebody else is just fetching it; it is done, or has
 * failed with a fault. A failure goes by the step's `retry` if it may be tried again: then the visit lives on, and the work is free
 * after a pause. False if it is too late for what was done.
 */
extern void wf_engine_fetched(WfBatch *batch, WfVisit *visit);
extern bool wf_engine_released(WfBatch *batch, WfVisit *visit, const WfWork *work);
extern bool wf_engine_worked(WfBatch *batch, WfVisit *visit, const WfWork *work, const WfDone *done,
							 const WfFault *fault, bool retry);

/* Is what the service was asked for still wanted? */
extern bool wf_engine_wanted(const WfVisit *visit);

/*
 * A heartbeat, with a progress (NULL: none). Returns false if the service should stop. ERROR 55000 for a
 * scope, and for a visit that stands at a join: no service works on these.
 */
extern bool wf_engine_heartbeat(WfBatch *batch, WfVisit *visit, Jsonb *progress);

/* Set a new deadline. */
extern void wf_engine_extend(WfBatch *batch, WfVisit *visit, TimestampTz deadline);

/*
 * Resolve an incident: try it again from its action, perhaps with a new idempotency key; or go on
 * as if it had succeeded with `data` as response. ERROR 55000 if the visit is no incident.
 */
extern void wf_engine_retry(WfBatch *batch, WfVisit *visit, bool new_key);
extern void wf_engine_skip(WfBatch *batch, WfVisit *visit, Jsonb *data);

/*
 * Cancel a visit, an incident too, without running its handler of that, and let its token enter
 * another step of the same list. Returns the visit there, which has begun; where tokens meet, it
 * may be one that stood there already; NULL if the token was too late for that.
 */
extern WfVisit *wf_engine_move_visit(WfBatch *batch, WfVisit *visit, int to);

#endif
