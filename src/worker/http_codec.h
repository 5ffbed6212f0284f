/*
 * http_codec.h
 *		Between a visit and a request: the request that a visit makes, the answer that a reply is.
 */
#ifndef WF_HTTP_CODEC_H
#define WF_HTTP_CODEC_H

#include "postgres.h"

#include "engine/engine.h"
#include "http/http.h"
#include "http/server.h"

/* Build the request of a visit, in CurrentMemoryContext. Needs a transaction. False with *fault if it may not be sent. */
extern bool wf_http_request(WfVisit *visit, const WfServer *server, Oid owner, WfHttpRequest *request, WfFault *fault);

/* Read a reply, in CurrentMemoryContext. Never fails: what cannot be read is a fault in the answer. */
extern void wf_http_answer(const WfHttpReply *reply, WfAnswer *answer);

/* An answer as a row can hold it, and back. */
extern Jsonb *wf_http_encode(const WfAnswer *answer);
extern void	  wf_http_decode(Jsonb *packed, WfAnswer *answer);

#endif
