/*
 * places.h
 *		How the places of the HTTP client are shared: among the owners of processes, and for each among its servers.
 *
 * A place is one request in flight. The counts are the dispatcher's own memory; no function here touches the database.
 */
#ifndef WF_PLACES_H
#define WF_PLACES_H

#include "postgres.h"

#include "http/http.h"
#include "worker/queue_cursor.h"

/* Make the table of counts, once per process. */
extern void wf_places_init(void);

/* A request of this owner to this server begins (`change` is 1) or ends (-1). */
extern void wf_places_count(WfQueueCursor *cursor, Oid owner, int change);

/* How many places are free, if `taken` requests are about to be sent and not counted by the client yet. */
extern int wf_places_free(WfHttp *http, int taken);

/* How many requests may be sent without looking up their owners. */
extern int wf_places_free_for_all(WfHttp *http);

/*
 * May one more request of this owner go to this server, if `taken` requests are about to be sent? A cancel request may
 * take one of the places that are kept for the owner's other servers.
 */
extern bool wf_places_allow(WfHttp *http, const WfQueueCursor *cursor, Oid owner, bool is_cancel, int taken);

#endif
