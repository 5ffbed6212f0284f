/*
 * session_user.c
 *		Whom a worker's session speaks for while it runs users' code.
 *
 * A function with its owner's rights cannot ask current_user who calls it, so it asks session_user. In a worker that
 * would be the superuser that the worker was started as.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "store/session_user.h"

/* A worker's session user has no name at first, and so could not be restored. Outlives the transaction, as it was given at its start. */
static void
name_session_user(void)
{
	static bool named = false;

	if (named)
		return;
	SetConfigOption("session_authorization", GetUserNameFromId(GetSessionUserId(), false), PGC_SUSET,
					PGC_S_OVERRIDE);
	named = true;
}

void
wf_session_user_set(Oid role)
{
	name_session_user();
	(void) set_config_option("session_authorization", GetUserNameFromId(role, false), PGC_SUSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}
