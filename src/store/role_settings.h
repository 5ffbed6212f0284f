/*
 * role_settings.h
 *		What ALTER ROLE … SET gave a role, for a worker that runs its code.
 */
#ifndef WF_ROLE_SETTINGS_H
#define WF_ROLE_SETTINGS_H

#include "postgres.h"

/*
 * Let the settings of a role hold, those that it has in this database before others, until the caller's GUC nest level ends or the
 * (sub)transaction aborts; but not those that are the worker's own. In workers only, before SetUserIdAndSecContext. What cannot
 * be set, or no longer is a value, is left out.
 */
extern void wf_role_settings_apply(Oid role);

#endif
