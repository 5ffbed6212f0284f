/*
 * http_codec.h
 *		The HTTP codec: makes the request of a visit, and reads a reply as the answer to its action.
 */
#ifndef WF_HTTP_CODEC_H
#define WF_HTTP_CODEC_H

#include "postgres.h"

#include "engine/engine.h"
#include "http/http.h"
#include "http/server.h"

/*
 * Make the request of a visit, in CurrentMemoryContext, with the credentials of `owner`, who owns the process. To be
 * called in a transaction, with what is kept for the visit read (store/kept_headers.h). Returns false with *fault if there is no such request, or it may not be sent.
 */
extern bool wf_http_request(WfVisit *visit, const WfServer *server, Oid owner, WfHttpRequest *request, WfFault *fault);

/*
 * Read a reply into *answer, in CurrentMemoryContext. A reply that is no success, or that cannot be read, is a fault in
 * the answer. Throws only if there is no memory, or jsonb cannot hold the reply.
 */
extern void wf_http_answer(const WfHttpReply *reply, WfAnswer *answer);

/* Is a status one that may be another one soon? */
extern bool wf_http_is_retryable(int status);
/* The pause that Retry-After asks for, in milliseconds; 0: none. */
extern int wf_http_retry_after_ms(const WfHttpReply *reply);

/*
 * Encode an answer as jsonb for a delivery, and decode it. When the attempt began, and what was lacking, is not kept.
 */
extern Jsonb *wf_http_encode(const WfAnswer *answer);
extern void	  wf_http_decode(Jsonb *packed, WfAnswer *answer);

#endif
