/*
 * callback_url.h
 *		Where callers of asynchronous operations are told.
 */
#ifndef WF_API_CALLBACK_URL_H
#define WF_API_CALLBACK_URL_H

#include "postgres.h"

#include "store/operation.h"

/* ERROR 22023 for a URL that nothing can be sent to, or if the call is not asynchronous. */
extern void wf_callback_url_require(const char *url, bool async);

/*
 * Check the caller's rights to that of the operation, whose process is known, and find the process that posts it, or define it. ERROR
 * 42501 unless he may view the process, 42704 unless a server that he may use covers the URL. To be called inside wf_store_enter.
 */
extern void wf_callback_url_check(WfOperation *operation);

#endif
