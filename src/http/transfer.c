/*
 * transfer.c
 *		One HTTP request: how it is handed to libcurl, and the life of its transfer.
 *
 * A transfer owns copies of everything in the request, in one block that libcurl points into until
 * the transfer is finished, and the buffers of the answer until it is recycled. Block and buffers
 * are kept for the next request unless they have grown large. The easy handle is kept, too (handle.c).
 *
 * All memory is malloc'ed, since callbacks grow it inside libcurl, where nothing may throw.
 */
#include "postgres.h"

#include "http/http_internal.h"

#define DEFAULT_MAX_RESPONSE (16 * 1024 * 1024)

/* ---- the request ---- */

static bool
set_limits(WfTransfer *transfer, const WfHttpRequest *request)
{
	CURL *easy = transfer->easy;
	long  idle = request->idle_timeout_ms > 0 ? (request->idle_timeout_ms + 999) / 1000 : 60;
	int	  failed = 0;

	failed |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
	failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
	failed |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 0L);
	failed |= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, idle);
	failed |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) transfer->max_response);
	return failed == 0;
}

/* Is the text a token of RFC 9110, as the names of methods and headers are? */
static bool
is_token_text(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s; s++)
	{
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '-' || (*s >= '0' && *s <= '9')) &&
			strchr("!#$%&'*+.^_`|~", *s) == NULL)
			return false;
	}
	return true;
}

