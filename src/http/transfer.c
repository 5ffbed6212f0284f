/*
 * transfer.c
 *		One HTTP request: its easy handle, the callbacks that receive the answer, the verdict.
 *
 * A transfer owns copies of everything in the request, in one block that libcurl points into until the transfer is
 * finished, and the buffers of the answer until it is recycled. Both are kept for the next request unless they have
 * grown large. The easy handle is kept with its options: only what differs from request to request is set each time.
 *
 * All memory is malloc'ed, since callbacks grow it inside libcurl, where nothing may throw.
 */
#include "postgres.h"

#include <ctype.h>
#include <time.h>

#include "http/http_internal.h"

/* of a reply; more are refused, since repeated ones are joined by comparing each with each */
#define MAX_REPLY_HEADERS 512
#define MAX_HEAD_SIZE (256 * 1024)
#define DEFAULT_MAX_RESPONSE (16 * 1024 * 1024)
/* a buffer larger than this is not kept for the next request */
#define KEEP_SIZE (64 * 1024)

#ifndef WORKFLOW_VERSION
#define WORKFLOW_VERSION "unknown"
#endif

/* ---- buffers ---- */

/* Make room for `more` bytes and a terminating 0. */
static bool
buffer_reserve(WfBuffer *buffer, size_t more)
{
	size_t		need = buffer->len + more + 1;
	size_t		size = Max(buffer->size, 1024);
	char	   *data;

	if (need <= buffer->size)
		return true;
	while (size < need)
		size *= 2;
	data = realloc(buffer->data, size);
	if (data == NULL)
		return false;
	buffer->data = data;
	buffer->size = size;
	return true;
}

static bool
buffer_append(WfBuffer *buffer, const char *data, size_t len)
{
	if (!buffer_reserve(buffer, len))
		return false;
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
	return true;
}

static void
buffer_reset(WfBuffer *buffer)
{
	if (buffer->size > KEEP_SIZE)
	{
		free(buffer->data);
		buffer->data = NULL;
		buffer->size = 0;
	}
	buffer->len = 0;
}

/* ---- what libcurl calls ---- */

/* Is the head that has just ended that of an answer to come later, as 100 Continue? */
static bool
is_interim(const WfTransfer *transfer)
{
	long		status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status / 100 == 1;
}

/* CURLOPT_HEADERFUNCTION: a line at a time. What follows an interim head is the next one, what follows a body trailers. */
static size_t
receive_head(char *data, size_t size, size_t nmemb, void *arg)
{
	WfTransfer *transfer = arg;
	size_t		len = size * nmemb;

	if (transfer->head_done)
	{
		if (!transfer->interim)
			return len;			/* a trailer, whatever it looks like */
		transfer->head_done = false;
		transfer->head.len = 0;
	}
	if (transfer->head.len + len > MAX_HEAD_SIZE)
	{
		transfer->too_large = true;
		return 0;
	}
	if (!buffer_append(&transfer->head, data, len) ||
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

/* CURLOPT_WRITEFUNCTION */
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
	if (!buffer_append(&transfer->body, data, len))
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
	buffer_reset(&transfer->body);
}

/* ---- the easy handle ---- */

/* What is the same for all requests. Also after curl_easy_reset, which keeps connections and caches. */
static bool
set_constant_options(WfTransfer *transfer)
{
	CURL	   *easy = transfer->easy;
	int			failed = 0;

	failed |= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* do not wait for a name server when a request is given up while its name is being resolved */
	failed |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	/* an empty string, unlike NULL, keeps proxies of the environment out */
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
	/* a connection outlives the transfer that opened it */
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

/* Whom to trust. The library's own choice of CA comes back only by a reset. */
static bool
set_ca(WfTransfer *transfer, const char *ca)
{
	int			failed = 0;

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
 * TLS and HTTP version. HTTP/2 over TLS only, where the peer is asked; there a request waits for a connection that is
 * being made, to share it. Without TLS it would wait for the first answer.
 */
static bool
set_transport(WfTransfer *transfer, bool tls, bool verify)
{
	CURL	   *easy = transfer->easy;
	int			failed = 0;

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

/* Method and body. The order of these options matters: each of them changes the method. */
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
	else if (body != NULL || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
			 strcmp(method, "PATCH") == 0)
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
	CURL	   *easy = transfer->easy;
	long		idle = request->idle_timeout_ms > 0 ? (request->idle_timeout_ms + 999) / 1000 : 60;
	int			failed = 0;

	failed |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
	failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) request->connect_timeout_ms);
	failed |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 0L);
	failed |= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, idle);
	failed |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) transfer->max_response);
	return failed == 0;
}

