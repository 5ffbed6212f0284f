/*
 * worker.h
 *		The processes: launcher, dispatcher, executor; and the hooks that tell them of statements.
 */
#ifndef WF_WORKER_H
#define WF_WORKER_H

#include "postgres.h"

#include "fmgr.h"

/* From _PG_init while preloading. */
extern void wf_launcher_register(void);
extern void wf_utility_hook_install(void);

/* Entry points of background workers. */
extern PGDLLEXPORT void workflow_launcher_main(Datum arg);
extern PGDLLEXPORT void workflow_dispatcher_main(Datum database);
extern PGDLLEXPORT void workflow_executor_main(Datum database);

/*
 * The loops. They begin connected to their database, outside a transaction, with the extension there and the session
 * settings forced; wf_dispatcher_attach or wf_executor_attach was called. Returning ends the process quietly; an
 * error ends it with exit code 1, after which it is started again, with a growing pause.
 */
extern void wf_dispatcher_run(void);
extern void wf_executor_run(void);

/* Before the dispatcher counts for workflow.databases: is its database a copy? Then it has been said, and it should go. */
extern bool wf_dispatcher_in_copy(void);

/* Begin a transaction of this moment: now() in it does not stand still at the start of the process. */
extern void wf_begin_transaction(void);

/* Serve interrupts. A cancel is for work: between two pieces of it, there is nothing to be cancelled. */
extern void wf_worker_check(void);

/* Serve interrupts and a changed configuration: once a turn of a loop, outside a transaction. True if settings were read. */
extern bool wf_worker_interrupts(void);

#endif
