/*
 * call_headers.h
 *		The headers of the call that a session makes.
 */
#ifndef WF_CALL_HEADERS_H
#define WF_CALL_HEADERS_H

#include "postgres.h"

#include "utils/jsonb.h"

/*
 * An object of names in lower case and values, in CurrentMemoryContext; NULL: there are none. They are those of the
 * setting workflow.on_behalf, or, if that is empty, of request.headers, which PostgREST sets for each of its
 * transactions. ERROR 22023 if the former is no such object, or a value cannot be that of a header; of the latter, what
 * cannot be used is left out.
 */
extern Jsonb *wf_call_headers(void);

#endif
