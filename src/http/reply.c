/*
 * reply.c
 *		What has become of a request: the verdict, and the answer cut into its parts.
 *
 * As in transfer.c, memory is malloc'ed and nothing throws.
 */
#include "postgres.h"

#include <ctype.h>
#include <time.h>

#include "http/http_internal.h"

/*
 * Join folded header lines: a line that begins with a blank continues the one before it, and one
 * space stands for all blanks between them. The status line is never continued.
 */
static void
unfold(WfBuffer *head)
{
	char *from = head->len > 0 ? memchr(head->data, '\n', head->len) : NULL;
	char *end = head->data + head->len;
	char *to;

	if (from == NULL)
		return;
	for (to = ++from; from < end; from++)
	{
		if (*from != '\n' || from + 1 == end || (from[1] != ' ' && from[1] != '\t'))
		{
			*to++ = *from;
			continue;
		}
		while (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r')
			to--;
		while (from + 1 < end && (from[1] == ' ' || from[1] == '\t'))
			from++;
		*to++ = ' ';
	}
	*to = '\0';
	head->len = to - head->data;
}

/*
 * Cut the line "Name: value\r\n" into a name in lower case and a trimmed value, in place. False if
 * it is no header line.
 */
static bool
split_header(char *line, char *end, WfHttpHeader *header)
{
	char *colon = memchr(line, ':', end - line);
	char *value;

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

/*
 * Cut the received head into headers, skipping the status line. False if there are too many
 * headers.
 */
static bool
split_head(WfTransfer *transfer)
{
	char *line = transfer->head.data;
	char *end;
	int	  n = 0;

	unfold(&transfer->head);
	end = line + transfer->head.len;
	while (line < end)
	{
		char *eol = memchr(line, '\n', end - line);
		char *next = eol ? eol + 1 : end;

		if (n == WF_MAX_REPLY_HEADERS)
			return false;
		if (line != transfer->head.data && split_header(line, eol ? eol : end, &transfer->headers[n]))
			n++;
		line = next;
	}
	transfer->reply.headers = transfer->headers;
	transfer->reply.nheaders = n;
	return true;
}

/*
 * Append the values of all later headers of the same name to that of the first, writing to `at`,
 * and mark the later ones as merged.
 */
static char *
join_values(WfHttpHeader *first, WfHttpHeader *end, char *at)
{
	/* values of set-cookie are not joined by commas, since a date in a cookie has one */
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
	char		 *at = NULL;
	int			  n = 0;

	for (WfHttpHeader *header = headers; header < end; header++)
	{
		if (header->name == NULL || !is_repeated(header, end))
			continue;
		if (at == NULL)
		{
			/*
			 * each value is copied at most once, with a separator or terminator that its line had
			 * room for
			 */
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
	long		 status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (transfer->proxy != NULL && wf_proxy_answered(transfer, status))
		return;
	if (!split_head(transfer))
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "the answer has more than %d headers", WF_MAX_REPLY_HEADERS);
	else if (!join_repeated_headers(transfer) || !wf_cookies_collect(transfer))
		wf_transfer_fail(transfer, WF_HTTP_NO_MEMORY, "out of memory");
	else
	{
		reply->verdict = WF_HTTP_ANSWERED;
		reply->status = status;
		reply->body = transfer->body.len > 0 ? transfer->body.data : "";
		reply->body_len = transfer->body.len;
	}
}

/*
 * Tell the timeout of the attempt from that of the connection, for which libcurl has one code. The
 * former cannot come too early.
 */
static void
timed_out(WfTransfer *transfer)
{
	int64 elapsed_ms = transfer->reply.elapsed_us / 1000;

	if (transfer->timeout_ms == 0 || elapsed_ms < transfer->timeout_ms)
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "no connection within " INT64_FORMAT " ms", elapsed_ms);
	else
		wf_transfer_fail(transfer, WF_HTTP_TIMEOUT, "no whole answer within %d ms", transfer->timeout_ms);
}

/*
 * Did libcurl itself refuse the head of the answer? It takes lines of 100 kB at most. Older
 * versions report a longer line as out of memory, which can be true only before the status line.
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

/* A connection that ends within so long was ended by who does not understand what he was sent, or does not want it. */
#define ENDED_AT_ONCE_US 1000000

/* Does the text of a TLS library say that what came is no TLS at all? */
static bool
is_no_tls(const char *text)
{
	return strstr(text, "wrong version number") != NULL || strstr(text, "unexpected TLS packet") != NULL ||
		   strstr(text, "packet length too long") != NULL || strstr(text, "http request") != NULL ||
		   strstr(text, "record layer failure") != NULL;
}

/* Did a new connection end at once, without an answer, or with what is no HTTP? That is what becomes of HTTP where TLS is spoken. */
static bool
is_no_http(const WfTransfer *transfer, CURLcode code)
{
	long connections = 0;

	if (code == CURLE_UNSUPPORTED_PROTOCOL)
		return true;
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connections);
	return (code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING) && transfer->head.len == 0 && connections > 0 &&
		   transfer->reply.elapsed_us < ENDED_AT_ONCE_US;
}

/* What may be the reason, where one side speaks TLS and the other does not. */
static const char *
about_tls(const WfTransfer *transfer, CURLcode code, const char *text)
{
	char *url = NULL;

	(void) curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
	if (url == NULL)
		return "";
	if (pg_strncasecmp(url, "https:", 6) == 0)
		return code == CURLE_SSL_CONNECT_ERROR && is_no_tls(text)
				   ? "; perhaps the service speaks HTTP without TLS at that port, and the url has to begin with http://"
				   : "";
	return is_no_http(transfer, code)
			   ? "; perhaps the service speaks TLS at that port, and the url has to begin with https://"
			   : "";
}

/*
 * Set verdict and message where there is no complete answer. libcurl's own texts name hosts and
 * addresses, never headers or bodies.
 */
static void
not_answered(WfTransfer *transfer, CURLcode code)
{
	const char *text = transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code);

	if (transfer->too_large && transfer->head_done)
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "the answer is larger than " INT64_FORMAT " bytes",
						 transfer->max_response);
	else if (transfer->too_large)
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "the headers of the answer are larger than %d bytes",
						 WF_MAX_HEAD_SIZE);
	else if (head_refused(transfer, code))
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "a header of the answer is too large");
	else if (transfer->out_of_memory || code == CURLE_OUT_OF_MEMORY)
		wf_transfer_fail(transfer, WF_HTTP_NO_MEMORY, "out of memory");
	else if (transfer->refused_class != NULL && transfer->addresses_tried == 0)
		wf_transfer_fail(transfer, WF_HTTP_REFUSED,
						 "the address of the host is not public (%s): only a %s may reach it", transfer->refused_class,
						 transfer->from_mapping ? "user mapping with token_allow_private"
												: "server with allow_private");
	else if (code == CURLE_COULDNT_CONNECT && transfer->socket_errno != 0)
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "could not create a socket: %s", strerror(transfer->socket_errno));
	else if (transfer->proxy != NULL && wf_proxy_failed(transfer, code, text))
		return;
	else if (code == CURLE_OPERATION_TIMEDOUT)
		timed_out(transfer);
	else if (code == CURLE_FILESIZE_EXCEEDED)
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE, "the answer is larger than " INT64_FORMAT " bytes",
						 transfer->max_response);
	else if (code == CURLE_URL_MALFORMAT || (code == CURLE_UNSUPPORTED_PROTOCOL && transfer->addresses_tried == 0))
		wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the URL cannot be used: %s", text);
	else if (code == CURLE_SSL_CERTPROBLEM || (code == CURLE_BAD_FUNCTION_ARGUMENT && transfer->has_certificate))
		/* which of these a key gets that does not fit depends on the version of libcurl */
		wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the client certificate cannot be used: %s", text);
	else if (code == CURLE_BAD_FUNCTION_ARGUMENT)
		wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the request cannot be made: %s", text);
	else
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "%s%s", text, about_tls(transfer, code, text));
}

double
wf_http_seconds_until(const char *date)
{
	time_t			at = curl_getdate(date, NULL);
	struct timespec now;

	if (at == (time_t) -1)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	return (double) (at - now.tv_sec) - now.tv_nsec / 1e9;
}

/* Make the reply of a transfer that libcurl has finished. */
void
wf_transfer_finish(WfTransfer *transfer, CURLcode code)
{
	transfer->reply.elapsed_us = wf_http_clock() - transfer->started_at;
	if (code == CURLE_OK)
		answered(transfer);
	else
		not_answered(transfer, code);
}

/* Decode the body of an answer; called when its reply is taken. */
void
wf_transfer_unpack(WfTransfer *transfer)
{
	for (int i = 0; i < transfer->reply.nheaders; i++)
		if (strcmp(transfer->headers[i].name, "content-encoding") == 0)
		{
			wf_coding_undo(transfer, transfer->headers[i].value);
			break;
		}
}
