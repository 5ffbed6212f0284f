/*
 * request.h
 *		The request of a visit, but for what its server adds: credentials.
 */
#ifndef WF_REQUEST_H
#define WF_REQUEST_H

#include "postgres.h"

#include "engine/action.h"
#include "http/server.h"

/*
 * Make the request of a visit at a step with "http", in CurrentMemoryContext: the next one, the
 * cancel request, the one with which an incident would begin again, or the one that was answered.
 * *headers is a List of WfHttpHeader *, for wf_server_prepare. Returns false with *fault if it
 * cannot be made. Needs a transaction.
 */
extern bool wf_request_make(WfVisit *visit, const WfServer *server, WfHttpRequest *request, List **headers,
							WfFault *fault);

/* The name of the server to which the request goes; NULL with *fault if there is none. */
extern const char *wf_request_server(WfBatch *batch, WfVisit *visit, WfFault *fault);

/*
 * A request of wf_request_make as {method, url, headers, body}, without credentials and cookies; with `encoding` if the
 * body is no text.
 */
extern Jsonb *wf_request_jsonb(const WfVisit *visit, const WfHttpRequest *request, List *headers);

#endif
