/*
 * token.h
 *		Tokens of OAuth 2.0: each user mapping has one, which all of its requests share.
 *
 * A request that needs a token which is not there waits: its visit is in flight, without a request
 * and without a place of its server, until the token has come, or could not be had. Rows of the
 * same owner at the same server are passed over meanwhile. Tokens are in the memory of the
 * dispatcher alone.
 */
#ifndef WF_TOKEN_H
#define WF_TOKEN_H

#include "postgres.h"

#include "http/server.h"
#include "worker/dispatcher_internal.h"

/* Once per process. */
extern void wf_tokens_init(void);

/*
 * Add to the request of a visit, which wf_server_prepare has completed, the token that `owner`
 * needs at the server, if he needs any. Returns false if the visit has to wait for it. To be called
 * in a transaction; memory of the request is in CurrentMemoryContext.
 */
extern bool wf_token_add(WfQueueCursor *cursor, const WfServer *server, Oid owner, WfHttpRequest *request);

/* Send the requests for tokens that wf_token_add has made. */
extern void wf_tokens_send(WfHttp *http);

/* Have rows of some owner to be passed over at the server of this cursor? Of this owner? */
extern bool wf_tokens_hold_any(const WfQueueCursor *cursor);
extern bool wf_tokens_hold(const WfQueueCursor *cursor, Oid owner);

/*
 * Is this the tag of a request for a token? Then its reply is for wf_token_take, which copies what it needs, and stores a
 * refresh token that is new: outside a transaction.
 */
static inline bool
wf_is_token_tag(uint64 tag)
{
	return (tag & UINT64CONST(0x8000000000000000)) != 0;
}
extern void wf_token_take(const WfHttpReply *reply);

/*
 * The service has answered the request of a visit, which had the token of that number. Returns true
 * if it has rejected the token, and the request is to be sent again with another one.
 */
extern bool wf_token_rejected(int64 visit, uint64 token, const WfHttpReply *reply);

/* Do what has become due: store refresh tokens that could not be stored, and let visits go on. */
extern void wf_tokens_run(void);
/*
 * Write to `jobs`, which has room for `max`, those that make attempts fail for which there is no token. Returns how many;
 * to be called until there are none.
 */
extern int wf_tokens_failed(WfJob *jobs, int max);
/* When that is due next; WF_NEVER: when a reply has come. */
extern TimestampTz wf_tokens_next(void);

#endif
