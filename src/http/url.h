/*
 * url.h
 *		URLs as libcurl reads them: is one of them inside another?
 */
#ifndef WF_URL_H
#define WF_URL_H

#include "postgres.h"

typedef struct WfUrl
{
	char *origin; /* "https://host:443": in lower case, always with the port */
	char *path;	  /* path as it is sent, without trailing slashes: "" or "/v1" */
	bool  bare;	  /* the URL has neither query nor fragment */
} WfUrl;

/*
 * Parse `text` into *url, allocated in CurrentMemoryContext. Returns NULL, or what is wrong with
 * the URL, a constant text to follow "it".
 */
extern const char *wf_url_parse(const char *text, WfUrl *url);

/* Is `url` the same as `base`, or below it? */
extern bool wf_url_is_within(const WfUrl *url, const WfUrl *base);

/*
 * Does a URL, made by appending to `base`, obviously stay within it? False means that wf_url_parse
 * has to look.
 */
extern bool wf_url_continues(const char *text, const char *base);

/* Has the query of the URL a parameter with that name, of so many bytes? Both are encoded. */
extern bool wf_url_has_parameter(const char *url, const char *name, size_t len);

/* What is wrong with "http://host:port" or "socks5h://host:port" as a proxy, or NULL; a text to follow "it". */
extern const char *wf_url_proxy_problem(const char *text);

#endif
