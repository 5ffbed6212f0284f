/*
 * role_settings.h
 *		What ALTER ROLE … SET gave a role, for a worker that runs its code.
 */
#ifndef WF_ROLE_SETTINGS_H
#define WF_ROLE_SETTINGS_H

#include "postgres.h"

/*
 * Apply the settings of a role, those for this database before others, until the caller's GUC nest
 * level ends or the (sub)transaction aborts. Settings that belong to the worker are skipped, and so
 * are values that cannot be set or are no longer valid. For workers only, before
 * SetUserIdAndSecContext.
 */
extern void wf_role_settings_apply(Oid role);

#endif
