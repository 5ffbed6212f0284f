/*
 * proxy.c
 *		Requests by way of a proxy, and what its refusals mean.
 *
 * The proxy is the server's, its user and password are those of the mapping. Proxies that the
 * environment names never count (handle.c). A proxy connects to the service in our place, so
 * which addresses are allowed is its matter.
 *
 * Many versions of libcurl give a tunnel through an HTTP proxy to any request for the same host,
 * whoever has opened it (CVE-2026-3784). So a request that has opened one with credentials keeps it
 * to itself; what goes through the proxy without a tunnel has its credentials in each request, and
 * SOCKS connections are told apart by libcurl.
 */
#include "postgres.h"

#include "http/http_internal.h"

static bool
is_socks(const WfTransfer *transfer)
{
	return pg_strncasecmp(transfer->proxy, "socks", 5) == 0;
}

static bool
set_proxy(WfTransfer *transfer, const char *proxy)
{
	char *copy = NULL;

	if (proxy != NULL && transfer->proxy != NULL && strcmp(proxy, transfer->proxy) == 0)
		return true;
	if (proxy != NULL && (copy = strdup(proxy)) == NULL)
		return false;
	free(transfer->proxy);
	transfer->proxy = copy;
	return curl_easy_setopt(transfer->easy, CURLOPT_PROXY, proxy != NULL ? proxy : "") == CURLE_OK;
}

/*
 * Choose the proxy of a request, or that it has none, and say who is calling there. Only for
 * requests that have one, and handles whose last one had.
 */
bool
wf_proxy_choose(WfTransfer *transfer, const WfHttpRequest *request)
{
	CURL *easy = transfer->easy;
	int	  failed = !set_proxy(transfer, request->proxy);

	if (request->proxy == NULL || request->proxy_user == NULL)
		return failed == 0;
	transfer->has_proxy_user = true;
	failed |= curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, request->proxy_user);
	failed |=
		curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, request->proxy_password != NULL ? request->proxy_password : "");
	return failed == 0;
}

/* Before each hop: is its connection shared with other requests? */
bool
wf_proxy_set(WfTransfer *transfer, bool tls)
{
	bool  alone = transfer->has_proxy_user && tls && !is_socks(transfer);
	CURL *easy = transfer->easy;
	int	  failed = 0;

	failed |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, alone ? 1L : 0L);
	if (!alone)
		return failed == 0;
	/* HTTP/2 would let others in while it is open */
	failed |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	transfer->settings_valid = false;
	return failed == 0;
}

/* Let the handle forget who was calling at the proxy. */
void
wf_proxy_forget(WfTransfer *transfer)
{
	transfer->has_proxy_user = false;
	if (transfer->easy == NULL)
		return;
	(void) curl_easy_setopt(transfer->easy, CURLOPT_PROXYUSERNAME, NULL);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_PROXYPASSWORD, NULL);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 0L);
}

/* ---- what the proxy refuses ---- */

static void
credentials_refused(WfTransfer *transfer)
{
	wf_transfer_fail(transfer, WF_HTTP_REFUSED,
					 transfer->has_proxy_user ? "the proxy rejects proxy_user and proxy_password of the user mapping"
											  : "the proxy wants a proxy_user and proxy_password in the user mapping");
}

/* Is an answer with this status the proxy's own, and no answer of the service? Then it is a refusal. */
bool
wf_proxy_answered(WfTransfer *transfer, long status)
{
	if (status != 407 || transfer->tls || is_socks(transfer))
		return false;
	credentials_refused(transfer);
	return true;
}

/* What the proxy has answered to CONNECT. */
static void
tunnel_refused(WfTransfer *transfer, long status)
{
	bool may_be_over = status == 408 || status == 425 || status == 429 || status >= 500;

	if (status == 407)
		credentials_refused(transfer);
	else
		wf_transfer_fail(transfer, may_be_over ? WF_HTTP_CONNECT : WF_HTTP_REFUSED,
						 "the proxy makes no connection to the service: it answered %ld", status);
}

static void
socks_refused(WfTransfer *transfer, const char *text)
{
	long why = 0;

	(void) curl_easy_getinfo(transfer->easy, CURLINFO_PROXY_ERROR, &why);
	switch (why)
	{
		case CURLPX_USER_REJECTED:
		case CURLPX_NO_AUTH:
		case CURLPX_LONG_USER:
		case CURLPX_LONG_PASSWD:
			credentials_refused(transfer);
			break;
		case CURLPX_REPLY_NOT_ALLOWED:
			wf_transfer_fail(transfer, WF_HTTP_REFUSED, "the proxy does not allow a connection to the service");
			break;
		default:
			wf_transfer_fail(transfer, WF_HTTP_CONNECT, "the proxy makes no connection to the service: %s", text);
	}
}

/* Make the reply of a transfer that has failed at its proxy. False if it did not. */
bool
wf_proxy_failed(WfTransfer *transfer, CURLcode code, const char *text)
{
	long status = 0;

	(void) curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	if (status != 0 && status / 100 != 2)
		tunnel_refused(transfer, status);
	else if (code == CURLE_PROXY)
		socks_refused(transfer, text);
	else if (code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_CONNECT)
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "the proxy cannot be reached: %s", text);
	else
		return false;
	return true;
}
