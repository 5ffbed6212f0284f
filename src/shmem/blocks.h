/*
 * blocks.h
 *		Statements on whole databases: they stop the workers, and tell the launcher what they changed.
 */
#ifndef WF_BLOCKS_H
#define WF_BLOCKS_H

#include "postgres.h"

/*
 * Stop the workers of a database and let none start until this transaction has ended. Waits, with
 * interrupts served, until they are gone, but no longer than a few seconds: then the statement
 * itself will say that the database is in use.
 */
extern void wf_database_block(Oid database);
/* The database has a dispatcher that has found the extension, and stays. */
extern bool wf_database_is_served(Oid database);
/*
 * Requests to the launcher, made at the end of this transaction. _scan: read the list of databases
 * again. _probe: look for the extension in this database, and stop its workers. _look: find out
 * whether this database needs workers; running ones are not disturbed.
 */
extern void wf_launcher_request_scan(void);
extern void wf_launcher_request_probe(void);
extern void wf_launcher_request_look(void);

#endif
