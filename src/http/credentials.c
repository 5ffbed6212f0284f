/*
 * credentials.c
 *		From a user mapping to what carries its secret: a header, a parameter of the query, a client
 *		certificate, a signature; or how a token is got.
 *
 * Both the validator, which checks a mapping, and server.c, which uses it, read it here, so that
 * what was accepted works. Messages name options, never their values.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "common/base64.h"
#include "http/credentials.h"
#include "http/options.h"
#include "http/secret_file.h"
#include "http/url.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#define AUTH_NAMES "Valid values are: none, basic, bearer, header, query, oauth2, on_behalf, sigv4."

/* An option of a user mapping that belongs to an auth. */
typedef struct AuthOption
{
	const char *auth;
	const char *name;
	bool		required;
} AuthOption;

/* Those with a secret may also be given as NAME_file: see `secrets`. */
static const AuthOption auth_options[] = {
	{"basic", "user", true},
	{"basic", "password", true},
	{"bearer", "token", true},
	{"header", "name", true},
	{"header", "value", true},
	{"query", "name", true},
	{"query", "value", true},
	{"sigv4", "user", true},
	{"sigv4", "password", true},
	{"sigv4", "scope", true},
	{"sigv4", "session_token", false},
	{"oauth2", "token_url", true},
	{"oauth2", "client_id", true},
	{"oauth2", "client_secret", false},
	{"oauth2", "refresh_token", false},
	{"oauth2", "scope", false},
	{"oauth2", "audience", false},
	{"oauth2", "client_auth", false},
	{"oauth2", "token_ca", false},
	{"oauth2", "token_allow_private", false},
	{"on_behalf", "name", true},
};

static const char *const secrets[] = {"password",	  "token",			"value",		 "session_token",
									  "key_password", "webhook_secret", "client_secret", "proxy_password"};

/* What is read, and into what. */
typedef struct Reader
{
	List		  *options;
	const char	  *auth;
	bool		   with_files;
	WfCredentials *credentials;
} Reader;

static bool
problem(Reader *reader, const char *text, const char *hint)
{
	WfCredentials *credentials = reader->credentials;

	memset(credentials, 0, sizeof(WfCredentials));
	credentials->problem = text;
	credentials->hint = hint;
	return false;
}

/* ---- which options there are ---- */

static bool
is_auth(const char *name)
{
	if (strcmp(name, "none") == 0)
		return true;
	for (int i = 0; i < lengthof(auth_options); i++)
		if (strcmp(auth_options[i].auth, name) == 0)
			return true;
	return false;
}

static bool
is_secret(const char *name, size_t len)
{
	for (int i = 0; i < lengthof(secrets); i++)
		if (strlen(secrets[i]) == len && strncmp(secrets[i], name, len) == 0)
			return true;
	return false;
}

/* How much of the name is left without "_file"? */
static size_t
length_of_name(const char *name)
{
	size_t len = strlen(name);

	if (len > 5 && strcmp(name + len - 5, "_file") == 0 && is_secret(name, len - 5))
		return len - 5;
	return len;
}

bool
wf_credentials_is_file(const char *name)
{
	return strcmp(name, "cert") == 0 || strcmp(name, "key") == 0 || strcmp(name, "token_ca") == 0 ||
		   length_of_name(name) != strlen(name);
}

static bool
is_option_of(const AuthOption *option, const char *name)
{
	size_t len = length_of_name(name);

	return strlen(option->name) == len && strncmp(option->name, name, len) == 0;
}

static bool
auth_has_option(const char *auth, const char *name)
{
	for (int i = 0; i < lengthof(auth_options); i++)
		if (strcmp(auth_options[i].auth, auth) == 0 && is_option_of(&auth_options[i], name))
			return true;
	return false;
}

/* The auths that have this option, for a hint: "'header' or 'query'"; NULL: it belongs to none. */
static const char *
auths_of_option(const char *name)
{
	const char *auths = NULL;

	for (int i = 0; i < lengthof(auth_options); i++)
		if (is_option_of(&auth_options[i], name))
			auths = auths == NULL ? psprintf("'%s'", auth_options[i].auth)
								  : psprintf("%s or '%s'", auths, auth_options[i].auth);
	return auths;
}

