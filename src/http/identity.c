/*
 * identity.c
 *		Secrets of a request that are no headers: a parameter of its URL, a client certificate, and
 *		what an AWS signature is made with.
 *
 * They are copied into the transfer's block, which is wiped when the request has ended; the handle
 * forgets them then. Requests without any never come here.
 */
#include "postgres.h"

#include "http/http_internal.h"

static size_t
length(const char *text)
{
	return text != NULL ? strlen(text) : 0;
}

/* How many bytes do the secrets take in the block, at most? */
size_t
wf_identity_size(const WfHttpRequest *request)
{
	const WfHttpIdentity *identity = request->identity;
	size_t				  size = strlen(request->url) + length(request->secret_query) + 3;

	if (identity != NULL)
		size += length(identity->cert) + 2 * length(identity->key) + length(identity->key_password) + 8;
	return size;
}

/* A fragment, which is not sent, is left out. */
void
wf_identity_put_url(char *out, const char *url, const char *secret_query)
{
	size_t		len = strcspn(url, "#");
	const char *query = memchr(url, '?', len);

	memcpy(out, url, len);
	if (query == NULL)
		out[len++] = '?';
	else if (query + 1 < url + len && url[len - 1] != '&')
		out[len++] = '&';
	strcpy(out + len, secret_query);
}

/* Set the URL with the secret parameter in its query. */
static CURLcode
set_url(WfTransfer *transfer, const WfHttpRequest *request)
{
	char *url = transfer->block.data + transfer->block.len;

	wf_identity_put_url(url, request->url, request->secret_query);
	transfer->block.len += strlen(url) + 1;
	return curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
}

/*
 * libcurl gives a connection to another request if that has the same certificate, whatever its key
 * and password are. So these are added to what it takes for the certificate: the key as it is, which
 * is passed over there, and the password as a comment.
 */
static CURLcode
set_certificate(WfTransfer *transfer, const WfHttpIdentity *identity)
{
	const char		 *key = identity->key != NULL ? identity->key : "";
	const char		 *password = identity->key_password != NULL ? identity->key_password : "";
	size_t			  begin = transfer->block.len;
	struct curl_blob  cert = {.flags = CURL_BLOB_NOCOPY};
	struct curl_blob  separate = {.flags = CURL_BLOB_NOCOPY};
	const char *const parts[] = {identity->cert, "\n", key, "\n# ", password, "\n"};
	CURLcode		  code;

	for (int i = 0; i < lengthof(parts); i++)
	{
		(void) wf_buffer_put(&transfer->block, parts[i], strlen(parts[i]));
		transfer->block.len--;
	}
	cert.data = transfer->block.data + begin;
	cert.len = transfer->block.len - begin;
	transfer->block.len++;
	code = curl_easy_setopt(transfer->easy, CURLOPT_SSLCERT_BLOB, &cert);
	if (code == CURLE_OK && identity->key != NULL)
	{
		separate.data = wf_buffer_put(&transfer->block, key, strlen(key));
		separate.len = strlen(key);
		code = curl_easy_setopt(transfer->easy, CURLOPT_SSLKEY_BLOB, &separate);
	}
	/* without a password, even an empty one, OpenSSL would ask for it at the terminal */
	return code != CURLE_OK ? code : curl_easy_setopt(transfer->easy, CURLOPT_KEYPASSWD, password);
}

static CURLcode
set_signature(WfTransfer *transfer, const WfHttpIdentity *identity)
{
	CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_AWS_SIGV4, identity->sigv4);

	if (code == CURLE_OK)
		code = curl_easy_setopt(transfer->easy, CURLOPT_USERNAME, identity->user);
	return code != CURLE_OK ? code : curl_easy_setopt(transfer->easy, CURLOPT_PASSWORD, identity->password);
}

/* Set the secrets of the request, and its URL if that has one. */
CURLcode
wf_identity_set(WfTransfer *transfer, const WfHttpRequest *request, bool tls)
{
	const WfHttpIdentity *identity = request->identity;
	CURLcode			  code = CURLE_OK;

	transfer->has_secrets = true;
	if (request->secret_query != NULL)
		code = set_url(transfer, request);
	if (code == CURLE_OK && identity != NULL && tls && identity->cert != NULL)
	{
		transfer->has_certificate = true;
		code = set_certificate(transfer, identity);
	}
	if (code == CURLE_OK && identity != NULL && identity->sigv4 != NULL)
		code = set_signature(transfer, identity);
	return code;
}

/* Let the handle forget the secrets of its last request. */
void
wf_identity_forget(WfTransfer *transfer)
{
	transfer->has_secrets = transfer->has_certificate = false;
	if (transfer->easy == NULL)
		return;
	(void) curl_easy_setopt(transfer->easy, CURLOPT_URL, NULL);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_SSLCERT_BLOB, NULL);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_SSLKEY_BLOB, NULL);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_KEYPASSWD, NULL);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_AWS_SIGV4, NULL);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_USERNAME, NULL);
	(void) curl_easy_setopt(transfer->easy, CURLOPT_PASSWORD, NULL);
}
