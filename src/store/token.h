/*
 * token.h
 *		Tokens for public webhooks: a serial number, and proof that we have given it away.
 */
#ifndef WF_TOKEN_H
#define WF_TOKEN_H

#include "postgres.h"

#include "model/template.h"

typedef enum WfTokenPurpose
{
	WF_TOKEN_CALLBACK,
	WF_TOKEN_HEARTBEAT
} WfTokenPurpose;

/* length of what stands behind the dot: 32 bytes in base64url */
#define WF_TOKEN_PROOF_LEN 43

/* Inside wf_store_enter: there is a key of this database. */
extern void wf_token_ensure_key(void);

/* "5_31.…", in CurrentMemoryContext. After wf_token_load_key. */
extern char *wf_token_make(WfTokenPurpose purpose, int64 instance, int64 visit);

/* Is that what wf_token_make gave? Takes the same time for every answer. */
extern bool wf_token_is_genuine(WfTokenPurpose purpose, int64 instance, int64 visit,
								const char *proof);

/* Within a transaction. False if there is no key. */
extern bool wf_token_load_key(void);

/*
 * Let templates of this scope know their URLs, if workflow.callback_base is set. They are made when one is asked for: few
 * templates do.
 */
extern void wf_token_offer_urls(WfScope *scope);

#endif
