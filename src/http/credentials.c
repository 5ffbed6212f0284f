/*
 * credentials.c
 *		From a user mapping to the header that carries its secret.
 *
 * Both the validator, which checks a mapping, and server.c, which uses it, read it here, so that
 * what was accepted works. Messages name options, never their values.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_user_mapping.h"
#include "common/base64.h"
#include "http/credentials.h"
#include "http/options.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

typedef struct AuthKind
{
	const char *name;
	const char *options[2]; /* both are required */
} AuthKind;

static const AuthKind auth_kinds[] = {
	{"none", {NULL, NULL}},
	{"basic", {"user", "password"}},
	{"bearer", {"token", NULL}},
	{"header", {"name", "value"}},
};

static bool
problem(WfCredentials *credentials, const char *text, const char *hint)
{
	credentials->header.name = NULL;
	credentials->problem = text;
	credentials->hint = hint;
	return false;
}

static const AuthKind *
find_auth_kind(const char *name)
{
	for (int i = 0; i < lengthof(auth_kinds); i++)
	{
		if (strcmp(auth_kinds[i].name, name) == 0)
			return &auth_kinds[i];
	}
	return NULL;
}

static bool
kind_has_option(const AuthKind *kind, const char *name)
{
	for (int i = 0; i < lengthof(kind->options); i++)
	{
		if (kind->options[i] != NULL && strcmp(kind->options[i], name) == 0)
			return true;
	}
	return false;
}

/* The name of the auth that has this option, or NULL; used by the hint. */
static const char *
kind_for_option(const char *name)
{
	for (int i = 0; i < lengthof(auth_kinds); i++)
	{
		if (kind_has_option(&auth_kinds[i], name))
			return auth_kinds[i].name;
	}
	return NULL;
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

/* Check that all options of the auth are there, and none of another auth. */
static bool
check_options(List *options, const AuthKind *kind, WfCredentials *credentials)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem	   *def = lfirst(cell);
		const char *other = kind_for_option(def->defname);

		if (other != NULL && !kind_has_option(kind, def->defname))
			return problem(credentials,
						   psprintf("option \"%s\" does not belong to auth '%s'", def->defname, kind->name),
						   psprintf("It belongs to auth '%s'.", other));
	}
	for (int i = 0; i < lengthof(kind->options); i++)
	{
		const char *name = kind->options[i];
		const char *value = name ? wf_option_get(options, name) : NULL;

		if (name == NULL)
			continue;
		if (value == NULL)
			return problem(credentials, psprintf("option \"%s\" is missing, which auth '%s' needs", name, kind->name),
						   NULL);
		if (!fits_header(value, strcmp(name, "name") == 0))
			return problem(credentials, psprintf("option \"%s\" has characters that an HTTP header cannot carry", name),
						   NULL);
	}
	return true;
}

static bool
read_basic(List *options, WfCredentials *credentials)
{
	const char *user = wf_option_get(options, "user");
	const char *password = wf_option_get(options, "password");
	char	   *plain;
	char	   *header;
	int			len;
	int			size;

	if (strchr(user, ':') != NULL)
		return problem(credentials, "option \"user\" has a colon, which auth 'basic' cannot carry", NULL);
	plain = psprintf("%s:%s", user, password);
	len = strlen(plain);
	size = pg_b64_enc_len(len);
	header = palloc(6 + size + 1);
	memcpy(header, "Basic ", 6);
	size = pg_b64_encode((const void *) plain, len, header + 6, size);
	if (size < 0)
		elog(ERROR, "could not encode credentials");
	header[6 + size] = '\0';
	credentials->header.name = "Authorization";
	credentials->header.value = header;
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
read_header(List *options, WfCredentials *credentials)
{
	const char *name = wf_option_get(options, "name");

	if (is_own_header(name))
		return problem(credentials, psprintf("option \"name\" cannot be the header %s", name), NULL);
	credentials->header.name = pstrdup(name);
	credentials->header.value = pstrdup(wf_option_get(options, "value"));
	return true;
}

bool
wf_credentials_read(List *options, WfCredentials *credentials)
{
	const char	   *auth = wf_option_get(options, "auth");
	const AuthKind *kind = find_auth_kind(auth ? auth : "none");

	memset(credentials, 0, sizeof(WfCredentials));
	if (kind == NULL)
		return problem(credentials, "option \"auth\" has an unknown value",
					   "Valid values are: none, basic, bearer, header.");
	if (!check_options(options, kind, credentials))
	{
		if (auth == NULL)
			return problem(credentials, "option \"auth\" is missing", "Valid values are: none, basic, bearer, header.");
		return false;
	}

	if (strcmp(kind->name, "basic") == 0)
		return read_basic(options, credentials);
	if (strcmp(kind->name, "header") == 0)
		return read_header(options, credentials);
	if (strcmp(kind->name, "bearer") == 0)
	{
		if (*wf_option_get(options, "token") == '\0')
			return problem(credentials, "option \"token\" is empty", NULL);
		credentials->header.name = "Authorization";
		credentials->header.value = psprintf("Bearer %s", wf_option_get(options, "token"));
	}
	return true;
}

/* GetUserMapping is not used, since it throws where there is no mapping. */
void
wf_credentials_look_up(Oid role, Oid serverid, WfCredentials *credentials)
{
	HeapTuple tuple;
	Datum	  options;
	bool	  isnull;

	memset(credentials, 0, sizeof(WfCredentials));
	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(serverid));
	if (!HeapTupleIsValid(tuple))
		return;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		(void) wf_credentials_read(untransformRelOptions(options), credentials);
	ReleaseSysCache(tuple);
}
