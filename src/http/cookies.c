/*
 * cookies.c
 *		The cookie jar of a request that wants one: filled before the request is sent, read after
 *		its answer, then emptied.
 *
 * libcurl's cookie engine lives in the easy handle, which goes from request to request. Switching it
 * on and off costs more than most requests want of it, which neither have nor get a cookie. So it
 * stays on when a request has ended with an empty jar; one that has anything in it is switched off,
 * which empties it. The cookies of a reply are memory of libcurl's and malloc's, freed with the
 * other parts of the reply.
 */
#include "postgres.h"

#include <time.h>

#include "http/http_internal.h"

/*
 * Limits a jar, so that it does not grow for ever. libcurl takes 50 cookies from an answer and
 * sends 150.
 */
#define MAX_COOKIES 300

/* ---- lines: domain, subdomains too, path, secure, expiry, name, value; between them tabs ---- */

/* The n-th field of a cookie line, counted from 0, or NULL. */
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

/* Is it a cookie line? libcurl could read any other line as a command. */
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
put_cookie_line(WfTransfer *transfer, const char *line)
{
	return !is_kept(line, (int64) time(NULL)) ||
		   curl_easy_setopt(transfer->easy, CURLOPT_COOKIELIST, line) != CURLE_OUT_OF_MEMORY;
}

/* Copy the cookie lines to `withheld`, one behind the other, each with its 0 byte. */
static bool
withhold(WfTransfer *transfer, const WfHttpRequest *request)
{
	size_t size = 1;
	char  *at;

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

/* Has the jar any cookie, for whatever domain? */
bool
wf_cookies_are_there(const WfTransfer *transfer)
{
	struct curl_slist *jar = NULL;
	int64			   now = (int64) time(NULL);
	bool			   answer = false;

	if (transfer->has_jar)
		(void) curl_easy_getinfo(transfer->easy, CURLINFO_COOKIELIST, &jar);
	for (struct curl_slist *node = jar; node != NULL; node = node->next)
		answer |= is_kept(node->data, now);
	curl_slist_free_all(jar);
	return answer;
}

/*
 * Empty the jar after an answer that set cookies, as the next hop of the same request again has a
 * Cookie header of its own. False if there is no memory.
 */
bool
wf_cookies_withhold_again(WfTransfer *transfer)
{
	struct curl_slist *jar = NULL;
	size_t			   size = 1;
	char			  *at;

	if (!transfer->has_jar)
		return true;
	if (curl_easy_getinfo(transfer->easy, CURLINFO_COOKIELIST, &jar) != CURLE_OK)
		return false;
	for (struct curl_slist *node = jar; node != NULL; node = node->next)
		size += strlen(node->data) + 1;
	free(transfer->withheld);
	at = transfer->withheld = malloc(size);
	transfer->nwithheld = 0;
	for (struct curl_slist *node = jar; node != NULL && at != NULL; node = node->next)
	{
		at = stpcpy(at, node->data) + 1;
		transfer->nwithheld++;
	}
	curl_slist_free_all(jar);
	return at != NULL && curl_easy_setopt(transfer->easy, CURLOPT_COOKIELIST, "ALL") == CURLE_OK;
}

static bool
switch_on(WfTransfer *transfer)
{
	/* the empty file name switches the engine on without reading a file */
	if (!transfer->has_engine)
		transfer->has_engine = curl_easy_setopt(transfer->easy, CURLOPT_COOKIEFILE, "") == CURLE_OK;
	return transfer->has_engine;
}

static void
switch_off(WfTransfer *transfer)
{
	if (transfer->has_engine)
		(void) curl_easy_setopt(transfer->easy, CURLOPT_COOKIEFILE, NULL);
	transfer->has_engine = false;
}

/* Is nothing in the jar, not even what has expired? */
static bool
is_empty(const WfTransfer *transfer)
{
	struct curl_slist *jar = NULL;
	CURLcode		   code = curl_easy_getinfo(transfer->easy, CURLINFO_COOKIELIST, &jar);
	bool			   answer = code == CURLE_OK && jar == NULL;

	curl_slist_free_all(jar);
	return answer;
}

/*
 * Switch the cookie engine on and fill the jar. Where the request has a Cookie header of its own,
 * the jar must not be sent, so it is filled when the answer begins. False if there is no memory.
 */
bool
wf_cookies_prepare(WfTransfer *transfer, const WfHttpRequest *request)
{
	if (!request->want_cookies)
	{
		switch_off(transfer);
		return true;
	}
	transfer->has_jar = true;
	if (!switch_on(transfer))
		return false;
	if (names_cookies(request))
		return withhold(transfer, request);
	for (int i = 0; i < request->ncookies; i++)
	{
		if (!put_cookie_line(transfer, request->cookies[i]))
			return false;
	}
	return true;
}

/*
 * Has libcurl taken all cookies that it was given? It forgets how many cookies the last answer has
 * set, 50 at most, only when the next request begins: until then a handle at that limit silently
 * takes no more.
 */
bool
wf_cookies_are_complete(WfTransfer *transfer, const WfHttpRequest *request)
{
	int64			   now = (int64) time(NULL);
	struct curl_slist *jar = NULL;
	int				   missing = 0;

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

/*
 * Fill the jar with what was withheld. Called when the answer begins and nothing more is sent, so
 * that what the answer sets and deletes meets the whole jar. False if there is no memory.
 */
bool
wf_cookies_release_withheld(WfTransfer *transfer)
{
	const char *line = transfer->withheld;

	for (; transfer->nwithheld > 0; transfer->nwithheld--)
	{
		if (!put_cookie_line(transfer, line))
			return false;
		line += strlen(line) + 1;
	}
	return true;
}

/* ---- reading it ---- */

/*
 * Make the jar part of the reply. Expired cookies are dropped here, since libcurl drops them only
 * when it sends again. Of too many cookies the oldest are dropped: those of one domain come in the
 * order of their age. False if there is no memory.
 */
bool
wf_cookies_collect(WfTransfer *transfer)
{
	WfHttpReply *reply = &transfer->reply;
	int64		 now = (int64) time(NULL);
	int			 kept = 0;
	int			 excess;

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

/* Empty the jar, and free the cookies of the reply. */
void
wf_cookies_forget(WfTransfer *transfer)
{
	if (!transfer->has_jar)
		return;
	if (transfer->easy != NULL && !is_empty(transfer))
		switch_off(transfer);
	curl_slist_free_all(transfer->jar);
	free(transfer->cookies);
	free(transfer->withheld);
	transfer->jar = NULL;
	transfer->cookies = NULL;
	transfer->withheld = NULL;
	transfer->nwithheld = 0;
	transfer->has_jar = false;
}
