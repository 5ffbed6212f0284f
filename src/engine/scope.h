/*
 * scope.h
 *		The tokens of a scope: how many there are, and which of them can still come to its joins.
 */
#ifndef WF_ENGINE_SCOPE_H
#define WF_ENGINE_SCOPE_H

#include "engine/agenda.h"

/* The tokens of a scope; scope NULL: of the instance. And the list of steps at which they are. */
extern WfTokens			*wf_scope_tokens(WfInstance *instance, WfVisit *scope);
extern const WfStepList *wf_scope_list(const WfInstance *instance, const WfVisit *scope);

/*
 * A token has come to the step of a visit, or has ended there: count it, and push what follows from
 * that: joins are judged, a scope without tokens is concluded.
 */
extern void wf_scope_add(WfBatch *batch, WfVisit *visit);
extern void wf_scope_remove(WfBatch *batch, WfVisit *visit);

/* Count a token again at its step, for the joins of its scope, which were all reset. */
extern void wf_scope_count_anew(WfVisit *visit);
/* Let the joins of a scope be judged, once what is on the agenda now is done. */
extern void wf_scope_judge_soon(WfBatch *batch, WfInstance *instance, WfVisit *scope);

/* What a join knows of its tokens; the step of the visit must have one. */
extern WfJoinCount *wf_scope_join(WfVisit *visit);
/* Is the visit the one that stands at the join of its step? */
extern bool wf_scope_stands(const WfVisit *visit);
/* Has it stood there, with its clocks and handlers, before it goes on? Not if it begins again, as an incident. */
extern bool wf_scope_has_stood(const WfVisit *visit);
/* Is the token of the visit too late for a join? */
extern bool wf_scope_is_late(const WfVisit *visit, int slot);

/* A token on its way into a join has come: it stands there; or it goes on, as one that has arrived does. */
extern void wf_scope_stand(WfVisit *visit);
extern void wf_scope_pass(WfVisit *visit);

/* A token ends in the join at which the visit `standing` stands: what is left is late only for what both were. */
extern void wf_scope_merge(WfBatch *batch, WfVisit *visit, int64 standing);

/* All tokens that can still come to the join at which the visit has stood are too late from now on. */
extern void wf_scope_mark_late(WfBatch *batch, WfVisit *visit);

/*
 * The slots for which a token is too late that goes on from a visit to a step of the same scope: a
 * step that every way to a join leads through begins a new round.
 */
extern WfSlots wf_scope_late_after(WfBatch *batch, const WfVisit *from, const WfStep *to);

#endif
