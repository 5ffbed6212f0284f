/*
 * memory.h
 *		The limit that a worker sets to its own memory.
 */
#ifndef WF_MEMORY_H
#define WF_MEMORY_H

#include "postgres.h"

#include "shmem/registration.h"

/*
 * Define the hidden setting by which an executor hands its limit on to its parallel workers, in megabytes; 0: none.
 * Called by _PG_init.
 */
extern void wf_memory_define(void);

/*
 * Set this worker's limit, from workflow.dispatcher_memory or workflow.executor_memory. To be called once, before its
 * loop. If the system refuses it, that is logged, and there is no limit.
 */
extern void wf_memory_limit_begin(WfWorkerKind kind);

/* Set the limit again, after the configuration was read again. */
extern void wf_memory_limit_follow(void);

/*
 * Was this limit the reason of the last error 53200 that was thrown in this process, or in one of its parallel workers?
 * To be asked only about such an error, before another one is thrown.
 */
extern bool wf_memory_limit_was_hit(void);

/* The name of the setting that says the limit; NULL: this process has set itself none. */
extern const char *wf_memory_setting(void);

#endif
