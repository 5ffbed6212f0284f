/*
 * request.h
 *		The request that a visit makes, up to what its server adds: credentials.
 */
#ifndef WF_REQUEST_H
#define WF_REQUEST_H

#include "postgres.h"

#include "engine/action.h"
#include "http/server.h"

/*
 * In CurrentMemoryContext, of a visit of a step with "http": the next one, that of its cancelling, the one with which an incident would
 * begin anew, or the one that was answered. Needs a transaction. Headers are a List of WfHttpHeader *, for wf_server_prepare. False with
 * *fault if it cannot be made.
 */
extern bool wf_request_make(WfVisit *visit, const WfServer *server, WfHttpRequest *request, List **headers, WfFault *fault);

/* The name of the server that it goes to; NULL with *fault if there is none. */
extern const char *wf_request_server(WfBatch *batch, WfVisit *visit, WfFault *fault);

/* {method, url, headers, body}, as wf_request_make has made it, without credentials and cookies. */
extern Jsonb *wf_request_jsonb(const WfVisit *visit, const WfHttpRequest *request, List *headers);

#endif
