/*
 * token.c
 *		Tokens for public webhooks, and for those who started an instance.
 *
 * A token is the serial number, a dot, and an HMAC over what the token is good for and the serial
 * number; of a webhook that starts instances, the number of the process, and its name in place of the serial number; of
 * an instance its number. The key of the HMAC is made with the first definition. pg_dump carries it, so that tokens
 * issued before a restore are good after it. A backend keeps the key until its table changes, of
 * which a trigger tells by an invalidation. The key never leaves this file.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "model/signature.h"
#include "shmem/settings.h"
#include "store/access.h"
#include "store/query.h"
#include "store/token.h"

#define KEY_BYTES 32

static WfQuery q_key = {.sql = "SELECT key, xmin FROM workflow_data.secret"};
static WfQuery q_add_key = {
	.sql = "INSERT INTO workflow_data.secret (key) VALUES ($1) ON CONFLICT DO NOTHING",
	.nargs = 1,
	.argtypes = {BYTEAOID},
};

static const char *const purposes[] = {"callback", "heartbeat"};

static uint8 key[KEY_BYTES];
/* the table from which the key was read, set once its row has committed */
static Oid	key_of = InvalidOid;
static bool key_changed = false; /* the key changed while it was being read */

/* made of the key when it is first asked for */
static uint8 trace_key[WF_TOKEN_TRACE_KEY_BYTES];
static bool	 has_trace_key = false;

/* ---- the key ---- */

void
wf_token_ensure_key(void)
{
	bytea *made;
	Datum  values[1];

	if (wf_query_run(&q_key, NULL, NULL) > 0)
		return;
	made = palloc(VARHDRSZ + KEY_BYTES);
	SET_VARSIZE(made, VARHDRSZ + KEY_BYTES);
	if (!pg_strong_random(VARDATA(made), KEY_BYTES))
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values"));
	values[0] = PointerGetDatum(made);
	wf_query_run(&q_add_key, values, NULL);
}

static void
forget_secret(Datum arg, Oid relid)
{
	if (OidIsValid(relid) && OidIsValid(key_of) && relid != key_of)
		return;
	key_of = InvalidOid;
	key_changed = true;
}

static void
watch_key(void)
{
	static bool watching = false;

	if (!watching)
		CacheRegisterRelcacheCallback(forget_secret, (Datum) 0);
	watching = true;
	key_changed = false;
}

static bool
read_key(Oid table)
{
	bytea		 *stored;
	TransactionId xmin;
	bool		  isnull;

	watch_key();
	if (wf_query_run(&q_key, NULL, NULL) == 0)
		return false;
	stored = DatumGetByteaPP(wf_result(0, 1, &isnull));
	if (VARSIZE_ANY_EXHDR(stored) != KEY_BYTES)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("the key of workflow's tokens has not %d bytes", KEY_BYTES));
	memcpy(key, VARDATA_ANY(stored), KEY_BYTES);
	has_trace_key = false;
	/* a key that this transaction has made is not kept, since it may yet be rolled back */
	xmin = DatumGetTransactionId(wf_result(0, 2, &isnull));
	if (!key_changed && (!TransactionIdIsNormal(xmin) || !TransactionIdIsCurrentTransactionId(xmin)))
		key_of = table;
	return true;
}

bool
wf_token_load_key(void)
{
	Oid		 table = wf_store_relation("secret");
	WfAccess access;
	bool	 found;

	if (likely(table == key_of))
		return true;
	wf_store_enter(&access);
	found = read_key(table);
	wf_store_leave(&access);
	return found;
}

/* ---- tokens ---- */

static void
digest(const char *text, uint8 *result)
{
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);

	if (ctx == NULL || pg_hmac_init(ctx, key, KEY_BYTES) < 0 ||
		pg_hmac_update(ctx, (const uint8 *) text, strlen(text)) < 0 ||
		pg_hmac_final(ctx, result, PG_SHA256_DIGEST_LENGTH) < 0)
	{
		pg_hmac_free(ctx);
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a token"));
	}
	pg_hmac_free(ctx);
}

const uint8 *
wf_token_trace_key(void)
{
	StaticAssertStmt(WF_TOKEN_TRACE_KEY_BYTES == PG_SHA256_DIGEST_LENGTH, "a digest is the key");
	if (!wf_token_load_key())
		return NULL;
	if (!has_trace_key)
		digest("trace", trace_key);
	has_trace_key = true;
	return trace_key;
}

