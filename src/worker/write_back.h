/*
 * write_back.h
 *		Write-backs: an executor writes to an attached row what it shows of its instance.
 */
#ifndef WF_WRITE_BACK_H
#define WF_WRITE_BACK_H

#include "postgres.h"

#include "store/delivery.h"

/*
 * Bring the row that has started this instance up to date. To be called outside wf_store_enter, in a transaction that
 * has locked the delivery. The delivery is deleted if that works, and otherwise postponed. Errors that the table's
 * triggers and constraints can cause are not thrown. Unless `spared` is WF_SPARED_NOT, the write-back fails untried.
 * Returns whether the row shows what it should, or there is none.
 */
typedef enum WfSpared
{
	WF_SPARED_NOT,
	WF_SPARED_UNCANCELLABLE, /* it was uncancellable, and an executor had to end */
	WF_SPARED_DEADLY,		 /* the server has died of it; it is tried again only when somebody asks for that */
} WfSpared;
extern bool wf_write_back(const WfDelivery *delivery, WfSpared spared);

/*
 * The same beside others in a transaction. Unless it returns true, the caller rolls back what it has done, and it is tried again
 * alone: nothing is postponed.
 */
extern bool wf_write_back_beside(const WfDelivery *delivery);

/*
 * The same in the session of a client, for `owner`, who was the owner of the table: the client keeps its session user, advisory
 * locks, sequences and cursors, and a cancel is thrown. Returns the SQLSTATE with which it has failed; 0: it has not.
 */
extern int wf_write_back_play(const WfDelivery *delivery, Oid owner);

#endif
