/*
 * token_request.h
 *		What is asked of a token service, and what it answers.
 */
#ifndef WF_TOKEN_REQUEST_H
#define WF_TOKEN_REQUEST_H

#include "postgres.h"

#include "http/server.h"

/*
 * Make the request for a token, in CurrentMemoryContext. `refresh_token` may be newer than that of
 * the grant; NULL: there is none. Returns false with *fault if a file cannot be read. Needs a
 * transaction.
 */
extern bool wf_token_request(const WfServer *server, Oid owner, const WfGrant *grant, const char *refresh_token,
							 WfHttpRequest *request, WfFault *fault);

typedef struct WfTokenAnswer
{
	const char *access_token;  /* NULL: there is none, and `fault` says why */
	const char *refresh_token; /* a new one, or NULL */
	double		expires_in;	   /* seconds; -1: it does not say */
	WfFault		fault;
	bool		retryable;
	int			retry_after_ms;
} WfTokenAnswer;

/* Read what the token service has answered, in CurrentMemoryContext. No secret gets into the fault. */
extern void wf_token_answer(const WfHttpReply *reply, WfTokenAnswer *answer);

#endif
