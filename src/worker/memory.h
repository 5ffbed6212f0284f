/*
 * memory.h
 *		The limit that a worker has set to its own memory.
 */
#ifndef WF_MEMORY_H
#define WF_MEMORY_H

#include "postgres.h"

#include "shmem/registration.h"

/* Hidden setting in megabytes, 0: none. An executor hands its limit on to its parallel workers by it. From _PG_init. */
extern void wf_memory_define(void);

/* In a worker, once, before its loop: set the limit that workflow.dispatcher_memory or workflow.executor_memory says. */
extern void wf_memory_limit_begin(WfWorkerKind kind);

/* Again, after a reload. */
extern void wf_memory_limit_follow(void);

/*
 * Was our own limit the reason of the last error 53200 that was thrown in this process, or in one of its parallel workers? Ask
 * only about such an error, as long as no other one was thrown.
 */
extern bool wf_memory_limit_was_hit(void);

/* The setting to raise then; NULL in other processes. */
extern const char *wf_memory_setting(void);

#endif
