/*
 * zone.c
 *		Read times the way the author of a process means them, whoever's session moves the token.
 *
 * The settings are kept on PostgreSQL's own stack for function settings, so an error that aborts the transaction takes
 * them back too.
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
	int			level = NewGUCNestLevel();

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