/* Can the text be the value of a header, or, if `token`, the name of one? */
static bool
fits_header(const char *text, bool token)
{
	if (token && (*text == '\0' || strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
												"!#$%&'*+-.^_`|~") != strlen(text)))
		return false;
	for (const char *p = text; *p; p++)
	{
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			return false;
	}
	return true;
}

/* Has the value of an option characters that a header cannot carry? A parameter of the query is encoded. */
static bool
is_unfit(const Reader *reader, const char *name, const char *value)
{
	bool is_name = strcmp(name, "name") == 0;

	if (strcmp(reader->auth, "query") == 0 && (is_name || strcmp(name, "value") == 0))
		return false;
	return !fits_header(value, is_name);
}

/* Is the option there, or is the file that holds it? */
static bool
is_given(const Reader *reader, const char *name)
{
	return wf_option_get(reader->options, name) != NULL ||
		   (is_secret(name, strlen(name)) && wf_option_get(reader->options, psprintf("%s_file", name)) != NULL);
}

/* Check one option by itself. */
static bool
check_option(Reader *reader, const char *name, const char *value)
{
	char *secret = pnstrdup(name, length_of_name(name));

	if (wf_credentials_is_file(name))
	{
		if (wf_option_file(value) != NULL)
			return problem(reader, psprintf("option \"%s\" is no %s", name, "absolute path of a file on the server"),
						   NULL);
		if (strcmp(secret, name) != 0 && wf_option_get(reader->options, secret) != NULL)
			return problem(reader, psprintf("options \"%s\" and \"%s\" are given both", secret, name),
						   "One of them has the secret.");
		return true;
	}
	if (is_unfit(reader, name, value))
		return problem(reader, psprintf("option \"%s\" has characters that an HTTP header cannot carry", name), NULL);
	return true;
}

/* Check that none is an option of another auth: all of these are named, since whoever changes the auth has to drop them. */
static bool
check_whose(Reader *reader)
{
	StringInfoData others;
	StringInfoData drops;
	const char	  *first = NULL;
	int			   n = 0;
	ListCell	  *cell;

	initStringInfo(&others);
	initStringInfo(&drops);
	foreach (cell, reader->options)
	{
		const char *name = ((DefElem *) lfirst(cell))->defname;

		if (auths_of_option(name) == NULL || auth_has_option(reader->auth, name))
			continue;
		if (n++ == 0)
			first = name;
		appendStringInfo(&others, "%s\"%s\"", n > 1 ? ", " : "", name);
		appendStringInfo(&drops, "%sDROP %s", n > 1 ? ", " : "", name);
	}
	if (n == 0)
		return true;
	if (wf_option_get(reader->options, "auth") == NULL)
		return problem(reader, "option \"auth\" is missing", AUTH_NAMES);
	if (n == 1)
		return problem(reader, psprintf("option \"%s\" does not belong to auth '%s'", first, reader->auth),
					   psprintf("It belongs to auth %s.", auths_of_option(first)));
	return problem(reader, psprintf("options %s do not belong to auth '%s'", others.data, reader->auth),
				   psprintf("Leave them out, or drop them together: OPTIONS (%s, SET auth '%s', ...).", drops.data,
							reader->auth));
}

/* Check that all options of the auth are there, and none of another auth. */
static bool
check_options(Reader *reader)
{
	ListCell *cell;

	if (!check_whose(reader))
		return false;
	foreach (cell, reader->options)
	{
		DefElem *def = lfirst(cell);

		if (!check_option(reader, def->defname, defGetString(def)))
			return false;
	}
	for (int i = 0; i < lengthof(auth_options); i++)
	{
		const AuthOption *option = &auth_options[i];

		if (strcmp(option->auth, reader->auth) == 0 && option->required && !is_given(reader, option->name))
			return problem(reader,
						   psprintf("option \"%s\" is missing, which auth '%s' needs", option->name, reader->auth),
						   NULL);
	}
	if (is_given(reader, "key") && !is_given(reader, "cert"))
		return problem(reader, "option \"cert\" is missing, which \"key\" belongs to", NULL);
	if (is_given(reader, "key_password") && !is_given(reader, "cert"))
		return problem(reader, "option \"cert\" is missing, which \"key_password\" belongs to", NULL);
	if (is_given(reader, "proxy_password") && !is_given(reader, "proxy_user"))
		return problem(reader, "option \"proxy_user\" is missing, which \"proxy_password\" belongs to", NULL);
	return true;
}

