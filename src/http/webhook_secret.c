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
#include "mb/pg_wchar.h"
#include "utils/syscache.h"

#include "http/options.h"
#include "http/secret_file.h"
#include "http/server.h"

static HeapTuple
find_mapping(Oid role, Oid serverid)
{
	return SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(serverid));
}

/* As the sender has it, who knows nothing of this database's encoding. */
static char *
in_utf8(const char *secret)
{
	char *utf8 = pg_server_to_any(secret, (int) strlen(secret), PG_UTF8);

	return utf8 != secret ? utf8 : pstrdup(secret);
}

/* From the option itself, or from the file that it names. */
static char *
read_secret(List *options, const char **problem)
{
	const char *secret = wf_option_get(options, "webhook_secret");
	const char *file = wf_option_get(options, "webhook_secret_file");
	char	   *copy;
	const char *why;

	*problem = "there is no option webhook_secret";
	if (secret != NULL)
		return *secret != '\0' ? in_utf8(secret) : NULL;
	if (file == NULL)
		return NULL;
	copy = wf_secret_file_read(file, &why);
	if (copy == NULL)
		*problem = psprintf("the file of option webhook_secret_file %s", why);
	return copy;
}

char *
wf_server_webhook_secret(const WfServer *server, Oid role, const char **problem)
{
	HeapTuple tuple = find_mapping(role, server->serverid);
	List	 *list = NIL;
	Datum	  options;
	bool	  isnull;

	if (!HeapTupleIsValid(tuple))
		tuple = find_mapping(InvalidOid, server->serverid);
	*problem = "there is no user mapping";
	if (!HeapTupleIsValid(tuple))
		return NULL;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		list = untransformRelOptions(options);
	ReleaseSysCache(tuple);
	return read_secret(list, problem);
}
