/*
 * session_user.h
 *		Whom a worker's session speaks for while it runs users' code.
 */
#ifndef WF_SESSION_USER_H
#define WF_SESSION_USER_H

#include "postgres.h"

/*
 * session_user is `role`, and is_superuser what that role is, until the caller's GUC nest level ends or the (sub)transaction
 * aborts. In workers only, before SetUserIdAndSecContext: PostgreSQL refuses it in a restricted operation.
 */
extern void wf_session_user_set(Oid role);

#endif