/* ---- their values ---- */

/* Read the file that an option names into *value: what is in it may be anything but NUL. */
static bool
read_file(Reader *reader, const char *name, const char **value)
{
	const char *why;

	*value = wf_secret_file_read(wf_option_get(reader->options, name), &why);
	if (*value != NULL)
		return true;
	(void) problem(reader, psprintf("the file of option \"%s\" %s", name, why), NULL);
	reader->credentials->unread = true;
	return false;
}

/*
 * The value of an option that may be in a file; NULL if there is none. A file that is not read
 * counts as empty.
 */
static bool
read_secret(Reader *reader, const char *name, const char **value)
{
	const char *file = psprintf("%s_file", name);

	*value = wf_option_get(reader->options, name);
	if (*value != NULL || wf_option_get(reader->options, file) == NULL)
		return true;
	*value = "";
	if (!reader->with_files)
		return true;
	if (!read_file(reader, file, value))
		return false;
	if (is_unfit(reader, name, *value))
		return problem(reader,
					   psprintf("the file of option \"%s\" has characters that an HTTP header cannot carry", file),
					   NULL);
	return true;
}

char *
wf_credentials_basic(const char *user, const char *password)
{
	char *plain = psprintf("%s:%s", user, password);
	int	  len = strlen(plain);
	int	  size = pg_b64_enc_len(len);
	char *header = palloc(6 + size + 1);

	memcpy(header, "Basic ", 6);
	size = pg_b64_encode((const void *) plain, len, header + 6, size);
	if (size < 0)
		elog(ERROR, "could not encode credentials");
	header[6 + size] = '\0';
	return header;
}

static bool
read_basic(Reader *reader)
{
	const char *user = wf_option_get(reader->options, "user");
	const char *password;

	if (strchr(user, ':') != NULL)
		return problem(reader, "option \"user\" has a colon, which auth 'basic' cannot carry", NULL);
	if (!read_secret(reader, "password", &password))
		return false;
	reader->credentials->header = (WfHttpHeader){"Authorization", wf_credentials_basic(user, password)};
	return true;
}

static bool
read_bearer(Reader *reader)
{
	const char *token;

	if (!read_secret(reader, "token", &token))
		return false;
	if (*token == '\0' && wf_option_get(reader->options, "token") != NULL)
		return problem(reader, "option \"token\" is empty", NULL);
	reader->credentials->header = (WfHttpHeader){"Authorization", psprintf("Bearer %s", token)};
	return true;
}

