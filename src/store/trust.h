/*
 * trust.h
 *		Whose code runs with the rights of the owner of an attached table.
 */
#ifndef WF_TRUST_H
#define WF_TRUST_H

#include "postgres.h"

#include "store/attachment.h"

/*
 * The function by which values of this type, or within it, would be cast to json, if it belongs to a role that may not act as
 * `owner` anyhow; InvalidOid: there is none.
 */
extern Oid	wf_trust_foreign_cast(Oid type, Oid owner);

/*
 * Code of other roles that a write-back of this attachment would run as the table's owner: "function f() of role r", palloc'd;
 * NULL: there is none. Inside wf_store_enter.
 */
extern char *wf_trust_foreign_code(const WfAttachment *attachment);

/*
 * Lock the tables to which foreign keys pass on what is written to a locked one, as that will do, so that they change no more. False if
 * there are none.
 */
extern bool wf_trust_lock_followers(Relation rel);

/* "function f() of role r", palloc'd. */
extern char *wf_trust_function_name(Oid function);

/* Changes whenever an answer above may have become another one, but for changes of the table itself. */
extern uint64 wf_trust_generation(void);

#endif
