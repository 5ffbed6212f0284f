/*
 * webhook_secret.c
 *		What webhooks of a server are signed with.
 *
 * It is looked up at each use, and kept nowhere: webhooks are few, beside requests.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_user_mapping.h"
#include "utils/syscache.h"

#include "http/options.h"
#include "http/server.h"

static HeapTuple
find_mapping(Oid role, Oid serverid)
{
	return SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(serverid));
}

char *
wf_server_webhook_secret(const WfServer *server, Oid role)
{
	HeapTuple	tuple = find_mapping(role, server->serverid);
	const char *secret = NULL;
	char	   *copy = NULL;
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		tuple = find_mapping(InvalidOid, server->serverid);
	if (!HeapTupleIsValid(tuple))
		return NULL;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		secret = wf_option_get(untransformRelOptions(options), "webhook_secret");
	if (secret != NULL && *secret != '\0')
		copy = pstrdup(secret);
	ReleaseSysCache(tuple);
	return copy;
}
