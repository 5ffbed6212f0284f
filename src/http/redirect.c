/*
 * redirect.c
 *		Redirects: whether one is followed, and the request to where it leads.
 *
 * libcurl follows none. When an answer is a redirect that may be followed, its transfer is set up
 * for the next hop here and goes back to libcurl; to everybody else it is one request that takes a
 * little longer. Each hop is checked as any connection is (socket.c).
 *
 * A request that says who is calling, or has headers that may, stays at its origin: scheme, host
 * and port. Messages name the origin to which a redirect leads and nothing else of its URL, which
 * may hold secrets.
 */
#include "postgres.h"

#include "http/http_internal.h"
#include "http/url.h"

/* Where a URL leads; all is of libcurl's memory. */
typedef struct Place
{
	CURLU *handle;
	char  *url;
	char  *scheme;
	char  *host;
	char  *port;
	char  *user;
	char  *password;
} Place;

/* ---- what is kept of a request ---- */

/* Is this a header with which a request may go to another origin? */
static bool
is_harmless(const char *name)
{
	static const char *const names[] = {"accept",	  "accept-language", "content-type", "idempotency-key",
										"user-agent", "traceparent",	 "tracestate"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (pg_strcasecmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static bool
has_credentials(const WfHttpRequest *request)
{
	const WfHttpIdentity *identity = request->identity;

	if (request->has_credentials || request->secret_query != NULL ||
		(identity != NULL && (identity->cert != NULL || identity->sigv4 != NULL)))
		return true;
	for (int i = 0; i < request->nheaders; i++)
	{
		if (!is_harmless(request->headers[i].name))
			return true;
	}
	return false;
}

static bool
has_cookie_header(const WfHttpRequest *request)
{
	for (int i = 0; i < request->nheaders; i++)
	{
		if (pg_strcasecmp(request->headers[i].name, "cookie") == 0)
			return true;
	}
	return false;
}

static size_t
size_of(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

/* How many bytes does wf_redirect_keep need in the block? */
size_t
wf_redirect_size(const WfHttpRequest *request)
{
	return size_of(request->method) + size_of(request->ca) + size_of(request->secret_query);
}

static const char *
keep(WfTransfer *transfer, const char *text)
{
	return text != NULL ? wf_buffer_put(&transfer->block, text, strlen(text)) : NULL;
}

/* Keep in the block what the next hop needs of the request; its headers and body are there already. */
void
wf_redirect_keep(WfTransfer *transfer, const WfHttpRequest *request, struct curl_slist *headers, const char *body)
{
	WfFollow *follow = &transfer->follow;

	follow->most = request->max_redirects;
	follow->bound = has_credentials(request);
	follow->own_cookies = has_cookie_header(request);
	follow->verify = request->verify;
	follow->method = keep(transfer, request->method);
	follow->ca = keep(transfer, request->ca);
	follow->secret_query = keep(transfer, request->secret_query);
	follow->headers = headers;
	follow->body = body;
	follow->body_len = request->body_len;
}

/* ---- where a redirect leads ---- */

/*
 * Where `location` leads, as seen from the URL `here`. It may have characters that no URL has, which
 * are encoded. False if it is no http or https URL with a host. Call leave in any case.
 */
static bool
read_place(const char *here, const char *location, Place *place)
{
	CURLU *handle = curl_url();

	memset(place, 0, sizeof(*place));
	place->handle = handle;
	/* what a signature is made with stands in the URL as libcurl tells it */
	if (handle == NULL || curl_url_set(handle, CURLUPART_URL, here, 0) != CURLUE_OK ||
		curl_url_set(handle, CURLUPART_USER, NULL, 0) != CURLUE_OK ||
		curl_url_set(handle, CURLUPART_PASSWORD, NULL, 0) != CURLUE_OK ||
		curl_url_set(handle, CURLUPART_URL, location, CURLU_URLENCODE | CURLU_ALLOW_SPACE) != CURLUE_OK)
		return false;
	(void) curl_url_get(handle, CURLUPART_USER, &place->user, 0);
	(void) curl_url_get(handle, CURLUPART_PASSWORD, &place->password, 0);
	return curl_url_get(handle, CURLUPART_SCHEME, &place->scheme, 0) == CURLUE_OK &&
		   (strcmp(place->scheme, "http") == 0 || strcmp(place->scheme, "https") == 0) &&
		   curl_url_get(handle, CURLUPART_HOST, &place->host, 0) == CURLUE_OK &&
		   curl_url_get(handle, CURLUPART_PORT, &place->port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		   curl_url_get(handle, CURLUPART_URL, &place->url, 0) == CURLUE_OK;
}

static void
leave(Place *place)
{
	curl_free(place->url);
	curl_free(place->scheme);
	curl_free(place->host);
	curl_free(place->port);
	curl_free(place->user);
	curl_free(place->password);
	curl_url_cleanup(place->handle);
}

static bool
same_origin(const Place *a, const Place *b)
{
	return strcmp(a->scheme, b->scheme) == 0 && pg_strcasecmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0;
}

/*
 * Would cookies of one server be sent to another one? They belong to a host, and know of no ports;
 * but what leads to the secure port of the same host is taken for the same server.
 */
static bool
takes_cookies_away(const WfTransfer *transfer, const Place *from, const Place *to)
{
	bool upgrade = strcmp(from->port, "80") == 0 && strcmp(to->scheme, "https") == 0 && strcmp(to->port, "443") == 0;

	return !same_origin(from, to) && pg_strcasecmp(from->host, to->host) == 0 && !upgrade &&
		   wf_cookies_are_there(transfer);
}

/* May the redirect be followed? If not, the message of the reply says why. */
static bool
may_follow(WfTransfer *transfer, const Place *from, const Place *to)
{
	WfFollow *follow = &transfer->follow;

	if (to->user != NULL || to->password != NULL)
		wf_transfer_say(transfer, "the URL to which it leads holds a user name or password");
	else if (strcmp(from->scheme, "https") == 0 && strcmp(to->scheme, "https") != 0)
		wf_transfer_say(transfer, "it leads from https to http");
	else if (follow->bound && !same_origin(from, to))
		wf_transfer_say(
			transfer,
			"it leads to another origin, %s://%.200s:%s, and the request has credentials or other headers of its own",
			to->scheme, to->host, to->port);
	else if (takes_cookies_away(transfer, from, to))
		wf_transfer_say(transfer,
						"it leads to another port of the host, %s://%.200s:%s, and there are cookies for that",
						to->scheme, to->host, to->port);
	else if (follow->hops >= follow->most)
		wf_transfer_say(transfer, follow->most == 1 ? "it is one after %d redirect" : "it is one after %d redirects",
						follow->most);
	else
		return true;
	return false;
}

/*
 * The Location of the answer, malloc'ed; NULL if it has none. libcurl would tell it, too, but as a
 * URL that has our credentials where it has none.
 */
static char *
find_location(const WfTransfer *transfer)
{
	const char *line = transfer->head.data;
	const char *end = line + transfer->head.len;

	while (line < end)
	{
		const char *eol = memchr(line, '\n', end - line);
		const char *next = eol != NULL ? eol + 1 : end;

		if (next - line > 9 && pg_strncasecmp(line, "location:", 9) == 0)
		{
			line += 9 + strspn(line + 9, " \t");
			while (next > line && strchr(" \t\r\n", next[-1]) != NULL)
				next--;
			return next > line ? strndup(line, next - line) : NULL;
		}
		line = next;
	}
	return NULL;
}

/* Read where the answer leads. False if it is not followed; call leave in any case. */
static bool
leads_on(WfTransfer *transfer, const char *location, Place *to)
{
	char *here = NULL;
	Place from = {0};
	bool  answer = false;

	(void) curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &here);
	if (here == NULL)
		here = "";
	if (!read_place(here, location, to))
		wf_transfer_say(transfer, "it leads to what is no http or https URL");
	else if (read_place(here, here, &from))
		answer = may_follow(transfer, &from, to);
	leave(&from);
	return answer;
}

/* ---- the next hop ---- */

/* As of 303, and of 301 and 302 after a POST. What told of the body goes with it. */
static bool
become_get(WfTransfer *transfer)
{
	WfFollow		   *follow = &transfer->follow;
	struct curl_slist **link = &follow->headers;

	while (*link != NULL)
	{
		if (pg_strncasecmp((*link)->data, "content-", 8) == 0)
			*link = (*link)->next;
		else
			link = &(*link)->next;
	}
	follow->method = "GET";
	follow->body = NULL;
	follow->body_len = 0;
	return wf_handle_set_method(transfer, follow->method, NULL, 0) &&
		   curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, follow->headers) == CURLE_OK;
}

static bool
changes_method(const WfFollow *follow, long status)
{
	if (status == 303)
		return strcmp(follow->method, "HEAD") != 0;
	return (status == 301 || status == 302) && strcmp(follow->method, "POST") == 0;
}

/* Set the URL, with the secret parameter of its query unless it brings one of that name. */
static bool
set_url(WfTransfer *transfer, const char *to)
{
	const char *secret = transfer->follow.secret_query;
	char	   *url;
	CURLcode	code;

	if (secret == NULL || wf_url_has_parameter(to, secret, strcspn(secret, "=")))
		return curl_easy_setopt(transfer->easy, CURLOPT_URL, to) == CURLE_OK;
	url = malloc(strlen(to) + strlen(secret) + 2);
	if (url == NULL)
		return false;
	wf_identity_put_url(url, to, secret);
	code = curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
	explicit_bzero(url, strlen(url));
	free(url);
	return code == CURLE_OK;
}

/* What is left of the timeout of the whole request, in milliseconds; 0: it has none, negative: it is over. */
static int64
time_left(const WfTransfer *transfer)
{
	int64 left;

	if (transfer->timeout_ms == 0)
		return 0;
	left = transfer->timeout_ms - (wf_http_clock() - transfer->started_at) / 1000;
	return left > 0 ? left : -1;
}

static bool
set_up(WfTransfer *transfer, const char *url, long status, int64 left_ms)
{
	WfFollow *follow = &transfer->follow;
	bool	  tls = pg_strncasecmp(url, "https:", 6) == 0;

	return (!follow->own_cookies || wf_cookies_withhold_again(transfer)) &&
		   wf_handle_set_transport(transfer, tls, follow->verify, tls ? follow->ca : NULL) &&
		   (!changes_method(follow, status) || become_get(transfer)) &&
		   curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, (long) left_ms) == CURLE_OK &&
		   wf_proxy_set(transfer, tls) && set_url(transfer, url);
}

/* Begin with the next hop. False with *code if that cannot be. */
static bool
go_to(WfTransfer *transfer, const char *url, long status, CURLcode *code)
{
	int64 left_ms = time_left(transfer);

	*code = left_ms < 0 ? CURLE_OPERATION_TIMEDOUT : CURLE_OUT_OF_MEMORY;
	if (left_ms < 0)
		return false;
	transfer->follow.hops++;
	wf_receive_begin(transfer);
	return set_up(transfer, url, status, left_ms);
}

/*
 * Set a transfer that libcurl has finished up for the next hop, if its answer is a redirect that is
 * followed. If not, it is the answer, and the message of the reply says why it is not followed; or
 * *code says what has gone wrong.
 */
bool
wf_redirect_follow(WfTransfer *transfer, CURLcode *code)
{
	long  status = 0;
	char *location;
	Place to;
	bool  answer;

	(void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 307 && status != 308 && (status < 301 || status > 303))
		return false;
	location = find_location(transfer);
	if (location == NULL)
		return false;
	answer = leads_on(transfer, location, &to) && go_to(transfer, to.url, status, code);
	leave(&to);
	free(location);
	return answer;
}
