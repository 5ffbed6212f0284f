/*
 * silence.h
 *		How long a worker may be silent that has fetched the work of a visit.
 */
#ifndef WF_ENGINE_SILENCE_H
#define WF_ENGINE_SILENCE_H

#include "engine/clocks.h"

/* It was fetched: the heartbeat counts from now on. */
extern void wf_silence_begin(WfBatch *batch, WfVisit *visit);
/* Nobody has it any more. */
extern void wf_silence_end(WfVisit *visit);
/*
 * The heartbeat has been missed. Has nobody the work any more, or has somebody else fetched it since? Then the visit lives on, and
 * its heartbeat counts anew, or not at all until somebody fetches it.
 */
extern bool wf_silence_outlives(WfBatch *batch, WfVisit *visit);
/*
 * The visit is to go on under another version, at a step that listens to a worker: what becomes of its deadline. It stays as it was if the
 * heartbeat is the `same`; else it counts from now, if somebody has the work. Returns false with *fault.
 */
extern bool wf_silence_carry(WfBatch *batch, WfVisit *visit, bool same, const WfVariables *variables,
							 TimestampTz *deadline, WfFault *fault);
/* The instance is resumed: who is at work may be silent from now on. */
extern void wf_silence_resume(WfBatch *batch, WfVisit *visit);

#endif
