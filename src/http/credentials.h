/*
 * credentials.h
 *		From a user mapping to what carries its secret: a header, a parameter of the query, a client
 *		certificate, a signature; or how a token is got.
 */
#ifndef WF_CREDENTIALS_H
#define WF_CREDENTIALS_H

#include "postgres.h"

#include "http/grant.h"
#include "http/http.h"
#include "nodes/parsenodes.h"

typedef struct WfCredentials
{
	/* the header with the secret; its name is NULL if there is none */
	WfHttpHeader header;
	/* a second header of sigv4, the session token; its name is NULL if there is none */
	WfHttpHeader session;
	/* name and value of a parameter of the query, encoded; the name is NULL if there is none */
	WfHttpHeader query;
	/* the header of a call that is passed on; NULL: none is */
	const char	  *passed_on;
	const char	  *proxy_user; /* NULL: there is none */
	const char	  *proxy_password;
	bool		   has_identity;
	bool		   has_grant;
	WfHttpIdentity identity;
	WfGrant		   grant;
	/* Options some of which name files: what is above is read anew, from these, at each use. */
	List	   *files;
	const char *problem; /* why the mapping cannot be used, without secrets; NULL if it can */
	const char *hint;
	bool		unread; /* the problem is that of a file, which may be over soon */
} WfCredentials;

/*
 * Read the options (a List of DefElem) of a user mapping into *credentials, allocated in
 * CurrentMemoryContext. The files that they name are read only if `with_files`, which needs a
 * transaction. False if the mapping cannot be used: then `problem` says why. Throws nothing but
 * that there is no memory.
 */
extern bool wf_credentials_read(List *options, bool with_files, WfCredentials *credentials);

/* The value of a header Authorization. */
extern char *wf_credentials_basic(const char *user, const char *password);

/* Does an option of this name hold the path of a file? */
extern bool wf_credentials_is_file(const char *name);

/*
 * The credentials of `role` at a server, allocated in CurrentMemoryContext: from the role's own
 * user mapping, else from that of PUBLIC, else none. Files are not read yet. Needs a transaction.
 */
extern void wf_credentials_look_up(Oid role, Oid serverid, WfCredentials *credentials);

#endif
