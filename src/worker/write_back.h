/*
 * write_back.h
 *		What an attached row shows of its instance, written by an executor.
 */
#ifndef WF_WRITE_BACK_H
#define WF_WRITE_BACK_H

#include "postgres.h"

/*
 * Bring the row that started this instance up to date, within a transaction, outside wf_store_enter. Throws nothing that the
 * table's triggers and constraints can cause: that is a WARNING; what may work later is delivered again.
 */
extern void wf_write_back(int64 instance);

/* Is the change that a trigger sees now one of ours? */
extern bool wf_write_back_active(void);

#endif
