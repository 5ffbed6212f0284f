/*
 * process_cache.h
 *		Compiled versions of processes, kept for later transactions; private to store/.
 */
#ifndef WF_PROCESS_CACHE_H
#define WF_PROCESS_CACHE_H

#include "store/process.h"

/* The one that is kept, or NULL. `relid`: DROP and CREATE EXTENSION start numbers afresh. */
extern WfProcess *wf_process_cache_find(Oid relid, int process_id, int version);

/*
 * Keep one whose memory is all in `context`, which the cache takes over. `passing`: a transaction that is still open has defined it,
 * and its number may come to stand for something else.
 */
extern void wf_process_cache_keep(Oid relid, WfProcess *process, MemoryContext context, bool passing);

#endif
