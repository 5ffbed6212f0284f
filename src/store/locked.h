/*
 * locked.h
 *		Whether an instance is locked.
 */
#ifndef WF_LOCKED_H
#define WF_LOCKED_H

#include "postgres.h"

/*
 * Has an open transaction, perhaps this one, locked the row of a living instance in a way that
 * keeps workers from locking it? To be called inside wf_store_enter.
 */
extern bool wf_instance_is_locked(int64 instance);
/* The same without this transaction. */
extern bool wf_instance_is_locked_by_others(int64 instance);

#endif
