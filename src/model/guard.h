/*
 * guard.h
 *		Run a piece of PostgreSQL code, and turn an error that a user's content causes into a value.
 */
#ifndef WF_GUARD_H
#define WF_GUARD_H

#include "postgres.h"

typedef void (*WfGuarded)(void *arg);

/*
 * Run work(arg). Returns true if it came to its end; otherwise *message (in CurrentMemoryContext)
 * says why not. Only errors that data or text can cause are caught; cancel, termination and out of
 * memory pass through. `work` must hold nothing that an abort would have to release: no locks, no
 * open relations, no SPI.
 */
extern bool wf_guard_run(WfGuarded work, void *arg, const char **message);

#endif
