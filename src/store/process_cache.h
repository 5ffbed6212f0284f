/*
 * process_cache.h
 *		Compiled versions of processes, kept for later transactions; private to store/.
 */
#ifndef WF_PROCESS_CACHE_H
#define WF_PROCESS_CACHE_H

#include "store/process.h"

/*
 * The kept version, or NULL. `relid` is the OID of process_version, since numbers start afresh
 * after DROP and CREATE EXTENSION.
 */
extern WfProcess *wf_process_cache_find(Oid relid, int process_id, int version);

/*
 * Keep a version, whose memory is all in `context`; the cache takes that over. `defined_by`: the
 * (sub)transaction that is still open and has defined it, so that its number may come to mean another
 * definition; InvalidTransactionId if there is none.
 */
extern void wf_process_cache_keep(Oid relid, WfProcess *process, MemoryContext context, TransactionId defined_by);

#endif
