/*
 * url.h
 *		URLs as libcurl reads them: is one of them inside another?
 */
#ifndef WF_URL_H
#define WF_URL_H

#include "postgres.h"

typedef struct WfUrl
{
	char	   *origin; /* "https://host:443": lower case, the port always there */
	char	   *path;	/* as it is sent, without trailing slashes: "" or "/v1" */
	bool		bare;	/* has neither query nor fragment */
} WfUrl;

/* Read `text`. NULL, or what is wrong with it (a constant, to follow "it"). Memory is in CurrentMemoryContext. */
extern const char *wf_url_parse(const char *text, WfUrl *url);

/* Is `url` the same as `base` or below it? */
extern bool wf_url_is_within(const WfUrl *url, const WfUrl *base);

/* The quick answer for a URL that was made by appending to `base`; false means: look closer. */
extern bool wf_url_continues(const char *text, const char *base);

#endif
