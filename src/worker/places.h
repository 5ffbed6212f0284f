/*
 * places.h
 *		How the places of the HTTP client are shared: by the owners of processes, and by each among his servers.
 */
#ifndef WF_PLACES_H
#define WF_PLACES_H

#include "postgres.h"

#include "http/http.h"
#include "worker/queue_cursor.h"

extern void wf_places_init(void);

/* A request of an owner's process is under way to a server, 1, or no more, -1. */
extern void wf_places_count(WfQueueCursor *cursor, Oid owner, int change);

/* Places that are free, `taken` of them not any more: by requests that are about to be sent. */
extern int wf_places_free(WfHttp *http, int taken);

/* How many requests may be sent without asking whose they are. */
extern int wf_places_free_for_all(WfHttp *http);

/* May one more request of an owner go to a server? A cancel request may take the places that are kept for his other servers. */
extern bool wf_places_allow(WfHttp *http, const WfQueueCursor *cursor, Oid owner, bool is_cancel, int taken);

#endif
