/*
 * announce.h
 *		What monitoring is told by NOTIFY.
 */
#ifndef WF_ANNOUNCE_H
#define WF_ANNOUNCE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* What is 0 or NULL is left out. No texts of errors and no data: whoever is connected may listen. */
typedef struct WfAnnouncement
{
	const char *event;
	const char *process;
	const char *step;
	const char *server;
	int64		count;
	const char *const *serial_numbers;
	int			nserial_numbers;
	TimestampTz since;
} WfAnnouncement;

/* At the end of this transaction, on channel `workflow`. */
extern void wf_announce(const WfAnnouncement *announcement);

#endif