static bool
is_header_value(const char *s)
{
	for (; *s; s++)
	{
		if (((unsigned char) *s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	}
	return true;
}

/*
 * Is this a header by which the client frames the body or manages the connection? Callers may not
 * set those. Most names are told from them by their first letter.
 */
static bool
is_framing_header(const char *name)
{
	static const char *const names[] = {"content-length", "transfer-encoding", "connection",
										"expect",		  "upgrade",		   "te",
										"trailer",		  "keep-alive",		   "proxy-connection"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if ((name[0] | 0x20) == names[i][0] && pg_strcasecmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* Refuse a request that cannot be sent exactly as asked. */
static bool
check_request(WfTransfer *transfer, const WfHttpRequest *request)
{
	if (!is_token_text(request->method))
	{
		wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the method is not a valid HTTP method");
		return false;
	}
	for (int i = 0; i < request->nheaders; i++)
	{
		const WfHttpHeader *header = &request->headers[i];
		const char		   *problem = NULL;

		if (!is_token_text(header->name))
			problem = "a header has a name that HTTP does not allow";
		else if (!is_header_value(header->value))
			problem = "has a value with control characters";
		else if (is_framing_header(header->name))
			problem = "may not be given";
		if (problem == NULL)
			continue;
		if (!is_token_text(header->name))
			wf_transfer_fail(transfer, WF_HTTP_REFUSED, "%s", problem);
		else
			wf_transfer_fail(transfer, WF_HTTP_REFUSED, "header \"%.64s\" %s", header->name, problem);
		return false;
	}
	return true;
}

/*
 * Build the header list that libcurl reads, at the start of the block: nodes first, then their
 * text. "Name;" is libcurl's syntax for an empty header, "Name:" for leaving out one of its own: none
 * is in what is signed, since libcurl before 8.3 counts those among what it signs, and services
 * that do not find them reject the signature.
 */
static struct curl_slist *
put_headers(WfTransfer *transfer, const WfHttpRequest *request)
{
	static char		   no_expect[] = "Expect:";
	static char		   no_content_type[] = "Content-Type:";
	struct curl_slist *nodes = (struct curl_slist *) transfer->block.data;
	bool			   is_signed = request->identity != NULL && request->identity->sigv4 != NULL;
	bool			   has_content_type = false;
	int				   n = 0;

	transfer->block.len = sizeof(struct curl_slist) * (request->nheaders + 2);
	for (int i = 0; i < request->nheaders; i++)
	{
		const char *name = request->headers[i].name;
		const char *value = request->headers[i].value;
		char	   *at = transfer->block.data + transfer->block.len;
		size_t		name_len = strlen(name);
		size_t		value_len;

		value += strspn(value, " \t");
		value_len = strlen(value);
		nodes[n++].data = at;
		memcpy(at, name, name_len);
		at += name_len;
		*at++ = value_len > 0 ? ':' : ';';
		if (value_len > 0)
			*at++ = ' ';
		memcpy(at, value, value_len + 1);
		transfer->block.len = at + value_len + 1 - transfer->block.data;
		has_content_type |= pg_strcasecmp(name, "content-type") == 0;
	}
	if (!is_signed)
	{
		if (!has_content_type)
			nodes[n++].data = no_content_type;
		nodes[n++].data = no_expect;
	}

	for (int i = 0; i < n; i++)
		nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
	return nodes;
}

static size_t
block_size(const WfHttpRequest *request)
{
	size_t size = sizeof(struct curl_slist) * (request->nheaders + 2);

	for (int i = 0; i < request->nheaders; i++)
		size += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 3;
	if (request->body != NULL)
		size += request->body_len + 1;
	if (request->secret_query != NULL || request->identity != NULL)
		size += wf_identity_size(request);
	if (request->max_redirects > 0)
		size += wf_redirect_size(request);
	return size;
}

static bool
set_up_easy(WfTransfer *transfer, const WfHttpRequest *request, bool tls)
{
	/* an authority comes first, since it may be a reset */
	return wf_handle_open(transfer) && wf_handle_set_ca(transfer, tls ? request->ca : NULL) &&
		   wf_cookies_prepare(transfer, request);
}

/*
 * Prepare the easy handle with the request's cookie jar. A handle that refuses cookies is replaced;
 * what a new one refuses as well is no cookie any more.
 */
static bool
take_easy(WfTransfer *transfer, const WfHttpRequest *request, bool tls)
{
	if (!set_up_easy(transfer, request, tls))
		return false;
	if (wf_cookies_are_complete(transfer, request))
		return true;
	wf_cookies_forget(transfer);
	curl_easy_cleanup(transfer->easy);
	transfer->easy = NULL;
	return set_up_easy(transfer, request, tls);
}

/*
 * Copy the request and set the handle up. False if the request cannot be sent: then the transfer
 * has its reply.
 */
bool
wf_transfer_prepare(WfTransfer *transfer, const WfHttpRequest *request)
{
	bool			   tls = pg_strncasecmp(request->url, "https:", 6) == 0;
	const char		  *body = NULL;
	struct curl_slist *headers;

	memset(&transfer->reply, 0, sizeof(WfHttpReply));
	transfer->reply.tag = request->tag;
	transfer->started_at = wf_http_clock();
	transfer->timeout_ms = request->timeout_ms;
	/* a proxy is chosen by a superuser, as are servers that may reach private addresses */
	transfer->allow_private = request->allow_private || request->proxy != NULL;
	transfer->from_mapping = request->from_mapping;
	transfer->max_response = request->max_response > 0 ? request->max_response : DEFAULT_MAX_RESPONSE;
	transfer->follow.most = transfer->follow.hops = 0;
	wf_receive_begin(transfer);

	if (!check_request(transfer, request))
		return false;

	if (!wf_buffer_reserve(&transfer->block, block_size(request)) || !take_easy(transfer, request, tls))
		goto out_of_memory;
	headers = put_headers(transfer, request);
	if (request->body != NULL)
		body = wf_buffer_put(&transfer->block, request->body, request->body_len);

	if (request->max_redirects > 0)
		wf_redirect_keep(transfer, request, headers, body);

	if (!wf_handle_set_transport(transfer, tls, request->verify, tls ? request->ca : NULL) ||
		!set_limits(transfer, request) || !wf_handle_set_method(transfer, request->method, body, request->body_len) ||
		curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK)
		goto out_of_memory;
	if ((request->proxy != NULL || transfer->proxy != NULL) &&
		(!wf_proxy_choose(transfer, request) || !wf_proxy_set(transfer, tls)))
		goto out_of_memory;
	/* here libcurl checks only the length of the URL, the rest when the request begins */
	if (request->secret_query != NULL || request->identity != NULL)
	{
		CURLcode code = wf_identity_set(transfer, request, tls);

		if (code == CURLE_OUT_OF_MEMORY)
			goto out_of_memory;
		if (code != CURLE_OK)
		{
			wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the credentials cannot be used: %s", curl_easy_strerror(code));
			return false;
		}
	}
	if (request->secret_query == NULL && curl_easy_setopt(transfer->easy, CURLOPT_URL, request->url) != CURLE_OK)
	{
		wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the URL cannot be used");
		return false;
	}
	return true;

out_of_memory:
	wf_transfer_fail(transfer, WF_HTTP_NO_MEMORY, "out of memory");
	return false;
}

/* ---- giving up ---- */

/*
 * End a transfer whose body crowds out others: drop what has arrived, and make the reply say that
 * all bodies together may take `most` bytes.
 */
void
wf_transfer_give_up(WfTransfer *transfer, int64 most)
{
	transfer->reply.elapsed_us = wf_http_clock() - transfer->started_at;
	wf_transfer_fail(
		transfer, WF_HTTP_CROWDED_OUT,
		"the answer was given up after %zu bytes, as the largest of all that are being received: together they took more "
		"than " INT64_FORMAT " MB of memory",
		transfer->body.len, most / (1024 * 1024));
	wf_receive_drop(transfer);
}

/* ---- life ---- */

/* A new transfer, without an easy handle. NULL if there is no memory. */
WfTransfer *
wf_transfer_create(WfHttp *http)
{
	WfTransfer *transfer = calloc(1, sizeof(WfTransfer));

	if (transfer == NULL)
		return NULL;
	transfer->headers = malloc(WF_MAX_REPLY_HEADERS * sizeof(WfHttpHeader));
	if (transfer->headers == NULL)
	{
		free(transfer);
		return NULL;
	}
	transfer->http = http;
	return transfer;
}

/* Overwrite the request, so that credentials do not outlive it in memory. */
static void
wipe_request(WfTransfer *transfer)
{
	if (transfer->block.len > 0)
		explicit_bzero(transfer->block.data, transfer->block.len);
}

/* Forget request and reply. The handle stays, and so do buffers of usual size. */
void
wf_transfer_recycle(WfTransfer *transfer)
{
	if (transfer->has_secrets)
		wf_identity_forget(transfer);
	if (transfer->has_proxy_user)
		wf_proxy_forget(transfer);
	wipe_request(transfer);
	wf_buffer_reset(&transfer->block);
	wf_buffer_reset(&transfer->head);
	wf_receive_drop(transfer);
	free(transfer->joined);
	transfer->joined = NULL;
	wf_cookies_forget(transfer);
}

void
wf_transfer_destroy(WfTransfer *transfer)
{
	wf_cookies_forget(transfer);
	if (transfer->easy != NULL)
		curl_easy_cleanup(transfer->easy);
	wipe_request(transfer);
	wf_receive_drop(transfer);
	free(transfer->block.data);
	free(transfer->head.data);
	free(transfer->body.data);
	free(transfer->headers);
	free(transfer->joined);
	free(transfer->ca);
	free(transfer->proxy);
	free(transfer);
}
