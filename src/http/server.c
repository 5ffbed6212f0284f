/*
 * server.c
 *		Foreign servers of the wrapper workflow_http, and what a request needs of them.
 *
 * This file owns a cache of all servers of the wrapper, by name, and of the credentials used so
 * far, by role and server. A change of any foreign server, wrapper or user mapping makes the next
 * look-up build a new cache; the old one lives until the end of the transaction, so that the
 * servers it gave out stay valid until then.
 *
 * Secrets are in that cache and in the headers given to the caller, nowhere else.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "http/credentials.h"
#include "http/options.h"
#include "http/passed_on.h"
#include "http/server_options.h"
#include "http/server.h"
#include "http/url.h"

typedef struct ServerEntry
{
	WfServer server; /* must be first: callers get a pointer to it */
	WfUrl	 url;
} ServerEntry;

typedef struct CredentialsKey
{
	Oid role;
	Oid serverid;
} CredentialsKey;

typedef struct CredentialsEntry
{
	CredentialsKey key;
	bool		   valid;
	WfCredentials  credentials;
} CredentialsEntry;

static MemoryContext cache_context = NULL;
static bool			 cache_valid = false;
static uint64		 changes = 0;
static ServerEntry	*servers; /* sorted by name */
static int			 nservers;
static HTAB			*credentials_cache;

/* ---- the cache ---- */

static void
invalidate_cache(Datum arg, int cacheid, uint32 hashvalue)
{
	cache_valid = false;
	changes++;
}

void
wf_server_init(void)
{
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate_cache, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, invalidate_cache, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidate_cache, (Datum) 0);
	wf_passed_on_init();
}

/*
 * Read one server. False if it has no usable url, and so cannot be used at all. Bad values of other
 * options, which only a wrapper without its validator lets in, count as not given.
 */
static bool
read_server(HeapTuple tuple, TupleDesc desc, ServerEntry *entry)
{
	Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
	List				  *options = wf_option_list_of_server(tuple, desc);
	WfServer			  *server = &entry->server;
	const char			  *url = wf_option_get(options, "url");
	char				  *copy;
	ListCell			  *cell;

	if (url == NULL || wf_url_parse(url, &entry->url) != NULL || !entry->url.bare)
		return false;
	server->serverid = form->oid;
	server->name = pstrdup(NameStr(form->srvname));
	copy = pstrdup(url);
	for (size_t n = strlen(copy); copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	server->url = copy;
	wf_server_options_init(server);
	foreach (cell, options)
	{
		DefElem *def = lfirst(cell);

		(void) wf_server_option(def->defname, defGetString(def), server);
	}
	wf_server_options_finish(server);
	return true;
}

static int
compare_servers(const void *a, const void *b)
{
	return strcmp(((const ServerEntry *) a)->server.name, ((const ServerEntry *) b)->server.name);
}

static void
load_all_servers(void)
{
	Oid			wrapper = get_foreign_data_wrapper_oid(WF_FDW_NAME, true);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			allocated = 16;

	nservers = 0;
	servers = palloc(allocated * sizeof(ServerEntry));
	if (!OidIsValid(wrapper))
		return;

	rel = table_open(ForeignServerRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_foreign_server) GETSTRUCT(tuple))->srvfdw != wrapper)
			continue;
		if (nservers == allocated)
		{
			allocated *= 2;
			servers = repalloc(servers, allocated * sizeof(ServerEntry));
		}
		if (read_server(tuple, RelationGetDescr(rel), &servers[nservers]))
			nservers++;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	qsort(servers, nservers, sizeof(ServerEntry), compare_servers);
}

/*
 * Build the cache if it is not valid. The old one is left to the transaction, since a caller
 * further up may hold a server of it.
 */
