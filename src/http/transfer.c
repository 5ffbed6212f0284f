/*
 * transfer.c
 *		One HTTP request: its easy handle, and the callbacks that receive the answer.
 *
 * A transfer owns copies of everything in the request, in one block that libcurl points into until
 * the transfer is finished, and the buffers of the answer until it is recycled. Block and buffers
 * are kept for the next request unless they have grown large. The easy handle is kept with its
 * options: only options that differ from request to request are set each time.
 *
 * All memory is malloc'ed, since callbacks grow it inside libcurl, where nothing may throw.
 */
#include "postgres.h"

#include "http/http_internal.h"

#define DEFAULT_MAX_RESPONSE (16 * 1024 * 1024)

#ifndef WORKFLOW_VERSION
#define WORKFLOW_VERSION "unknown"
#endif

/* ---- what libcurl calls ---- */

/* Has an interim head (100 Continue) just ended, so that another head will follow? */
static bool
is_interim(const WfTransfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status / 100 == 1;
}

/*
 * CURLOPT_HEADERFUNCTION: receive one line of a head. After an interim head comes the next head,
 * after a body come trailers.
 */
static size_t
receive_head(char *data, size_t size, size_t nmemb, void *arg)
{
	WfTransfer *transfer = arg;
	size_t		len = size * nmemb;

	if (transfer->head_done)
	{
		if (!transfer->interim)
			return len; /* a trailer, which is ignored */
		transfer->head_done = false;
		transfer->head.len = 0;
	}
	if (transfer->head.len + len > WF_MAX_HEAD_SIZE)
	{
		transfer->too_large = true;
		return 0;
	}
	if (!wf_buffer_append(&transfer->head, data, len) ||
		(transfer->nwithheld > 0 && !wf_cookies_release_withheld(transfer)))
	{
		transfer->out_of_memory = true;
		return 0;
	}
	if (data[0] == '\r' || data[0] == '\n')
	{
		transfer->head_done = true;
		transfer->interim = is_interim(transfer);
	}
	return len;
}

/* CURLOPT_WRITEFUNCTION: receive a piece of the body. */
static size_t
receive_body(char *data, size_t size, size_t nmemb, void *arg)
{
	WfTransfer *transfer = arg;
	size_t		len = size * nmemb;

	if (transfer->body.len + len > transfer->max_response)
	{
		transfer->too_large = true;
		return 0;
	}
	if (!wf_buffer_append(&transfer->body, data, len))
	{
		transfer->out_of_memory = true;
		return 0;
	}
	transfer->http->body_bytes += len;
	return len;
}

static void
forget_body(WfTransfer *transfer)
{
	transfer->http->body_bytes -= transfer->body.len;
	wf_buffer_reset(&transfer->body);
}

/* ---- the easy handle ---- */

/*
 * Set the options that are the same for all requests. Called again after curl_easy_reset, which
 * keeps connections and caches but no options.
 */
static bool
set_constant_options(WfTransfer *transfer)
{
	CURL *easy = transfer->easy;
	int	  failed = 0;

	failed |= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/*
	 * when a request is given up while its host name is being resolved, do not wait for the name
	 * server
	 */
	failed |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	/* an empty string, unlike NULL, makes libcurl ignore the proxies that the environment names */
	failed |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
#if LIBCURL_VERSION_NUM >= 0x075500
	failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	failed |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "workflow/" WORKFLOW_VERSION " (PostgreSQL)");
	failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_head);
	failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	failed |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
	failed |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, wf_socket_open);
	failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	/*
	 * closing gets the WfHttp, not the transfer, since a connection outlives the transfer that
	 * opened it
	 */
	failed |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, wf_socket_close);
	failed |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->http);
	failed |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, wf_socket_check_peer);
	failed |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);

	free(transfer->ca);
	transfer->ca = NULL;
	transfer->settings_valid = false;
	return failed == 0;
}

static bool
open_easy(WfTransfer *transfer)
{
	if (transfer->easy != NULL)
		return true;
	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL)
		return false;
	if (set_constant_options(transfer))
		return true;
	curl_easy_cleanup(transfer->easy);
	transfer->easy = NULL;
	return false;
}

/*
 * Set the CA file. libcurl's own choice of CA, once replaced, comes back only by a reset of the
 * handle.
 */
static bool
set_ca(WfTransfer *transfer, const char *ca)
{
	int failed = 0;

	if (ca == NULL ? transfer->ca == NULL : transfer->ca != NULL && strcmp(ca, transfer->ca) == 0)
		return true;
	if (ca == NULL)
	{
		curl_easy_reset(transfer->easy);
		return set_constant_options(transfer);
	}

	free(transfer->ca);
	transfer->ca = strdup(ca);
	if (transfer->ca == NULL)
	{
		transfer->settings_valid = false;
		return false;
	}
	failed |= curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, ca);
	failed |= curl_easy_setopt(transfer->easy, CURLOPT_CAPATH, NULL);
	return failed == 0;
}

