/*
 * url.c
 *		URLs as libcurl reads them: is one of them inside another?
 *
 * The check of where a request may go must read a URL as its sender does, so libcurl's own parser
 * is used. Pure functions: no state, and libcurl need not be initialized.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "http/url.h"
#include "model/url_path.h"

/*
 * The end of "scheme://host…", where the path begins; NULL if the text is no http or https URL with
 * a host.
 */
static const char *
find_path(const char *text)
{
	const char *host;

	if (pg_strncasecmp(text, "http://", 7) == 0)
		host = text + 7;
	else if (pg_strncasecmp(text, "https://", 8) == 0)
		host = text + 8;
	else
		return NULL;
	if (strchr("/?#", *host) != NULL) /* no host, or the end of the text */
		return NULL;
	return host + strcspn(host, "/?#");
}

static char *
get_part(CURLU *handle, CURLUPart part, unsigned int flags)
{
	char *text = NULL;
	char *copy;

	if (curl_url_get(handle, part, &text, flags) != CURLUE_OK)
		return NULL;
	copy = pstrdup(text);
	curl_free(text);
	return copy;
}

static const char *
parse_parts(CURLU *handle, WfUrl *url)
{
	char *scheme = get_part(handle, CURLUPART_SCHEME, 0);
	char *host = get_part(handle, CURLUPART_HOST, 0);
	char *port = get_part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	char *path = get_part(handle, CURLUPART_PATH, 0);

	if (scheme == NULL || host == NULL || port == NULL || path == NULL)
		return "cannot be read";
	if (get_part(handle, CURLUPART_USER, 0) != NULL || get_part(handle, CURLUPART_PASSWORD, 0) != NULL)
		return "holds a user name or password";
	if (strcmp(port, "0") == 0)
		return "has no valid port";

	for (char *p = host; *p; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	for (size_t n = strlen(path); n > 0 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	url->origin = psprintf("%s://%s:%s", scheme, host, port);
	url->path = path;
	url->bare = get_part(handle, CURLUPART_QUERY, 0) == NULL && get_part(handle, CURLUPART_FRAGMENT, 0) == NULL;
	return NULL;
}

const char *
wf_url_parse(const char *text, WfUrl *url)
{
	const char *path = find_path(text);
	const char *problem;
	CURLU	   *handle;

	if (path == NULL)
		return "does not begin with http:// or https:// and a host";
	for (const char *p = text; *p; p++)
	{
		if ((unsigned char) *p <= 0x20 || (unsigned char) *p >= 0x7f)
			return "has characters other than printable ASCII";
	}
	problem = wf_url_path_problem(path);
	if (problem != NULL)
		return problem;
	problem = "cannot be read";

	handle = curl_url();
	if (handle == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (curl_url_set(handle, CURLUPART_URL, text, 0) == CURLUE_OK)
		problem = parse_parts(handle, url);
	curl_url_cleanup(handle);
	return problem;
}

bool
wf_url_is_within(const WfUrl *url, const WfUrl *base)
{
	size_t len = strlen(base->path);

	return strcmp(url->origin, base->origin) == 0 && strncmp(url->path, base->path, len) == 0 &&
		   (url->path[len] == '\0' || url->path[len] == '/');
}

bool
wf_url_continues(const char *text, const char *base)
{
	size_t len = strlen(base);

	return strncmp(text, base, len) == 0 && strchr("/?#", text[len]) != NULL && wf_url_path_problem(text + len) == NULL;
}

bool
wf_url_has_parameter(const char *url, const char *name, size_t len)
{
	const char *at = strchr(url, '?');

	for (; at != NULL && *at != '#'; at = strpbrk(at + 1, "&#"))
		if (strncmp(at + 1, name, len) == 0 && strchr("=&#", at[1 + len]) != NULL)
			return true;
	return false;
}

/* Does the text "host:port", perhaps with a slash behind, say the port? */
static bool
says_port(const char *text)
{
	size_t len = strlen(text);
	size_t digits = 0;

	if (len > 0 && text[len - 1] == '/')
		len--;
	while (len > 0 && isdigit((unsigned char) text[len - 1]))
	{
		len--;
		digits++;
	}
	return digits > 0 && len > 0 && text[len - 1] == ':';
}

const char *
wf_url_proxy_problem(const char *text)
{
	const char *host = strstr(text, "://");
	const char *problem;
	WfUrl		url;

	if (host == NULL || (pg_strncasecmp(text, "http://", 7) != 0 && pg_strncasecmp(text, "socks5h://", 10) != 0))
		return "does not begin with http:// or socks5h://";
	host += 3;
	problem = wf_url_parse(psprintf("http://%s", host), &url);
	if (problem != NULL)
		return problem;
	if (!url.bare || *url.path != '\0')
		return "has more than host and port";
	return says_port(host) ? NULL : "has no port";
}