static void
require_cache(void)
{
	MemoryContext old;
	HASHCTL		  info = {0};

	if (cache_valid)
		return;
	if (cache_context != NULL)
	{
		MemoryContextSetParent(cache_context, TopTransactionContext);
		cache_context = NULL;
	}

	/* set before the scan, which may process an invalidation of rows that it has already read */
	cache_valid = true;
	PG_TRY();
	{
		cache_context = AllocSetContextCreate(TopMemoryContext, "workflow servers", ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(cache_context);
		info.keysize = sizeof(CredentialsKey);
		info.entrysize = sizeof(CredentialsEntry);
		info.hcxt = cache_context;
		credentials_cache = hash_create("workflow credentials", 16, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		load_all_servers();
		MemoryContextSwitchTo(old);
	}
	PG_CATCH();
	{
		cache_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void
wf_server_forget(void)
{
	cache_valid = false;
	wf_passed_on_forget();
}

uint64
wf_server_changes(void)
{
	return changes;
}

/* ---- finding servers ---- */

const WfServer *
wf_server_by_name(const char *name)
{
	ServerEntry key = {.server.name = name};

	require_cache();
	return bsearch(&key, servers, nservers, sizeof(ServerEntry), compare_servers);
}

bool
wf_server_usable(const WfServer *server, Oid role)
{
	/* the server may just have been dropped, and the privilege check would throw for that */
	return SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(server->serverid)) &&
		   wf_server_aclcheck(server->serverid, role, ACL_USAGE) == ACLCHECK_OK;
}

static bool
is_mapped(const WfServer *server, Oid role)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(server->serverid));
}

/*
 * Was USAGE granted to `role`, or to a role of which it is a member, by name? A grant to PUBLIC
 * does not count.
 */
static bool
is_usage_granted(Datum acl, Oid role)
{
	Acl *items = DatumGetAclP(acl);

	for (int i = 0; i < ACL_NUM(items); i++)
	{
		AclItem *item = &ACL_DAT(items)[i];

		if (item->ai_grantee != ACL_ID_PUBLIC && (ACLITEM_GET_PRIVS(*item) & ACL_USAGE) != 0 &&
			is_member_of_role_nosuper(role, item->ai_grantee))
			return true;
	}
	return false;
}

/* Was the server given to `role` itself: is it its own, does it have credentials for it, or USAGE by name? */
static bool
is_given(Form_pg_foreign_server form, HeapTuple tuple, Oid role)
{
	bool  isnull;
	Datum acl = SysCacheGetAttr(FOREIGNSERVEROID, tuple, Anum_pg_foreign_server_srvacl, &isnull);

	return is_member_of_role_nosuper(role, form->srvowner) ||
		   SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(form->oid)) ||
		   (!isnull && is_usage_granted(acl, role));
}

/*
 * Has `role` a reason to use this server for a URL that names none? A stranger can make a server
 * for the URLs of others and grant it to PUBLIC, so more is needed than that grant.
 */
static bool
is_trusted_owner(const WfServer *server, Oid role)
{
	HeapTuple			   tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server->serverid));
	Form_pg_foreign_server form;
	bool				   answer;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_foreign_server) GETSTRUCT(tuple);
	answer = superuser_arg(form->srvowner) || is_given(form, tuple, role);
	ReleaseSysCache(tuple);
	return answer;
}

bool
wf_server_is_given(const WfServer *server, Oid role)
{
	HeapTuple tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server->serverid));
	bool	  answer;

	if (!HeapTupleIsValid(tuple))
		return false;
	answer = superuser_arg(role) || is_given((Form_pg_foreign_server) GETSTRUCT(tuple), tuple, role);
	ReleaseSysCache(tuple);
	return answer;
}

/*
 * Is `entry` to be preferred? A server with credentials for the role wins, then the longest path.
 */
static bool
is_better(const ServerEntry *entry, const ServerEntry *best, Oid role)
{
	bool mapped = is_mapped(&entry->server, role);

	if (best == NULL)
		return true;
	if (mapped != is_mapped(&best->server, role))
		return mapped;
	return strlen(entry->url.path) > strlen(best->url.path);
}

const char *
wf_server_url_problem(const char *url)
{
	WfUrl parsed;

	return wf_url_parse(url, &parsed);
}