/* ---- the request ---- */

/* RFC 9110: a token */
static bool
is_token(const char *s)
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

/* How the body is framed and whether the connection is kept is the client's business, not the caller's. */
static bool
is_framing_header(const char *name)
{
	static const char *const names[] = {"content-length", "transfer-encoding", "connection", "expect",
		"upgrade", "te", "trailer", "keep-alive", "proxy-connection"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (pg_strcasecmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* What cannot be sent as asked is not sent at all. */
static bool
check_request(WfTransfer *transfer, const WfHttpRequest *request)
{
	if (!is_token(request->method))
	{
		wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the method is not a valid HTTP method");
		return false;
	}
	for (int i = 0; i < request->nheaders; i++)
	{
		const WfHttpHeader *header = &request->headers[i];
		const char *problem = NULL;

		if (!is_token(header->name))
			problem = "a header has a name that HTTP does not allow";
		else if (!is_header_value(header->value))
			problem = "has a value with control characters";
		else if (is_framing_header(header->name))
			problem = "may not be given";
		if (problem == NULL)
			continue;
		if (!is_token(header->name))
			wf_transfer_fail(transfer, WF_HTTP_REFUSED, "%s", problem);
		else
			wf_transfer_fail(transfer, WF_HTTP_REFUSED, "header \"%.64s\" %s", header->name, problem);
		return false;
	}
	return true;
}

static char *
block_put(WfTransfer *transfer, const char *data, size_t len)
{
	char	   *at = transfer->block.data + transfer->block.len;

	memcpy(at, data, len);
	at[len] = '\0';
	transfer->block.len += len + 1;
	return at;
}

/*
 * The list that libcurl reads, at the start of the block: nodes first, then their text. "Name;" is libcurl's way to
 * send an empty header, "Name:" its way to leave out one of its own.
 */
static struct curl_slist *
put_headers(WfTransfer *transfer, const WfHttpRequest *request)
{
	static char no_expect[] = "Expect:";
	static char no_content_type[] = "Content-Type:";
	struct curl_slist *nodes = (struct curl_slist *) transfer->block.data;
	bool		has_content_type = false;
	int			n = 0;

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
	size_t		size = sizeof(struct curl_slist) * (request->nheaders + 2);

	for (int i = 0; i < request->nheaders; i++)
		size += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 3;
	if (request->body != NULL)
		size += request->body_len + 1;
	return size;
}

static bool
set_up_easy(WfTransfer *transfer, const WfHttpRequest *request, bool tls)
{
	return open_easy(transfer) && set_ca(transfer, tls ? request->ca : NULL) && wf_cookies_prepare(transfer, request);
}

/* The handle, with the jar that the request brings. What a new one does not take either is no cookie any more. */
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
 * Copy the request and set the handle up. False if it cannot be sent: then the transfer has its reply.
 */
bool
wf_transfer_prepare(WfTransfer *transfer, const WfHttpRequest *request)
{
	bool		tls = pg_strncasecmp(request->url, "https:", 6) == 0;
	const char *body = NULL;
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

	if (!buffer_reserve(&transfer->block, block_size(request)) || !take_easy(transfer, request, tls))
		goto out_of_memory;
	headers = put_headers(transfer, request);
	if (request->body != NULL)
		body = block_put(transfer, request->body, request->body_len);

	if (!set_transport(transfer, tls, request->verify) ||
		!set_limits(transfer, request) ||
		!set_method(transfer, request->method, body, request->body_len) ||
		curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK)
		goto out_of_memory;
	/* checked by libcurl when the request begins, but for its length */
	if (curl_easy_setopt(transfer->easy, CURLOPT_URL, request->url) != CURLE_OK)
	{
		wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the URL cannot be used");
		return false;
	}
	return true;

out_of_memory:
	wf_transfer_fail(transfer, WF_HTTP_CONNECT, "out of memory");
	return false;
}

/* ---- the reply ---- */

void
wf_transfer_fail(WfTransfer *transfer, WfHttpVerdict verdict, const char *fmt, ...)
{
	va_list		args;

	va_start(args, fmt);
	vsnprintf(transfer->message, sizeof(transfer->message), fmt, args);
	va_end(args);
	/* a peer's certificate may have had its say in it, in any encoding */
	for (char *p = transfer->message; *p; p++)
	{
		if ((unsigned char) *p < 0x20 || (unsigned char) *p >= 0x7f)
			*p = '?';
	}
	transfer->reply.verdict = verdict;
	transfer->reply.message = transfer->message;
	transfer->reply.status = 0;
	transfer->reply.headers = NULL;
	transfer->reply.nheaders = 0;
	transfer->reply.body = "";
	transfer->reply.body_len = 0;
	transfer->reply.cookies = NULL;
	transfer->reply.ncookies = 0;
}

/* Cut "Name: value\r\n" into a lower case name and a trimmed value, in place. False if it is no such line. */
static bool
split_header(char *line, char *end, WfHttpHeader *header)
{
	char	   *colon = memchr(line, ':', end - line);
	char	   *value;

	if (colon == NULL || colon == line)
		return false;
	for (char *p = line; p < colon; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	value = colon + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && isspace((unsigned char) end[-1]))
		end--;
	while (colon > line && (colon[-1] == ' ' || colon[-1] == '\t'))
		colon--;
	*colon = '\0';
	*end = '\0';
	header->name = line;
	header->value = value;
	return true;
}

/* Cut the received head into headers; the status line has none. False if there are too many. */
static bool
split_head(WfTransfer *transfer)
{
	char	   *line = transfer->head.data;
	char	   *end = line + transfer->head.len;
	int			n = 0;

	while (line < end)
	{
		char	   *eol = memchr(line, '\n', end - line);
		char	   *next = eol ? eol + 1 : end;

		if (n == MAX_REPLY_HEADERS)
			return false;
		if (line != transfer->head.data &&
			split_header(line, eol ? eol : end, &transfer->headers[n]))
			n++;
		line = next;
	}
	transfer->reply.headers = transfer->headers;
	transfer->reply.nheaders = n;
	return true;
}

/* Append the values of all later headers of the same name to the first one's, at `at`; mark them as merged. */
static char *
join_values(WfHttpHeader *first, WfHttpHeader *end, char *at)
{
	/* a date in a cookie has a comma */
	const char *separator = strcmp(first->name, "set-cookie") == 0 ? "\n" : ", ";
	char	   *joined = at;

	at = stpcpy(at, first->value);
	for (WfHttpHeader *other = first + 1; other < end; other++)
	{
		if (other->name == NULL || strcmp(other->name, first->name) != 0)
			continue;
		at = stpcpy(at, separator);
		at = stpcpy(at, other->value);
		other->name = NULL;
	}
	first->value = joined;
	return at + 1;
}

static bool
is_repeated(const WfHttpHeader *first, const WfHttpHeader *end)
{
	for (const WfHttpHeader *other = first + 1; other < end; other++)
	{
		if (other->name != NULL && strcmp(other->name, first->name) == 0)
			return true;
	}
	return false;
}

static bool
join_repeated_headers(WfTransfer *transfer)
{
	WfHttpHeader *headers = transfer->headers;
	WfHttpHeader *end = headers + transfer->reply.nheaders;
	char	   *at = NULL;
	int			n = 0;

	for (WfHttpHeader *header = headers; header < end; header++)
	{
		if (header->name == NULL || !is_repeated(header, end))
			continue;
		if (at == NULL)
		{
			/* each header's value goes there at most once, with a separator or terminator that its line had room for */
			at = transfer->joined = malloc(transfer->head.len + 2 * transfer->reply.nheaders);
			if (at == NULL)
				return false;
		}
		at = join_values(header, end, at);
	}
	if (at == NULL)
		return true;
	for (WfHttpHeader *header = headers; header < end; header++)
	{
		if (header->name != NULL)
			headers[n++] = *header;
	}
	transfer->reply.nheaders = n;
	return true;
}

static void
answered(WfTransfer *transfer)
{
	WfHttpReply *reply = &transfer->reply;
	long		status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!split_head(transfer))
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "the answer has more than %d headers", MAX_REPLY_HEADERS);
	else if (!join_repeated_headers(transfer) || !wf_cookies_collect(transfer))
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "out of memory");
	else
	{
		reply->verdict = WF_HTTP_ANSWERED;
		reply->status = status;
		reply->body = transfer->body.len > 0 ? transfer->body.data : "";
		reply->body_len = transfer->body.len;
	}
}

