/*
 * zone.h
 *		Read times the way the author of a process means them, whoever's session moves the token.
 */
#ifndef WF_ZONE_H
#define WF_ZONE_H

#include "postgres.h"

/*
 * Until wf_zone_leave: this TimeZone, dates as ISO or month first, intervals as PostgreSQL writes them. Give what this
 * returns to wf_zone_leave, after an error that is caught too.
 */
extern int	wf_zone_enter(const char *timezone);
extern void wf_zone_leave(int level);

#endif
