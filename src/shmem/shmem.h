/*
 * shmem.h
 *		What the processes of one cluster share: a slot for each database with workers, wake-ups, waiters, counters.
 *
 * Lowest layer: knows no table and no definition. Everything here starts afresh after a restart; nothing durable
 * depends on it. Each database slot has a spinlock of its own (held for a few instructions, since commit callbacks
 * take it: they may neither allocate nor throw); membership of the slot array is under one LWLock.
 */
#ifndef WF_SHMEM_H
#define WF_SHMEM_H

#include "postgres.h"

/*
 * ERROR 55000, with a hint, unless the library is in shared_preload_libraries. Every SQL function
 * calls this first.
 */
extern void wf_shmem_require(void);

/* Request and initialize the shared memory; called by _PG_init while preloading. */
extern void wf_shmem_init(void);

#endif
