/*
 * trust.h
 *		Whose code runs with the rights of the owner of an attached table.
 */
#ifndef WF_TRUST_H
#define WF_TRUST_H

#include "postgres.h"

#include "store/attachment.h"

/*
 * The function by which values of this type, or values within them, would be cast to json, if it
 * belongs to a role that may not act as `owner` anyhow; else InvalidOid.
 */
extern Oid wf_trust_foreign_cast(Oid type, Oid owner);

/*
 * Code of other roles that a write-back of this attachment would run as the table's owner, such as
 * "function f() of role r", palloc'd; NULL if there is none. To be called inside wf_store_enter.
 */
extern char *wf_trust_foreign_code(const WfAttachment *attachment);

/*
 * Lock the tables to which foreign keys pass on what is written to a locked one, in the mode of
 * that writing, so that they cannot change any more. Returns false if there are none.
 */
extern bool wf_trust_lock_followers(Relation rel);

/* The text "function f() of role r" for messages, palloc'd. */
extern char *wf_trust_function_name(Oid function);

/*
 * A number that changes whenever an answer of the functions above may have changed, except by
 * changes of the table itself.
 */
extern uint64 wf_trust_generation(void);

#endif
