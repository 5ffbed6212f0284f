/*
 * token_store.h
 *		A refresh token that the token service has replaced, in its user mapping.
 */
#ifndef WF_TOKEN_STORE_H
#define WF_TOKEN_STORE_H

#include "postgres.h"

#include "http/server.h"

typedef enum WfTokenStored
{
	WF_TOKEN_STORED,
	WF_TOKEN_GONE,	  /* the mapping is not as it was any more, so that it is left alone */
	WF_TOKEN_UNSTORED /* it could not be stored now, which was logged */
} WfTokenStored;

/*
 * Replace the refresh token in the user mapping of the grant, if that still has the one of the grant. It is durable
 * then. To be called outside a transaction; throws nothing.
 */
extern WfTokenStored wf_token_store(const WfGrant *grant, const char *refresh_token);

#endif
