/*
 * zone.c
 *		Read times as the author of a process means them, whichever session moves the token.
 *
 * The settings are on PostgreSQL's own stack for settings of functions, so an error that aborts the
 * transaction restores them too.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "model/zone.h"

static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

int
wf_zone_enter(const char *timezone)
{
	int level = NewGUCNestLevel();

	set("timezone", timezone);
	set("datestyle", "ISO, MDY");
	set("intervalstyle", "postgres");
	return level;
}

void
wf_zone_leave(int level)
{
	AtEOXact_GUC(false, level);
}
