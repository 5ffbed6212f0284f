/*
 * session_user.c
 *		The session user of a worker while it runs users' code.
 *
 * A SECURITY DEFINER function cannot learn from current_user who calls it, so it asks session_user.
 * In a worker that would be the superuser as which the worker was started.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "store/session_user.h"

/*
 * Give the worker's session user its name. At first it has none, and so could not be restored. The
 * name must outlive the transaction, like the one given at the start.
 */
static void
name_session_user(void)
{
	static bool named = false;

	if (named)
		return;
	SetConfigOption("session_authorization", GetUserNameFromId(GetSessionUserId(), false), PGC_SUSET, PGC_S_OVERRIDE);
	named = true;
}

void
wf_session_user_set(Oid role)
{
	name_session_user();
	(void) set_config_option("session_authorization", GetUserNameFromId(role, false), PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}