const WfServer *
wf_server_covering(const char *url, Oid role)
{
	const ServerEntry *best = NULL;
	WfUrl			   wanted;

	if (wf_url_parse(url, &wanted) != NULL)
		return NULL;
	require_cache();
	for (int i = 0; i < nservers; i++)
	{
		const ServerEntry *entry = &servers[i];

		if (wf_url_is_within(&wanted, &entry->url) && wf_server_usable(&entry->server, role) &&
			is_trusted_owner(&entry->server, role) && is_better(entry, best, role))
			best = entry;
	}
	return best ? &best->server : NULL;
}

/* ---- preparing a request ---- */

static bool
require_covered(const WfServer *server, const char *url, WfFault *fault)
{
	WfUrl		wanted;
	const char *problem;

	if (wf_url_continues(url, server->url))
		return true;
	problem = wf_url_parse(url, &wanted);
	if (problem != NULL)
		return wf_fault(fault, WF_CODE_REQUEST, "the URL of the request %s", problem);
	if (!wf_url_is_within(&wanted, &((const ServerEntry *) server)->url))
		return wf_fault(fault, WF_CODE_REQUEST, "the URL of the request is not within that of server \"%s\"",
						server->name);
	return true;
}

static const WfCredentials *
get_credentials(const WfServer *server, Oid role)
{
	CredentialsKey	  key = {.role = role, .serverid = server->serverid};
	CredentialsEntry *entry;
	bool			  found;

	require_cache();
	entry = hash_search(credentials_cache, &key, HASH_ENTER, &found);
	if (!found)
		entry->valid = false;
	if (!entry->valid)
	{
		MemoryContext old = MemoryContextSwitchTo(cache_context);

		wf_credentials_look_up(role, server->serverid, &entry->credentials);
		MemoryContextSwitchTo(old);
		entry->valid = true;
	}
	return &entry->credentials;
}

bool
wf_server_has_header(List *headers, const char *name)
{
	ListCell *cell;

	foreach (cell, headers)
	{
		WfHttpHeader *header = lfirst(cell);

		if (pg_strcasecmp(header->name, name) == 0)
			return true;
	}
	return false;
}

/* Copy a header: an invalidation may free the cache before the request is sent. */
static WfHttpHeader *
copy_header(const WfHttpHeader *header)
{
	WfHttpHeader *copy = palloc(sizeof(WfHttpHeader));

	copy->name = pstrdup(header->name);
	copy->value = pstrdup(header->value);
	return copy;
}

static void
add_header(List **headers, const WfHttpHeader *header)
{
	if (header->name != NULL && !wf_server_has_header(*headers, header->name))
		*headers = lappend(*headers, copy_header(header));
}

