/*
 * guard.h
 *		Run a piece of PostgreSQL code and get what a user's content makes it throw as a value.
 */
#ifndef WF_GUARD_H
#define WF_GUARD_H

#include "postgres.h"

typedef void (*WfGuarded) (void *arg);

/*
 * True if work(arg) came to its end. Otherwise *message (in CurrentMemoryContext) says why. Only errors that data or
 * text can cause are caught; cancel, termination and out of memory pass through. `work` must hold nothing that an
 * abort would have to release: no locks, no open relations, no SPI.
 */
extern bool wf_guard_run(WfGuarded work, void *arg, const char **message);

#endif
