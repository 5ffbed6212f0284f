/*
 * cookies.c
 *		The jar of a request that wants one: filled before it is sent, read after its answer, then emptied.
 *
 * libcurl's cookie engine lives in the easy handle, which goes from request to request. It is on from
 * wf_cookies_prepare to wf_cookies_forget and off at all other times, with nothing left in it. What is listed for the
 * reply is memory of libcurl's and malloc's, and goes with the transfer's other parts of the reply.
 */
#include "postgres.h"

#include <time.h>

#include "http/http_internal.h"

/* so that a jar does not grow for ever; libcurl takes 50 from an answer and sends 150 */
#define MAX_COOKIES 300

/* ---- lines: domain, subdomains too, path, secure, expiry, name, value; between them tabs ---- */

/* The n-th field, or NULL. */
static const char *
line_field(const char *line, int n)
{
	while (n-- > 0)
	{
		line = strchr(line, '\t');
		if (line == NULL)
			return NULL;
		line++;
	}
	return line;
}

/* What is no such line could be a command to libcurl. */
static bool
is_line(const char *line)
{
	return line_field(line, 5) != NULL && pg_strncasecmp(line, "Set-Cookie:", 11) != 0;
}

static bool
is_expired(const char *line, int64 now)
{
	const char *expiry = line_field(line, 4);
	int64		at = expiry != NULL ? strtoll(expiry, NULL, 10) : 0;

	return at != 0 && at < now;
}

static bool
is_kept(const char *line, int64 now)
{
	return is_line(line) && !is_expired(line, now);
}

/* ---- filling it ---- */

static bool
names_cookies(const WfHttpRequest *request)
{
	for (int i = 0; i < request->nheaders; i++)
	{
		if (pg_strcasecmp(request->headers[i].name, "cookie") == 0)
			return true;
	}
	return false;
}

static bool
put_line(WfTransfer *transfer, const char *line)
{
	return !is_kept(line, (int64) time(NULL)) || curl_easy_setopt(transfer->easy, CURLOPT_COOKIELIST, line) != CURLE_OUT_OF_MEMORY;
}

/* Keep the lines aside, one behind the other. */
static bool
withhold(WfTransfer *transfer, const WfHttpRequest *request)
{
	size_t		size = 1;
	char	   *at;

	for (int i = 0; i < request->ncookies; i++)
		size += strlen(request->cookies[i]) + 1;
	at = transfer->withheld = malloc(size);
	if (at == NULL)
		return false;
	for (int i = 0; i < request->ncookies; i++)
		at = stpcpy(at, request->cookies[i]) + 1;
	transfer->nwithheld = request->ncookies;
	return true;
}

/*
 * Switch the engine on and fill the jar. Where the request has a Cookie header of its own, the jar is not to be sent,
 * and is filled only when the answer begins. False if there is no memory.
 */
bool
wf_cookies_prepare(WfTransfer *transfer, const WfHttpRequest *request)
{
	if (!request->want_cookies)
		return true;
	transfer->has_jar = true;
	/* the file without a name is none */
	if (curl_easy_setopt(transfer->easy, CURLOPT_COOKIEFILE, "") != CURLE_OK)
		return false;
	if (names_cookies(request))
		return withhold(transfer, request);
	for (int i = 0; i < request->ncookies; i++)
	{
		if (!put_line(transfer, request->cookies[i]))
			return false;
	}
	return true;
}

/*
 * Has libcurl taken all that it was given for the jar? What it counts as set by an answer, 50 at most, it forgets only when the
 * next request begins: until then a handle that has reached that takes nothing, and says nothing.
 */
bool
wf_cookies_are_complete(WfTransfer *transfer, const WfHttpRequest *request)
{
	int64		now = (int64) time(NULL);
	struct curl_slist *jar = NULL;
	int			missing = 0;

	if (!transfer->has_jar || transfer->nwithheld > 0)
		return true;
	for (int i = 0; i < request->ncookies; i++)
		missing += is_kept(request->cookies[i], now);
	if (missing == 0)
		return true;
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_COOKIELIST, &jar);
	for (struct curl_slist *node = jar; node != NULL; node = node->next)
		missing--;
	curl_slist_free_all(jar);
	return missing <= 0;
}

/* The answer begins, nothing more is sent: what it sets and deletes is to meet the whole jar. */
bool
wf_cookies_release_withheld(WfTransfer *transfer)
{
	const char *line = transfer->withheld;

	for (; transfer->nwithheld > 0; transfer->nwithheld--)
	{
		if (!put_line(transfer, line))
			return false;
		line += strlen(line) + 1;
	}
	return true;
}

/* ---- reading it ---- */

/*
 * Make the jar part of the reply. What has expired is left out here: libcurl forgets it only when it sends again. Of
 * too many the oldest are left out; those of one domain come in the order of their age. False if there is no memory.
 */
bool
wf_cookies_collect(WfTransfer *transfer)
{
	WfHttpReply *reply = &transfer->reply;
	int64		now = (int64) time(NULL);
	int			kept = 0;
	int			excess;

	if (!transfer->has_jar)
		return true;
	if (curl_easy_getinfo(transfer->easy, CURLINFO_COOKIELIST, &transfer->jar) != CURLE_OK)
		return false;
	for (struct curl_slist *node = transfer->jar; node != NULL; node = node->next)
		kept += is_kept(node->data, now);
	if (kept == 0)
		return true;

	excess = Max(kept - MAX_COOKIES, 0);
	reply->cookies = transfer->cookies = malloc((kept - excess) * sizeof(char *));
	if (reply->cookies == NULL)
		return false;
	for (struct curl_slist *node = transfer->jar; node != NULL; node = node->next)
	{
		if (is_kept(node->data, now) && excess-- <= 0)
			reply->cookies[reply->ncookies++] = node->data;
	}
	return true;
}

/* Switch the engine off, with all that is in it, and give back what the reply had. */
void
wf_cookies_forget(WfTransfer *transfer)
{
	if (!transfer->has_jar)
		return;
	if (transfer->easy != NULL)
		(void) curl_easy_setopt(transfer->easy, CURLOPT_COOKIEFILE, NULL);
	curl_slist_free_all(transfer->jar);
	free(transfer->cookies);
	free(transfer->withheld);
	transfer->jar = NULL;
	transfer->cookies = NULL;
	transfer->withheld = NULL;
	transfer->nwithheld = 0;
	transfer->has_jar = false;
}
