/*
 * webhook_start.h
 *		Webhooks that start an instance: what it begins with, and which deliveries came before.
 *
 * All functions are called inside wf_store_enter.
 */
#ifndef WF_WEBHOOK_START_H
#define WF_WEBHOOK_START_H

#include "postgres.h"

#include "model/signature.h"
#include "store/message_start.h"

/* Longest idempotency key, in bytes. */
#define WF_WEBHOOK_MAX_KEY 1024

/* What came to a webhook. */
typedef struct WfWebhookStart
{
	WfMessageStart start;	/* its process and entry, and its business key */
	WfMessage	   message; /* what its instance begins with, as if it had come by a message */
	const char	  *key;		/* NULL: it has no idempotency key */
} WfWebhookStart;

/*
 * Work out the data, the business key and the idempotency key. `body` is NULL if it is empty. Returns false with *fault,
 * whose SQLSTATE is the one that a caller is told.
 */
extern bool wf_webhook_start_prepare(WfWebhookStart *webhook, const WfRawRequest *request, Jsonb *body, WfFault *fault);

/* The instance that this has started before, or one that lives with its business key; 0: none. */
extern int64 wf_webhook_start_known(const WfWebhookStart *webhook);

/*
 * From now on the idempotency key means this instance. Returns false if it means another one already; one that another
 * transaction is about to start is waited for.
 */
extern bool wf_webhook_start_remember(const WfWebhookStart *webhook, int64 instance);

#endif
