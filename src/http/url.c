/*
 * url.c
 *		URLs as libcurl reads them: is one of them inside another?
 *
 * What decides where a request may go must read a URL as the one who sends it does, so libcurl's own parser is used.
 * Pure: no state, and libcurl need not be initialized for it.
 *
 * A path with a ".." segment in any spelling is refused rather than resolved: a server behind a proxy may resolve it
 * otherwise than libcurl does.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "http/url.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_ascii_tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What the two digits behind a '%' stand for; -1: they are none. */
static int
encoded(const char *digits)
{
	int			high = hex_digit(digits[0]);
	int			low = high < 0 ? -1 : hex_digit(digits[1]);

	return low < 0 ? -1 : high * 16 + low;
}

/* One character of a path as a lenient server might read it: decodes what matters to segments. */
static char
lenient_char(const char **at)
{
	const char *p = *at;
	char		c = *p++;
	int			decoded = c == '%' ? encoded(p) : -1;

	if (decoded == '.' || decoded == '/' || decoded == '\\' || decoded == ';')
	{
		c = (char) decoded;
		p += 2;
	}
	*at = p;
	return c == '\\' ? '/' : c;
}

/*
 * Behind a '%': a control character, which a server might drop or end the path at, or a dot or slash that is encoded more
 * than once, for servers that decode as often.
 */
static bool
is_disguise(const char *digits)
{
	int			byte = encoded(digits);

	if (byte != '%')
		return (byte >= 0 && byte < 0x20) || byte == 0x7f;
	while (encoded(digits) == '%')
		digits += 2;
	byte = encoded(digits);
	return byte == '.' || byte == '/' || byte == '\\';
}

/*
 * A ".." segment, or what may become one. Looks at the path only, up to '?' or '#'. What follows a ';' in a segment are its
 * parameters to some servers, so that it does not count.
 */
static const char *
find_problem(const char *path)
{
	int			dots = 0; /* of the segment so far; -1: it has other characters */
	bool		parameters = false;

	while (*path && *path != '?' && *path != '#')
	{
		char		c;

		if (*path == '%' && is_disguise(path + 1))
			return "has an encoded control character, or a dot or slash that is encoded twice";
		c = lenient_char(&path);
		if (c == '/')
		{
			if (dots == 2)
				break;
			dots = 0;
			parameters = false;
		}
		else if (c == ';')
			parameters = true;
		else if (parameters)
			continue;
		else if (c != '.')
			dots = -1;
		else if (dots >= 0)
			dots++;
	}
	return dots == 2 ? "has a path segment \"..\"" : NULL;
}

/* The end of "scheme://host…", where the path begins; NULL if it is no http or https URL with a host. */
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
	if (strchr("/?#", *host) != NULL)	/* or its end */
		return NULL;
	return host + strcspn(host, "/?#");
}

static char *
get_part(CURLU *handle, CURLUPart part, unsigned int flags)
{
	char	   *text = NULL;
	char	   *copy;

	if (curl_url_get(handle, part, &text, flags) != CURLUE_OK)
		return NULL;
	copy = pstrdup(text);
	curl_free(text);
	return copy;
}

static const char *
parse_parts(CURLU *handle, WfUrl *url)
{
	char	   *scheme = get_part(handle, CURLUPART_SCHEME, 0);
	char	   *host = get_part(handle, CURLUPART_HOST, 0);
	char	   *port = get_part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	char	   *path = get_part(handle, CURLUPART_PATH, 0);

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
	problem = find_problem(path);
	if (problem != NULL)
		return problem;
	problem = "cannot be read";

	handle = curl_url();
	if (handle == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	if (curl_url_set(handle, CURLUPART_URL, text, 0) == CURLUE_OK)
		problem = parse_parts(handle, url);
	curl_url_cleanup(handle);
	return problem;
}

bool
wf_url_is_within(const WfUrl *url, const WfUrl *base)
{
	size_t		len = strlen(base->path);

	return strcmp(url->origin, base->origin) == 0 && strncmp(url->path, base->path, len) == 0 &&
		(url->path[len] == '\0' || url->path[len] == '/');
}

bool
wf_url_continues(const char *text, const char *base)
{
	size_t		len = strlen(base);

	return strncmp(text, base, len) == 0 && strchr("/?#", text[len]) != NULL && find_problem(text + len) == NULL;
}
