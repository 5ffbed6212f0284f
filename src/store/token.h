/*
 * token.h
 *		Tokens for public webhooks, and for those who started an instance: a serial number, or the number of a process or an
 *		instance, and the proof that we have issued it.
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

/* length of the proof behind the dot: 32 bytes in base64url */
#define WF_TOKEN_PROOF_LEN 43

/* Make sure that this database has a key. To be called inside wf_store_enter. */
extern void wf_token_ensure_key(void);

/* A token, such as "5_31.…", in CurrentMemoryContext. wf_token_load_key must have been called. */
extern char *wf_token_make(WfTokenPurpose purpose, int64 instance, int64 visit);

/*
 * Is this the proof that wf_token_make gives? The comparison takes the same time for every proof.
 */
extern bool wf_token_is_genuine(WfTokenPurpose purpose, int64 instance, int64 visit, const char *proof);

/* The same for the webhook of that name which starts instances of the process: "5.…". */
extern char *wf_token_make_webhook(int process_id, const char *name);
extern bool	 wf_token_is_webhook(int process_id, const char *name, const char *proof);

/* The same for an instance: "5.…". */
extern char *wf_token_make_instance(int64 instance);
extern bool	 wf_token_is_instance(int64 instance, const char *proof);

/*
 * A key for numbers of traces, which tells nothing of the one that tokens are made with; NULL: there is no key. Needs a
 * transaction.
 */
#define WF_TOKEN_TRACE_KEY_BYTES 32
extern const uint8 *wf_token_trace_key(void);

/* Read the key, unless it is kept. Needs a transaction. Returns false if there is no key. */
extern bool wf_token_load_key(void);

/*
 * Offer the URLs of webhooks to templates with these variables, if workflow.callback_base is set. A URL is
 * made only when a template asks for it, since few do.
 */
extern void wf_token_offer_urls(WfVariables *variables);

#endif
