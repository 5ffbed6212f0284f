/*
 * credentials.h
 *		From a user mapping to the header that carries its secret.
 */
#ifndef WF_CREDENTIALS_H
#define WF_CREDENTIALS_H

#include "postgres.h"

#include "http/http.h"
#include "nodes/parsenodes.h"

typedef struct WfCredentials
{
	/* the header with the secret; its name is NULL if the server needs none */
	WfHttpHeader header;
	const char	*problem; /* why the mapping cannot be used, without secrets; NULL if it can */
	const char	*hint;
} WfCredentials;

/*
 * Read the options (a List of DefElem) of a user mapping into *credentials, allocated in
 * CurrentMemoryContext. False if the mapping cannot be used: then `problem` says why. Throws
 * nothing.
 */
extern bool wf_credentials_read(List *options, WfCredentials *credentials);

/*
 * The credentials of `role` at a server, allocated in CurrentMemoryContext: from the role's own
 * user mapping, else from that of PUBLIC, else none. Needs a transaction.
 */
extern void wf_credentials_look_up(Oid role, Oid serverid, WfCredentials *credentials);

#endif
