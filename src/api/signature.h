/*
 * signature.h
 *		What an outside system sends, as it came: verified before it is read.
 */
#ifndef WF_API_SIGNATURE_H
#define WF_API_SIGNATURE_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"

#include "model/signature.h"

/* The largest body, in bytes. */
#define WF_RAW_MAX_BYTES (32 * 1024 * 1024)

/*
 * Arguments n and n + 1: the body, a bytea (NULL: empty), and its headers, a jsonb. ERROR 22023 unless these are an
 * object, 54000 for a body that is too large.
 */
extern WfRawRequest wf_argument_request(FunctionCallInfo fcinfo, int n);

/*
 * ERROR 28000 unless the request has this signature, of the process's owner; 55000 if the owner has no secret to verify it
 * with. To be called inside wf_store_enter.
 */
extern void wf_signature_require(const WfSignature *signature, int process_id, const WfRawRequest *request);

/* The body as JSON; NULL: it is empty. ERROR of class 22 if it is neither, or no UTF-8. */
extern Jsonb *wf_request_json(const WfRawRequest *request);

#endif
