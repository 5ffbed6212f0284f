/*
 * erase.h
 *		What an ended instance has left behind, all of it.
 */
#ifndef WF_ERASE_H
#define WF_ERASE_H

#include "postgres.h"

/*
 * Inside wf_store_enter: delete an instance that has ended from the history, with its visits, its attempts, what came late, and what is
 * still owed to its row. False: somebody else has erased it meanwhile.
 */
extern bool wf_erase_instance(int64 instance);

#endif
