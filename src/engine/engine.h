/*
 * engine.h
 *		Moving tokens. Everything that happens to a visit comes through here.
 *
 * All functions work on a batch whose instances the caller has locked and whose visits it has loaded; they change the
 * structs only. wf_batch_flush makes it true. Nothing here throws for what a process or an outside system did wrong:
 * that becomes the outcome of a visit.
 */
#ifndef WF_ENGINE_H
#define WF_ENGINE_H

#include "postgres.h"

#include "engine/action.h"
#include "store/batch.h"

/* Start an instance and move its token until it rests. ERROR 54000 if its data are larger than workflow.max_data. `data` NULL: none. Numbers 0: the next. */
typedef struct WfStart
{
	WfProcess  *process;
	Jsonb	   *data; /* an object */
	char	   *business_key;
	int			attachment;
	int64		instance;
	int64		visit; /* of the first step */
	bool		suspended; /* it rests before its first step */
} WfStart;
extern WfInstance *wf_engine_start(WfBatch *batch, const WfStart *start);

/* What an action answered: see engine/action.h. */
extern void wf_engine_answer(WfBatch *batch, WfVisit *visit, const WfAnswer *answer);

/*
 * It could not be done for want of something: later, in the state it is in. But what the author has named in `retry` or `catch` is
 * for him to deal with, as an answer.
 */
extern void wf_engine_postpone(WfBatch *batch, WfVisit *visit, TimestampTz until);
extern bool wf_engine_names(const WfVisit *visit, const WfFault *fault);

/*
 * The outside says it is done: `error` NULL for success, else what fail() gave; `by_hand`: or a person who mends an incident. Returns
 * false if a callback had been accepted before, or none is awaited any more. ERROR 55000 if the visit takes none.
 */
extern bool wf_engine_takes_callback(const WfVisit *visit);
extern bool wf_engine_callback(WfBatch *batch, WfVisit *visit, Jsonb *data, Jsonb *error, bool by_hand);

/* Its due time has come (a clock, a pause to end a loop, a kept callback). Does nothing if that is no longer so. */
extern void wf_engine_due(WfBatch *batch, WfVisit *visit);

/* Its deadline has come. Does nothing if that is no longer so. */
extern void wf_engine_alarm(WfBatch *batch, WfVisit *visit);

/* A move could not be made: the visit becomes an incident (or is caught) with this fault. */
typedef enum WfBreak
{
	WF_BREAK_ACTION, /* its request, or what that has brought: a callback that was accepted still ends it */
	WF_BREAK_VISIT,
	WF_BREAK_BARE, /* what it carries may be the reason, so that is left out */
} WfBreak;
extern void wf_engine_break(WfBatch *batch, WfVisit *visit, const WfFault *fault, WfBreak broken);

/* What is due takes too long here: an executor goes on with it. */
extern void wf_engine_hand_over(WfBatch *batch, WfVisit *visit);

/* Merge into the data. ERROR 54000 if they come to be larger than workflow.max_data. */
extern void wf_engine_set_data(WfBatch *batch, WfInstance *instance, Jsonb *changes);

/*
 * Cancel all its visits, but those of steps with ignore_cancel; once none is left the instance is aborted. Visits that
 * have called out ask the outside to stop first, if their step says how.
 */
extern void wf_engine_cancel(WfBatch *batch, WfInstance *instance, const char *reason);
extern void wf_engine_cancel_visit(WfBatch *batch, WfVisit *visit, const char *reason);

/* No worker looks at its visits, callbacks are kept; and the way back. */
extern void wf_engine_suspend(WfBatch *batch, WfInstance *instance);
extern void wf_engine_resume(WfBatch *batch, WfInstance *instance);

/* Is what was asked of the outside still wanted? */
extern bool wf_engine_wanted(const WfVisit *visit);

/* The outside lives, and says how far it is (NULL: nothing). False: it should stop. */
extern bool wf_engine_heartbeat(WfBatch *batch, WfVisit *visit, Jsonb *progress);

extern void wf_engine_extend(WfBatch *batch, WfVisit *visit, TimestampTz deadline);

/*
 * Mend an incident: again from its action, under a new idempotency key perhaps; or as if it had succeeded with `data` as
 * response. ERROR 55000 if it is none.
 */
extern void wf_engine_retry(WfBatch *batch, WfVisit *visit, bool new_key);
extern void wf_engine_skip(WfBatch *batch, WfVisit *visit, Jsonb *data);

/*
 * The visits at one step, incidents too, end CANCELLED without handlers, and a token enters another step. Returns its
 * visit, begun; NULL: there are none, or their end is known already.
 */
extern WfVisit *wf_engine_move(WfBatch *batch, WfInstance *instance, const char *from, int to);

#endif