/* libcurl has one code for the timeout of the attempt and that of the connection; the former cannot come too early. */
static void
timed_out(WfTransfer *transfer)
{
	int64		elapsed_ms = transfer->reply.elapsed_us / 1000;

	if (transfer->timeout_ms == 0 || elapsed_ms < transfer->timeout_ms)
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "no connection within " INT64_FORMAT " ms", elapsed_ms);
	else
		wf_transfer_fail(transfer, WF_HTTP_TIMEOUT, "no whole answer within %d ms", transfer->timeout_ms);
}

/*
 * Did libcurl itself refuse what the server sends as its head? It takes 100 kB for a line. Older ones say that they are
 * out of memory, which before the status line may be true.
 */
static bool
head_refused(const WfTransfer *transfer, CURLcode code)
{
	if (transfer->head_done || transfer->out_of_memory)
		return false;
#if LIBCURL_VERSION_NUM >= 0x080600
	if (code == CURLE_TOO_LARGE)
		return true;
#endif
	return code == CURLE_OUT_OF_MEMORY && transfer->head.len > 0;
}

/* Why there is no answer, in one sentence. libcurl's own texts name hosts and addresses, never headers or bodies. */
static void
not_answered(WfTransfer *transfer, CURLcode code)
{
	const char *text = transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code);

	if (transfer->too_large && transfer->head_done)
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "the answer is larger than " INT64_FORMAT " bytes",
						 transfer->max_response);
	else if (transfer->too_large)
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "the headers of the answer are larger than %d bytes",
						 MAX_HEAD_SIZE);
	else if (head_refused(transfer, code))
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "a header of the answer is too large");
	else if (transfer->out_of_memory || code == CURLE_OUT_OF_MEMORY)
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "out of memory");
	else if (transfer->refused_class != NULL && transfer->addresses_tried == 0)
		wf_transfer_fail(transfer, WF_HTTP_REFUSED,
						 "the address of the host is not public (%s): only a server with allow_private may reach it",
						 transfer->refused_class);
	else if (code == CURLE_COULDNT_CONNECT && transfer->socket_errno != 0)
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "could not create a socket: %s", strerror(transfer->socket_errno));
	else if (code == CURLE_OPERATION_TIMEDOUT)
		timed_out(transfer);
	else if (code == CURLE_FILESIZE_EXCEEDED)
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "the answer is larger than " INT64_FORMAT " bytes",
						 transfer->max_response);
	else if (code == CURLE_URL_MALFORMAT ||
			 (code == CURLE_UNSUPPORTED_PROTOCOL && transfer->addresses_tried == 0))
		wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the URL cannot be used: %s", text);
	else
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "%s", text);
}

