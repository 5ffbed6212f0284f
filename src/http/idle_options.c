/*
 * idle_options.c
 *		Options of servers and user mappings that have no effect beside the others.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/xact.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "utils/syscache.h"

#include "http/idle_options.h"
#include "http/options.h"
#include "http/retry_options.h"

#define NO_TLS "the url does not begin with https://"

static bool
is_https(const char *url)
{
	return pg_strncasecmp(url, "https:", 6) == 0;
}

static void
warn(List *options, const char *name, const char *why, const char *hint)
{
	if (wf_option_get(options, name) != NULL)
		ereport(WARNING, (errcode(ERRCODE_WARNING), errmsg("option \"%s\" has no effect: %s", name, why),
						  hint != NULL ? errhint("%s", hint) : 0));
}

void
wf_idle_options_of_server(List *options, const WfServer *server)
{
	bool	  no_tls = !is_https(wf_option_get(options, "url")) && server->follow_redirects == 0;
	ListCell *cell;

	if (server->rate == 0)
		warn(options, "burst", "there is no option \"rate\"",
			 "It is how many requests may go out at once of those that the rate allows.");
	if (no_tls)
		warn(options, "ca", NO_TLS, NULL);
	if (no_tls && !server->verify)
		warn(options, "verify", NO_TLS, NULL);
	foreach (cell, options)
	{
		const char *name = ((DefElem *) lfirst(cell))->defname;

		if (!server->retry.given && wf_is_retry_option(name))
			warn(options, name, "there is no option \"retry_max\"", NULL);
	}
}

static List *
options_of_mapping(Oid server, Oid role)
{
	HeapTuple tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(server));
	List	 *list = NIL;
	Datum	  options;
	bool	  isnull;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		list = untransformRelOptions(options);
	ReleaseSysCache(tuple);
	return list;
}

/* With oauth2, the certificate is shown to the token service as well. */
void
wf_idle_options_of_mapping(const char *server_name, Oid role)
{
	ForeignServer	   *server = GetForeignServerByName(server_name, true);
	ForeignDataWrapper *wrapper = server != NULL ? GetForeignDataWrapper(server->fdwid) : NULL;
	const char		   *url = server != NULL ? wf_option_get(server->options, "url") : NULL;
	List			   *options;
	const char		   *auth;

	if (url == NULL || strcmp(wrapper->fdwname, WF_FDW_NAME) != 0 || is_https(url))
		return;
	CommandCounterIncrement();
	options = options_of_mapping(server->serverid, role);
	auth = wf_option_get(options, "auth");
	if (auth == NULL || strcmp(auth, "oauth2") != 0)
		warn(options, "cert", "the url of the server does not begin with https://", NULL);
}
