/*
 * worker.h
 *		The worker processes (launcher, dispatcher, executor), and the hooks that tell them of statements.
 *
 * The launcher is one process for the cluster. Each database has one dispatcher, and up to workflow.executors executors
 * while there is work for them.
 */
#ifndef WF_WORKER_H
#define WF_WORKER_H

#include "postgres.h"

#include "fmgr.h"

/* Register the launcher, and install the hooks; called by _PG_init while the library is preloaded. */
extern void wf_launcher_register(void);
extern void wf_utility_hook_install(void);

/* Entry points of background workers. */
extern PGDLLEXPORT void workflow_launcher_main(Datum arg);
extern PGDLLEXPORT void workflow_dispatcher_main(Datum database);
extern PGDLLEXPORT void workflow_executor_main(Datum database);

/*
 * The loops of a dispatcher and of an executor. The process is attached (wf_dispatcher_attach, wf_executor_attach) and
 * connected to a database that has the extension; it is outside a transaction, and its session settings are forced. If
 * a loop returns, the process exits with code 0. An error ends it with code 1, and it is started again after a pause
 * that grows.
 */
extern void wf_dispatcher_run(void);
extern void wf_executor_run(void);

/*
 * Is the database of this dispatcher a copy? Asked before the database counts for workflow.databases. If true, the log
 * has been told, and the process should exit.
 */
extern bool wf_dispatcher_in_copy(void);

/* Begin a transaction whose now() is this moment, since no statement of a client sets that in a worker. */
extern void wf_begin_transaction(void);

/* Serve interrupts between two pieces of work. A cancel is dropped, since there is nothing that it could cancel. */
extern void wf_worker_check(void);

/*
 * Serve interrupts, and read the configuration again if it has changed. To be called once in each turn of a loop,
 * outside a transaction. Returns true if settings were read.
 */
extern bool wf_worker_interrupts(void);

#endif