/*
 * Encode bytes as base64url without padding. `text` must have space for WF_TOKEN_PROOF_LEN
 * characters and the terminating 0.
 */
static void
encode(const uint8 *bytes, int len, char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32			  bits = 0;
	int				  nbits = 0;

	for (int i = 0; i < len; i++)
	{
		bits = bits << 8 | bytes[i];
		for (nbits += 8; nbits >= 6; nbits -= 6)
			*text++ = digits[bits >> (nbits - 6) & 0x3f];
	}
	if (nbits > 0)
		*text++ = digits[bits << (6 - nbits) & 0x3f];
	*text = '\0';
}

static void
prove_text(const char *text, char *proof)
{
	uint8 result[PG_SHA256_DIGEST_LENGTH];

	digest(text, result);
	encode(result, sizeof(result), proof);
}

static void
prove(WfTokenPurpose purpose, int64 instance, int64 visit, char *proof)
{
	char text[80];

	snprintf(text, sizeof(text), "%s " INT64_FORMAT "_" INT64_FORMAT, purposes[purpose], instance, visit);
	prove_text(text, proof);
}

static void
prove_webhook(int process_id, const char *name, char *proof)
{
	char *text = psprintf("webhook %d %s", process_id, name);

	prove_text(text, proof);
	pfree(text);
}

static void
prove_instance(int64 instance, char *proof)
{
	char text[40];

	snprintf(text, sizeof(text), "instance " INT64_FORMAT, instance);
	prove_text(text, proof);
}

char *
wf_token_make(WfTokenPurpose purpose, int64 instance, int64 visit)
{
	char proof[WF_TOKEN_PROOF_LEN + 1];

	prove(purpose, instance, visit, proof);
	return psprintf(INT64_FORMAT "_" INT64_FORMAT ".%s", instance, visit, proof);
}

bool
wf_token_is_genuine(WfTokenPurpose purpose, int64 instance, int64 visit, const char *proof)
{
	char expected[WF_TOKEN_PROOF_LEN + 1];

	prove(purpose, instance, visit, expected);
	return wf_equal_in_constant_time(expected, proof, WF_TOKEN_PROOF_LEN);
}

char *
wf_token_make_webhook(int process_id, const char *name)
{
	char proof[WF_TOKEN_PROOF_LEN + 1];

	prove_webhook(process_id, name, proof);
	return psprintf("%d.%s", process_id, proof);
}

bool
wf_token_is_webhook(int process_id, const char *name, const char *proof)
{
	char expected[WF_TOKEN_PROOF_LEN + 1];

	prove_webhook(process_id, name, expected);
	return wf_equal_in_constant_time(expected, proof, WF_TOKEN_PROOF_LEN);
}

char *
wf_token_make_instance(int64 instance)
{
	char proof[WF_TOKEN_PROOF_LEN + 1];

	prove_instance(instance, proof);
	return psprintf(INT64_FORMAT ".%s", instance, proof);
}

bool
wf_token_is_instance(int64 instance, const char *proof)
{
	char expected[WF_TOKEN_PROOF_LEN + 1];

	prove_instance(instance, expected);
	return wf_equal_in_constant_time(expected, proof, WF_TOKEN_PROOF_LEN);
}

/* ---- URLs ---- */

static const char *
make_url(const WfVariables *variables, bool heartbeat)
{
	WfTokenPurpose purpose = heartbeat ? WF_TOKEN_HEARTBEAT : WF_TOKEN_CALLBACK;
	const char	  *base = wf_setting_callback_base;
	int			   len = strlen(base);

	if (variables->visit == 0)
		return NULL;
	while (len > 0 && base[len - 1] == '/')
		len--;
	return psprintf("%.*s/%s/%s", len, base, purposes[purpose],
					wf_token_make(purpose, variables->instance, variables->visit));
}

static bool
has_base(void)
{
	return wf_setting_callback_base != NULL && *wf_setting_callback_base != '\0';
}

/*
 * Refuse a template that asks for a URL which cannot be made: a service without it would never call
 * back.
 */
static const char *
refuse_url(const WfVariables *variables, bool heartbeat)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			has_base() ? errmsg("this database has no key for tokens") : errmsg("workflow.callback_base is not set"));
	return NULL;
}

void
wf_token_offer_urls(WfVariables *variables)
{
	variables->url = has_base() && wf_token_load_key() ? make_url : refuse_url;
}
