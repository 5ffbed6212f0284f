/*
 * session_user.h
 *		The session user of a worker while it runs users' code.
 */
#ifndef WF_SESSION_USER_H
#define WF_SESSION_USER_H

#include "postgres.h"

/*
 * Make `role` the session_user, with its is_superuser, until the caller's GUC nest level ends or
 * the (sub)transaction aborts. For workers only, before SetUserIdAndSecContext: PostgreSQL refuses
 * it in a restricted operation.
 */
extern void wf_session_user_set(Oid role);

#endif
