/*
 * validator.c
 *		workflow.http_validator: checks the options of the wrapper workflow_http, its servers and
 *		user mappings.
 *
 * PostgreSQL calls it with the whole list of options that would result, at CREATE and at ALTER, and
 * says neither which object it is nor what options it had before. So an option that only a
 * superuser may set must be told from one that a superuser has set before and that the owner merely
 * leaves in place: a privileged option passes if the current user already owns a server with the
 * same url and the same value of it. Nobody reaches more by that than before: changing the url of a
 * server with allow_private needs a superuser, changing its timeout does not. To follow redirects
 * leads elsewhere than to the url, so it needs one, too, where that may be private or is not verified.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "compat.h"
#include "http/credentials.h"
#include "http/idle_options.h"
#include "http/options.h"
#include "http/server_options.h"
#include "http/url.h"

PG_FUNCTION_INFO_V1(workflow_http_validator);

static const char *const mapping_options[] = {"auth",
											  "user",
											  "password",
											  "password_file",
											  "token",
											  "token_file",
											  "name",
											  "value",
											  "value_file",
											  "session_token",
											  "session_token_file",
											  "scope",
											  "cert",
											  "key",
											  "key_password",
											  "key_password_file",
											  "token_url",
											  "client_id",
											  "client_secret",
											  "client_secret_file",
											  "refresh_token",
											  "audience",
											  "client_auth",
											  "token_ca",
											  "token_allow_private",
											  "proxy_user",
											  "proxy_password",
											  "proxy_password_file",
											  "webhook_secret",
											  "webhook_secret_file"};

/* ---- names ---- */

/* The name of the i-th option of a server or a user mapping, or NULL if there are no more. */
static const char *
option_name(Oid catalog, int i)
{
	if (catalog == ForeignServerRelationId)
		return wf_server_option_name(i);
	return catalog == UserMappingRelationId && i < lengthof(mapping_options) ? mapping_options[i] : NULL;
}

static bool
is_option(const char *name, Oid catalog)
{
	const char *other;

	for (int i = 0; (other = option_name(catalog, i)) != NULL; i++)
	{
		if (strcmp(other, name) == 0)
			return true;
	}
	return false;
}

/* A hint that lists all valid names, and first the one that was probably meant. */
static char *
names_hint(const char *name, Oid catalog)
{
	StringInfoData valid;
	const char	  *nearest = NULL;
	const char	  *other;
	int			   best = 4;

	initStringInfo(&valid);
	for (int i = 0; (other = option_name(catalog, i)) != NULL; i++)
	{
		int distance;

		appendStringInfo(&valid, "%s%s", valid.len ? ", " : "", other);
		/* varstr_levenshtein throws for longer names */
		if (strlen(name) >= NAMEDATALEN)
			continue;
		distance = varstr_levenshtein_less_equal(name, strlen(name), other, strlen(other), 1, 1, 1, best, true);
		if (distance < best && distance <= strlen(name) / 2)
		{
			best = distance;
			nearest = other;
		}
	}
	if (valid.len == 0)
		return pstrdup("There are no valid options in this context.");
	if (nearest != NULL)
		return psprintf("Perhaps you meant the option \"%s\". Valid options are: %s.", nearest, valid.data);
	return psprintf("Valid options are: %s.", valid.data);
}

/* Does the name look like that of a secret? Options of a server can be read by everyone. */
static bool
looks_secret(const char *name)
{
	static const char *const words[] = {"password", "passwd",	  "token",	"secret",		"api_key",
										"apikey",	"credential", "bearer", "authorization"};

	if (is_option(name, UserMappingRelationId))
		return true;
	for (int i = 0; i < lengthof(words); i++)
	{
		if (strstr(name, words[i]) != NULL)
			return true;
	}
	return false;
}

static void
check_names(List *options, Oid catalog)
{
	ListCell *cell;

	foreach (cell, options)
	{
		const char *name = ((DefElem *) lfirst(cell))->defname;

		if (is_option(name, catalog))
			continue;
		if (catalog == ForeignServerRelationId && looks_secret(name))
			ereport(
				ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
				 errdetail("Options of a server are visible to everyone, so it holds no credentials."),
				 errhint(
					 "Put credentials into a user mapping: CREATE USER MAPPING FOR ... SERVER ... OPTIONS (auth 'bearer', token '...').")));
		if (catalog == UserMappingRelationId && is_option(name, ForeignServerRelationId))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
							errhint("It is an option of the server: ALTER SERVER ... OPTIONS (...).")));
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
						errhint("%s", names_hint(name, catalog))));
	}
}

/* ---- servers ---- */

static void
check_url_option(const char *text)
{
	WfUrl		url;
	const char *problem = wf_url_parse(text, &url);

	if (problem == NULL && !url.bare)
		problem = "has a query or a fragment";
	/* the message does not show the value, which may hold a password */
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid value for option \"url\""),
				 errdetail("The URL %s.", problem),
				 errhint("A URL of a server is http(s)://host[:port][/path], as in \"https://pay.example.com/v1\".")));
}

/*
 * Is this a value that only a privileged user may set? Everyone may set the default of a Boolean
 * option.
 */
static bool
is_privileged(const char *name, const char *value)
{
	bool boolean;

	if (strcmp(name, "allow_private") == 0)
		return wf_option_boolean(value, &boolean) != NULL || boolean;
	if (strcmp(name, "verify") == 0)
		return wf_option_boolean(value, &boolean) != NULL || !boolean;
	return strcmp(name, "ca") == 0 || strcmp(name, "proxy") == 0;
}

