/*
 * handle.c
 *		The easy handle of a transfer, and the options that redirects change.
 *
 * It is kept with its options: only those that differ from request to request are set each time.
 * All functions return false if there is no memory.
 */
#include "postgres.h"

#include "http/http_internal.h"

#ifndef WORKFLOW_VERSION
#define WORKFLOW_VERSION "unknown"
#endif

#define CA_CACHE_SECONDS 10L

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
	/* else a file with authorities that was written anew counts a day later */
	failed |= curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
#endif
	/* empty strings, unlike NULL, make libcurl ignore the proxies that the environment names, and for what it wants none */
	failed |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	failed |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	/* what a proxy answers to CONNECT is no part of the answer */
	failed |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_SOCKS5_AUTH, (long) CURLAUTH_BASIC);
#if LIBCURL_VERSION_NUM >= 0x075500
	failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	failed |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	/* only a large body that is signed asks first, and many a service does not answer that */
	failed |= curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "workflow/" WORKFLOW_VERSION " (PostgreSQL)");
	failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, wf_receive_head);
	failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	failed |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, wf_receive_body);
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
	free(transfer->proxy);
	transfer->ca = transfer->proxy = NULL;
	transfer->settings_valid = false;
	return failed == 0;
}

/* Make the handle, if there is none yet. */
bool
wf_handle_open(WfTransfer *transfer)
{
	if (transfer->easy != NULL)
		return true;
	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL)
		return false;
	transfer->has_engine = false;
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
bool
wf_handle_set_ca(WfTransfer *transfer, const char *ca)
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
 * Set whom to trust, and the HTTP version. HTTP/2 is used over TLS only, where the peer is asked for
 * it; there a request waits for a connection that is being made, to share it. Without TLS it would
 * wait for the first answer.
 */
bool
wf_handle_set_transport(WfTransfer *transfer, bool tls, bool verify, const char *ca)
{
	CURL *easy = transfer->easy;
	int	  failed = 0;

	if (!wf_handle_set_ca(transfer, ca))
		return false;
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
bool
wf_handle_set_method(WfTransfer *transfer, const char *method, const char *body, size_t body_len)
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
