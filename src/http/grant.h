/*
 * grant.h
 *		How a user mapping gets its tokens by OAuth 2.0.
 */
#ifndef WF_GRANT_H
#define WF_GRANT_H

#include "postgres.h"

/* How many strings a grant has. */
#define WF_GRANT_STRINGS 8

/* The options of a user mapping with auth = oauth2; those that are not given are NULL. */
typedef struct WfGrant
{
	Oid			mapping; /* the user mapping */
	const char *token_url;
	const char *client_id;
	const char *client_secret;
	const char *client_secret_file;
	const char *refresh_token;
	const char *scope;
	const char *audience;
	const char *token_ca;
	bool		in_body;			 /* who the client is stands in the body, and not in a header */
	bool		token_allow_private; /* the token service may have an address that is not public */
} WfGrant;

#endif
