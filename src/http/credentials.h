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
	WfHttpHeader header;  /* name NULL: none is needed */
	const char *problem; /* the mapping cannot be used: why, without secrets; NULL: it can */
	const char *hint;
} WfCredentials;

/* Read the options (DefElem) of a user mapping. Memory is in CurrentMemoryContext. False if there is a problem. */
extern bool wf_credentials_read(List *options, WfCredentials *credentials);

/* Those of `role` at a server: its own mapping's, else PUBLIC's, else none. Needs a transaction. */
extern void wf_credentials_look_up(Oid role, Oid serverid, WfCredentials *credentials);

#endif