/*
 * Set TLS verification and HTTP version. HTTP/2 is used over TLS only, where the peer is asked for
 * it; there a request waits for a connection that is being made, to share it. Without TLS it would
 * wait for the first answer.
 */
static bool
set_transport(WfTransfer *transfer, bool tls, bool verify)
{
	CURL *easy = transfer->easy;
	int	  failed = 0;

	if (transfer->settings_valid && transfer->tls == tls && transfer->verify == verify)
		return true;
	failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
							   tls ? (long) CURL_HTTP_VERSION_2TLS : (long) CURL_HTTP_VERSION_1_1);
	failed |= curl_easy_setopt(easy, CURLOPT_PIPEWAIT, tls ? 1L : 0L);
	failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
	failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	transfer->tls = tls;
	transfer->verify = verify;
	transfer->settings_valid = failed == 0;
	return failed == 0;
}

/*
 * Set method and body. The order of these options matters, since each of them changes the method.
 */
static bool
set_method(WfTransfer *transfer, const char *method, const char *body, size_t body_len)
{
	CURL	   *easy = transfer->easy;
	const char *custom = method;
	int			failed = 0;

	if (strcmp(method, "HEAD") == 0)
	{
		failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
		failed |= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		custom = NULL;
	}
	else if (body != NULL || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0)
	{
		failed |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
		failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body ? body : "");
		failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) body_len);
		if (strcmp(method, "POST") == 0)
			custom = NULL;
	}
	else
	{
		failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
		failed |= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		if (strcmp(method, "GET") == 0)
			custom = NULL;
	}
	failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, custom);
	return failed == 0;
}

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

/* ---- the request ---- */

/* Is the text a token of RFC 9110, as the names of methods and headers are? */
static bool
is_token_text(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s; s++)
	{
		if (!isalnum((unsigned char) *s) && strchr("!#$%&'*+-.^_`|~", *s) == NULL)
			return false;
		if ((unsigned char) *s >= 0x80)
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
 * set those.
 */
static bool
is_framing_header(const char *name)
{
	static const char *const names[] = {"content-length", "transfer-encoding", "connection",
										"expect",		  "upgrade",		   "te",
										"trailer",		  "keep-alive",		   "proxy-connection"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (pg_strcasecmp(name, names[i]) == 0)
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
 * text. "Name;" is libcurl's syntax for an empty header, "Name:" for leaving out one of its own.
 */
static struct curl_slist *
put_headers(WfTransfer *transfer, const WfHttpRequest *request)
{
	static char		   no_expect[] = "Expect:";
	static char		   no_content_type[] = "Content-Type:";
	struct curl_slist *nodes = (struct curl_slist *) transfer->block.data;
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
	if (!has_content_type)
		nodes[n++].data = no_content_type;
	nodes[n++].data = no_expect;

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
	return size;
}

static bool
set_up_easy(WfTransfer *transfer, const WfHttpRequest *request, bool tls)
{
	return open_easy(transfer) && set_ca(transfer, tls ? request->ca : NULL) && wf_cookies_prepare(transfer, request);
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
	transfer->allow_private = request->allow_private;
	transfer->max_response = request->max_response > 0 ? request->max_response : DEFAULT_MAX_RESPONSE;
	transfer->head_done = false;
	transfer->too_large = false;
	transfer->out_of_memory = false;
	transfer->addresses_tried = 0;
	transfer->socket_errno = 0;
	transfer->refused_class = NULL;
	transfer->error[0] = '\0';

	if (!check_request(transfer, request))
		return false;

	if (!wf_buffer_reserve(&transfer->block, block_size(request)) || !take_easy(transfer, request, tls))
		goto out_of_memory;
	headers = put_headers(transfer, request);
	if (request->body != NULL)
		body = wf_buffer_put(&transfer->block, request->body, request->body_len);

	if (!set_transport(transfer, tls, request->verify) || !set_limits(transfer, request) ||
		!set_method(transfer, request->method, body, request->body_len) ||
		curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK)
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
	forget_body(transfer);
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
	wipe_request(transfer);
	wf_buffer_reset(&transfer->block);
	wf_buffer_reset(&transfer->head);
	forget_body(transfer);
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
	forget_body(transfer);
	free(transfer->block.data);
	free(transfer->head.data);
	free(transfer->body.data);
	free(transfer->headers);
	free(transfer->joined);
	free(transfer->ca);
	free(transfer);
}
