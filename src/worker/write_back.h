/*
 * write_back.h
 *		What an attached row shows of its instance, written by an executor.
 */
#ifndef WF_WRITE_BACK_H
#define WF_WRITE_BACK_H

#include "postgres.h"

#include "store/due.h"

/*
 * Bring the row that started this instance up to date, within a transaction that has locked the delivery, outside wf_store_enter. Throws
 * nothing that the table's triggers and constraints can cause: the delivery then stays, to be tried again later; else it is deleted.
 * `stubborn`: the last try made an executor end, so this one fails untried.
 */
extern void wf_write_back(const WfDelivery *delivery, bool stubborn);

#endif
