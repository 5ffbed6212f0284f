/*
 * write_back.h
 *		What an attached row shows of its instance, written by an executor.
 */
#ifndef WF_WRITE_BACK_H
#define WF_WRITE_BACK_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Bring the row that started this instance up to date, within a transaction that has locked the delivery, outside wf_store_enter. Throws
 * nothing that the table's triggers and constraints can cause: the delivery then stays, to be tried again later; else it is deleted.
 * What is `spared` fails untried.
 */
typedef enum WfSpared
{
	WF_SPARED_NOT,
	WF_SPARED_UNCANCELLABLE, /* the last try made an executor end */
	WF_SPARED_DEADLY,		 /* the server has died of it; it is tried again when somebody asks for that */
} WfSpared;
extern void wf_write_back(const WfDelivery *delivery, WfSpared spared);

#endif
