/*
 * zone.h
 *		Read times as the author of a process means them, whichever session moves the token.
 */
#ifndef WF_ZONE_H
#define WF_ZONE_H

#include "postgres.h"

/*
 * Until wf_zone_leave: this TimeZone, dates as ISO or month first, intervals as PostgreSQL writes
 * them. What wf_zone_enter returns has to be given to wf_zone_leave, also after an error that is
 * caught.
 */
extern int	wf_zone_enter(const char *timezone);
extern void wf_zone_leave(int level);

#endif