double
wf_http_seconds_until(const char *date)
{
	time_t		at = curl_getdate(date, NULL);
	struct timespec now;

	if (at == (time_t) -1)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	return (double) (at - now.tv_sec) - now.tv_nsec / 1e9;
}

/* libcurl is done with it: make the reply. */
void
wf_transfer_finish(WfTransfer *transfer, CURLcode code)
{
	transfer->reply.elapsed_us = wf_http_clock() - transfer->started_at;
	if (code == CURLE_OK)
		answered(transfer);
	else
		not_answered(transfer, code);
}

/* Its answer is not waited for any longer, and what has come of it is dropped: all of them together may take `most` bytes. */
void
wf_transfer_give_up(WfTransfer *transfer, int64 most)
{
	transfer->reply.elapsed_us = wf_http_clock() - transfer->started_at;
	wf_transfer_fail(transfer, WF_HTTP_CROWDED_OUT,
					 "the answer was given up after %zu bytes, as the largest of all that are being received: together they took more "
					 "than " INT64_FORMAT " MB of memory", transfer->body.len, most / (1024 * 1024));
	forget_body(transfer);
}

/* ---- life ---- */

/* NULL if there is no memory. */
WfTransfer *
wf_transfer_create(WfHttp *http)
{
	WfTransfer *transfer = calloc(1, sizeof(WfTransfer));

	if (transfer == NULL)
		return NULL;
	transfer->headers = malloc(MAX_REPLY_HEADERS * sizeof(WfHttpHeader));
	if (transfer->headers == NULL)
	{
		free(transfer);
		return NULL;
	}
	transfer->http = http;
	return transfer;
}

/* Credentials are not to outlive their request. */
static void
wipe_request(WfTransfer *transfer)
{
	if (transfer->block.len > 0)
		explicit_bzero(transfer->block.data, transfer->block.len);
}

/* Forget request and reply; the handle and buffers of usual size stay. */
void
wf_transfer_recycle(WfTransfer *transfer)
{
	wipe_request(transfer);
	buffer_reset(&transfer->block);
	buffer_reset(&transfer->head);
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