static bool
same_value(List *options, const char *name, const char *value)
{
	const char *other = wf_option_get(options, name);
	bool		a;
	bool		b;

	if (other == NULL)
		return false;
	if (strcmp(name, "allow_private") != 0 && strcmp(name, "verify") != 0)
		return strcmp(other, value) == 0;
	return wf_option_boolean(other, &a) == NULL && wf_option_boolean(value, &b) == NULL && a == b;
}

/* Have both lists the same value of the option, or `wanted` none? */
static bool
has_wanted(List *options, List *wanted, const char *name)
{
	const char *value = wf_option_get(wanted, name);

	return value == NULL || same_value(options, name, value);
}

/* Does the current user own a server of our wrapper with the wanted url, and the same values of these options? */
static bool
owns_server_with(List *wanted, const char *const *names, int n)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(WF_FDW_NAME, true);
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		found = false;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		List				  *options;

		if (form->srvfdw != wrapper || !has_privs_of_role(GetUserId(), form->srvowner))
			continue;
		options = wf_option_list_of_server(tuple, RelationGetDescr(rel));
		found = has_wanted(options, wanted, "url");
		for (int i = 0; i < n; i++)
			found = found && has_wanted(options, wanted, names[i]);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static void
check_right(List *options, const char *name, const char *value)
{
	bool is_file = strcmp(name, "ca") == 0;

	if (superuser() || (is_file && has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES)))
		return;
	if (owns_server_with(options, &name, 1))
		return;
	if (is_file)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to set option \"ca\""),
						errdetail("Only roles with privileges of the \"%s\" role may name files on the server.",
								  "pg_read_server_files")));
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("permission denied for a server with option %s '%s'", name, value),
		 errdetail(
			 "Only superusers may create such a server or change its url; its owner may change the other options.")));
}

/* Only called for a server that would go on with rights that were given to it for its url alone. */
static void
check_right_to_follow(List *options)
{
	static const char *const names[] = {"follow_redirects", "allow_private", "verify", "proxy"};

	if (!superuser() && !owns_server_with(options, names, lengthof(names)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for a server with option follow_redirects"),
				 errdetail(
					 "With allow_private, a proxy or without verify, only superusers may let it follow redirects.")));
}

static void
check_server_options(List *options)
{
	const char *url = wf_option_get(options, "url");
	WfServer	server;
	ListCell   *cell;

	if (url == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"url\" is missing"),
						errhint("A server needs an address: OPTIONS (url 'https://pay.example.com/v1').")));
	check_url_option(url);
	wf_server_options_init(&server);
	foreach (cell, options)
	{
		DefElem	   *def = lfirst(cell);
		const char *value = defGetString(def);
		const char *expected = wf_server_option(def->defname, value, &server);

		/* of a proxy the message does not show the value, which may hold a password */
		if (expected != NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							strcmp(def->defname, "proxy") == 0
								? errmsg("invalid value for option \"%s\"", def->defname)
								: errmsg("invalid value for option \"%s\": \"%s\"", def->defname, value),
							errdetail("Expected is %s.", expected)));
		if (is_privileged(def->defname, value))
			check_right(options, def->defname, value);
	}
	if (server.follow_redirects > 0 && (server.allow_private || !server.verify || server.proxy != NULL))
		check_right_to_follow(options);
	wf_idle_options_of_server(options, &server);
}

/* ---- user mappings ---- */

/* It goes with any auth: it is for what comes in. */
static void
check_webhook_secret(List *options)
{
	const char *secret = wf_option_get(options, "webhook_secret");

	if (secret != NULL && *secret == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"webhook_secret\" is empty"),
						errhint("It is the secret with which the service signs what it sends to webhooks.")));
}

/*
 * Unlike the options of a server, one that is left in place is asked for as well: whoever could copy
 * it to a mapping of his own would have what is in the file sent to where he likes.
 */
static void
check_rights(List *options)
{
	ListCell *cell;

	if (superuser())
		return;
	foreach (cell, options)
	{
		DefElem *def = lfirst(cell);
		bool	 allowed = true;

		if (strcmp(def->defname, "token_allow_private") == 0 &&
			(wf_option_boolean(defGetString(def), &allowed) != NULL || allowed))
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
							errmsg("permission denied for a user mapping with option \"token_allow_private\""),
							errdetail("Only superusers may make or change such a mapping.")));
		if (has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
			continue;

		if (wf_credentials_is_file(def->defname))
			ereport(
				ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for a user mapping with option \"%s\"", def->defname),
				 errdetail(
					 "Only roles with privileges of the \"%s\" role may name files on the server, or change a mapping that does.",
					 "pg_read_server_files")));
	}
}

static void
check_user_mapping(List *options)
{
	WfCredentials credentials;

	check_rights(options);
	if (!wf_credentials_read(options, false, &credentials))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", credentials.problem),
						credentials.hint ? errhint("%s", credentials.hint) : 0));
	check_webhook_secret(options);
}

/*
 * workflow_data.http_validator(options text[], catalog oid)
 *
 * Throws HV00D for an option that the catalog does not have, 22023 for a bad or missing value,
 * 42501 for a value that needs a right.
 */
Datum
workflow_http_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid	  catalog = PG_GETARG_OID(1);

	check_names(options, catalog);
	if (catalog == ForeignServerRelationId)
		check_server_options(options);
	else if (catalog == UserMappingRelationId)
		check_user_mapping(options);
	PG_RETURN_VOID();
}
