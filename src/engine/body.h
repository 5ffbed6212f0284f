/*
 * body.h
 *		The body of a request.
 */
#ifndef WF_BODY_H
#define WF_BODY_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "model/definition.h"

typedef struct WfBody
{
	const char *data; /* text in UTF-8, or bytes; NULL: there is none */
	size_t		len;
	const char *type; /* for Content-Type */
} WfBody;

/*
 * Make the body of a request, in CurrentMemoryContext. It is the same for the same variables and `key`, the
 * idempotency key of the visit. Returns false with *fault if it cannot be made.
 */
extern bool wf_body_make(const WfHttpAction *http, const WfVariables *variables, const pg_uuid_t *key, WfBody *body,
						 WfFault *fault);

/* Append name=value&…, both encoded, after a "&" if something has been `started`. Returns false with *fault. */
extern bool wf_body_pairs(const WfPair *pairs, int n, const WfVariables *variables, StringInfo out, bool started,
						  WfFault *fault);

/* A body that was made, to be looked at: JSON as it is, text as a string; else as base64, with *encoded set. */
extern Jsonb *wf_body_jsonb(const WfHttpAction *http, const char *data, size_t len, bool *encoded);

#endif