/* Is this a header that the client writes itself? */
static bool
is_own_header(const char *name)
{
	static const char *const names[] = {"host",		  "content-length", "content-type",	  "transfer-encoding",
										"connection", "expect",			"upgrade",		  "te",
										"trailer",	  "keep-alive",		"idempotency-key"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (pg_strcasecmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static bool
read_header(Reader *reader)
{
	const char *name = wf_option_get(reader->options, "name");
	const char *value;

	if (is_own_header(name))
		return problem(reader, psprintf("option \"name\" cannot be the header %s", name), NULL);
	if (!read_secret(reader, "value", &value))
		return false;
	reader->credentials->header = (WfHttpHeader){pstrdup(name), pstrdup(value)};
	return true;
}

/* The value is that of the call which made a request due. */
static bool
read_on_behalf(Reader *reader)
{
	const char *name = wf_option_get(reader->options, "name");

	if (is_own_header(name))
		return problem(reader, psprintf("option \"name\" cannot be the header %s", name), NULL);
	reader->credentials->passed_on = pstrdup(name);
	return true;
}

/*
 * An option in UTF-8, as all of a URL is; what a file has is taken as it is. A text of which that cannot be made is refused when
 * the mapping is made.
 */
static const char *
in_utf8(const char *text)
{
	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

/* Text as it stands in a query: what RFC 3986 reserves is percent-encoded. */
static char *
encoded(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	for (const unsigned char *p = (const unsigned char *) text; *p; p++)
	{
		if (!IS_HIGHBIT_SET(*p) && (isalnum(*p) || strchr("-._~", *p) != NULL))
			appendStringInfoChar(&out, *p);
		else
			appendStringInfo(&out, "%%%02X", *p);
	}
	return out.data;
}

static bool
read_query(Reader *reader)
{
	const char *name = wf_option_get(reader->options, "name");
	const char *value;

	if (*name == '\0')
		return problem(reader, "option \"name\" is empty", NULL);
	if (!read_secret(reader, "value", &value))
		return false;
	if (wf_option_get(reader->options, "value") != NULL)
		value = in_utf8(value);
	reader->credentials->query = (WfHttpHeader){encoded(in_utf8(name)), encoded(value)};
	return true;
}

/* libcurl takes less, and makes of it a signature that nobody understands. */
static bool
is_sigv4_scope(const char *text)
{
	int parts = 1;

	for (const char *p = text; *p; p++)
	{
		if (*p != ':')
			continue;
		if (p == text || p[1] == ':' || p[1] == '\0')
			return false;
		parts++;
	}
	return parts == 4;
}

static bool
read_sigv4(Reader *reader)
{
	WfCredentials  *credentials = reader->credentials;
	WfHttpIdentity *identity = &credentials->identity;
	const char	   *token;

	identity->sigv4 = wf_option_get(reader->options, "scope");
	identity->user = wf_option_get(reader->options, "user");
	if (!is_sigv4_scope(identity->sigv4))
		return problem(reader, "option \"scope\" does not say what auth 'sigv4' signs for",
					   "It is \"aws:amz:REGION:SERVICE\".");
	if (!read_secret(reader, "password", &identity->password) || !read_secret(reader, "session_token", &token))
		return false;
	if (token != NULL)
		credentials->session = (WfHttpHeader){"X-Amz-Security-Token", pstrdup(token)};
	credentials->has_identity = true;
	return true;
}

static bool
check_token_url(Reader *reader, const char *text)
{
	WfUrl		url;
	const char *why = wf_url_parse(text, &url);

	/* the message does not show the value, which may hold a password */
	return why == NULL || problem(reader, psprintf("the URL of option \"token_url\" %s", why), NULL);
}

static bool
read_client_auth(Reader *reader, WfGrant *grant)
{
	const char *value = wf_option_get(reader->options, "client_auth");

	grant->in_body = value != NULL && strcmp(value, "body") == 0;
	return value == NULL || grant->in_body || strcmp(value, "basic") == 0 ||
		   problem(reader, "option \"client_auth\" has an unknown value", "Valid values are: basic, body.");
}

static bool
read_allow_private(Reader *reader, WfGrant *grant)
{
	const char *value = wf_option_get(reader->options, "token_allow_private");

	return value == NULL || wf_option_boolean(value, &grant->token_allow_private) == NULL ||
		   problem(reader, "option \"token_allow_private\" is no Boolean value", NULL);
}

/* The file with the client's secret is read when a token is asked for. */
static bool
read_oauth2(Reader *reader)
{
	WfGrant *grant = &reader->credentials->grant;
	List	*options = reader->options;

	grant->token_url = wf_option_get(options, "token_url");
	grant->client_id = wf_option_get(options, "client_id");
	grant->client_secret = wf_option_get(options, "client_secret");
	grant->client_secret_file = wf_option_get(options, "client_secret_file");
	grant->refresh_token = wf_option_get(options, "refresh_token");
	grant->scope = wf_option_get(options, "scope");
	grant->audience = wf_option_get(options, "audience");
	grant->token_ca = wf_option_get(options, "token_ca");
	if (!check_token_url(reader, grant->token_url) || !read_client_auth(reader, grant) ||
		!read_allow_private(reader, grant))
		return false;
	if (!is_given(reader, "client_secret") && grant->refresh_token == NULL && !is_given(reader, "cert"))
		return problem(reader, "option \"client_secret\" is missing, which auth 'oauth2' needs",
					   "Without it there must be a \"refresh_token\" or a \"cert\".");
	reader->credentials->has_grant = true;
	return true;
}

static bool
read_certificate(Reader *reader)
{
	WfHttpIdentity *identity = &reader->credentials->identity;

	if (wf_option_get(reader->options, "cert") == NULL)
		return true;
	reader->credentials->has_identity = true;
	if (!read_secret(reader, "key_password", &identity->key_password))
		return false;
	if (!reader->with_files)
		return true;
	if (!read_file(reader, "cert", &identity->cert))
		return false;
	if (wf_option_get(reader->options, "key") != NULL)
		return read_file(reader, "key", &identity->key);
	return strstr(identity->cert, "PRIVATE KEY-----") != NULL ||
		   problem(reader, "the file of option \"cert\" has no key, and there is no option \"key\"", NULL);
}

/* Who is calling at the proxy of the server, if that has one. */
static bool
read_proxy_user(Reader *reader)
{
	const char *user = wf_option_get(reader->options, "proxy_user");

	if (user == NULL)
		return true;
	if (*user == '\0')
		return problem(reader, "option \"proxy_user\" is empty", NULL);
	if (strchr(user, ':') != NULL)
		return problem(reader, "option \"proxy_user\" has a colon, which a proxy takes for its end", NULL);
	reader->credentials->proxy_user = pstrdup(user);
	return read_secret(reader, "proxy_password", &reader->credentials->proxy_password);
}

static bool
read_auth(Reader *reader)
{
	static const struct
	{
		const char *auth;
		bool (*read)(Reader *reader);
	} readers[] = {{"basic", read_basic}, {"bearer", read_bearer}, {"header", read_header},		 {"query", read_query},
				   {"sigv4", read_sigv4}, {"oauth2", read_oauth2}, {"on_behalf", read_on_behalf}};

	for (int i = 0; i < lengthof(readers); i++)
		if (strcmp(readers[i].auth, reader->auth) == 0)
			return readers[i].read(reader);
	return true;
}

/* Are there files that are read at each use? Those for requests of tokens, and for webhooks, are not. */
static bool
has_files(List *options)
{
	ListCell *cell;

	foreach (cell, options)
	{
		const char *name = ((DefElem *) lfirst(cell))->defname;

		if (wf_credentials_is_file(name) && strcmp(name, "token_ca") != 0 && strcmp(name, "client_secret_file") != 0 &&
			strcmp(name, "webhook_secret_file") != 0)
			return true;
	}
	return false;
}

bool
wf_credentials_read(List *options, bool with_files, WfCredentials *credentials)
{
	const char *auth = wf_option_get(options, "auth");
	Reader		reader = {.options = options, .with_files = with_files, .credentials = credentials};

	reader.auth = auth != NULL ? auth : "none";
	memset(credentials, 0, sizeof(WfCredentials));
	if (!is_auth(reader.auth))
		return problem(&reader, "option \"auth\" has an unknown value", AUTH_NAMES);
	if (!check_options(&reader) || !read_auth(&reader) || !read_certificate(&reader) || !read_proxy_user(&reader))
		return false;
	if (!with_files && has_files(options))
		credentials->files = options;
	return true;
}

/* GetUserMapping is not used, since it throws where there is no mapping. */
void
wf_credentials_look_up(Oid role, Oid serverid, WfCredentials *credentials)
{
	HeapTuple tuple;
	Oid		  mapping;
	Datum	  options;
	bool	  isnull;

	memset(credentials, 0, sizeof(WfCredentials));
	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tuple))
		return;
	mapping = ((Form_pg_user_mapping) GETSTRUCT(tuple))->oid;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		(void) wf_credentials_read(untransformRelOptions(options), false, credentials);
	credentials->grant.mapping = mapping;
	ReleaseSysCache(tuple);
}
