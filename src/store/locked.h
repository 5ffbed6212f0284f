/*
 * locked.h
 *		Whether somebody holds an instance.
 */
#ifndef WF_LOCKED_H
#define WF_LOCKED_H

#include "postgres.h"

/* Has an open transaction, this one perhaps, locked the row of a living instance so that no worker could? Inside wf_store_enter. */
extern bool wf_instance_is_locked(int64 instance);

#endif