static const char *
copy_text(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

static void
add_identity(const WfCredentials *credentials, WfHttpRequest *request, List **headers)
{
	const WfHttpIdentity *identity = &credentials->identity;
	WfHttpIdentity		 *copy = palloc(sizeof(WfHttpIdentity));

	copy->cert = copy_text(identity->cert);
	copy->key = copy_text(identity->key);
	copy->key_password = copy_text(identity->key_password);
	copy->user = copy_text(identity->user);
	copy->password = copy_text(identity->password);
	/* an Authorization header of the step stands */
	copy->sigv4 = wf_server_has_header(*headers, "Authorization") ? NULL : copy_text(identity->sigv4);
	if (copy->sigv4 != NULL)
		add_header(headers, &credentials->session);
	request->identity = copy;
}

/* The proxy is the server's, who is calling there is the role's matter. */
static void
add_proxy(const WfServer *server, const WfCredentials *credentials, WfHttpRequest *request)
{
	if (server->proxy == NULL)
		return;
	request->proxy = pstrdup(server->proxy);
	request->proxy_user = copy_text(credentials->proxy_user);
	request->proxy_password = copy_text(credentials->proxy_password);
}

/* The credentials with what is in their files now. */
static const WfCredentials *
read_files(const WfCredentials *credentials)
{
	WfCredentials *fresh = palloc(sizeof(WfCredentials));

	(void) wf_credentials_read(credentials->files, true, fresh);
	return fresh;
}

bool
wf_server_admits(const WfServer *server, Oid role, const char *url, WfFault *fault)
{
	const char *role_name = GetUserNameFromId(role, true);

	if (role_name == NULL || !wf_server_usable(server, role))
		return wf_fault(fault, WF_CODE_REQUEST, "role \"%s\" has no USAGE privilege on server \"%s\"",
						role_name ? role_name : "(dropped)", server->name);
	return require_covered(server, url, fault);
}

bool
wf_server_prepare(const WfServer *server, Oid role, WfHttpRequest *request, List **headers, WfFault *fault)
{
	const WfCredentials *credentials;
	const char			*role_name = GetUserNameFromId(role, true);

	if (!wf_server_admits(server, role, request->url, fault))
		return false;
	credentials = get_credentials(server, role);
	if (credentials->files != NULL)
		credentials = read_files(credentials);
	if (credentials->problem != NULL)
		return wf_fault(fault, credentials->unread ? WF_CODE_AUTH : WF_CODE_REQUEST,
						"the user mapping of role \"%s\" for server \"%s\" cannot be used: %s", role_name, server->name,
						credentials->problem);

	if (request->timeout_ms == 0)
		request->timeout_ms = server->timeout_ms;
	if (request->connect_timeout_ms == 0)
		request->connect_timeout_ms = server->connect_timeout_ms;
	request->idle_timeout_ms = server->idle_timeout_ms;
	request->max_response = server->max_response;
	request->allow_private = server->allow_private;
	request->verify = server->verify;
	request->ca = copy_text(server->ca);
	request->max_redirects = server->follow_redirects;
	add_proxy(server, credentials, request);
	add_header(headers, &credentials->header);
	request->has_credentials = credentials->header.name != NULL || credentials->passed_on != NULL;
	if (credentials->query.name != NULL &&
		!wf_url_has_parameter(request->url, credentials->query.name, strlen(credentials->query.name)))
		request->secret_query = psprintf("%s=%s", credentials->query.name, credentials->query.value);
	if (credentials->has_identity)
		add_identity(credentials, request, headers);
	return true;
}

const char *
wf_server_header_passed_on(const WfServer *server, Oid role)
{
	return get_credentials(server, role)->passed_on;
}

/* ---- requests for tokens ---- */

const WfGrant *
wf_server_grant(const WfServer *server, Oid role)
{
	const WfCredentials *credentials = get_credentials(server, role);

	return credentials->has_grant ? &credentials->grant : NULL;
}

bool
wf_server_prepare_token(const WfServer *server, Oid role, WfHttpRequest *request, WfFault *fault)
{
	const WfCredentials *credentials = get_credentials(server, role);
	const WfGrant		*grant = &credentials->grant;
	List				*ignored = NIL;
	WfUrl				 url;
	bool				 within;

	if (credentials->files != NULL)
		credentials = read_files(credentials);
	if (credentials->problem != NULL)
		return wf_fault(fault, WF_CODE_AUTH, "no token could be asked for: %s", credentials->problem);
	within =
		wf_url_parse(grant->token_url, &url) == NULL && wf_url_is_within(&url, &((const ServerEntry *) server)->url);
	/* its owner has chosen the URL, and a proxy may reach what he may not */
	if (server->proxy != NULL && !within && !grant->token_allow_private)
		return wf_fault(
			fault, WF_CODE_AUTH,
			"no token could be asked for: its service is not within the url of server \"%s\", by whose proxy "
			"others are reached only with \"token_allow_private\"",
			server->name);
	request->url = pstrdup(grant->token_url);
	request->connect_timeout_ms = server->connect_timeout_ms;
	request->idle_timeout_ms = server->idle_timeout_ms;
	request->allow_private = grant->token_allow_private || (within && server->allow_private);
	request->from_mapping = !within;
	request->verify = !within || server->verify;
	request->ca = copy_text(grant->token_ca != NULL ? grant->token_ca : within ? server->ca : NULL);
	add_proxy(server, credentials, request);
	if (credentials->has_identity)
		add_identity(credentials, request, &ignored);
	return true;
}
