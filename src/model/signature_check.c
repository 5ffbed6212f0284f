/*
 * signature_check.c
 *		Is a request signed, with this secret, and lately?
 *
 * Signatures are compared as texts of the same length, in a time that does not depend on where they differ. What was signed
 * too long ago is told apart only for those who can sign.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "utils/timestamp.h"

#include "model/signature.h"

/* room for SHA-512 in hexadecimal digits */
#define MAX_SIGNATURE (2 * PG_SHA512_DIGEST_LENGTH)
/* seconds since 1970: more digits are no time that a signature has */
#define MAX_TIME_DIGITS 12

bool
wf_equal_in_constant_time(const char *a, const char *b, size_t len)
{
	unsigned char difference = 0;

	for (size_t i = 0; i < len; i++)
		difference |= (unsigned char) a[i] ^ (unsigned char) b[i];
	return difference == 0;
}

/* ---- headers ---- */

/* The text of a header: a string, or a list of one. */
static char *
header_text(const JsonbValue *value)
{
	JsonbValue *only;

	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerSize(value->val.binary.data) != 1)
		return NULL;
	only = getIthJsonbValueFromContainer(value->val.binary.data, 0);
	return only->type == jbvString ? pnstrdup(only->val.string.val, only->val.string.len) : NULL;
}

char *
wf_request_header(const WfRawRequest *request, const char *name, const char **problem)
{
	JsonbIterator	  *it;
	JsonbIteratorToken token;
	JsonbValue		   value;
	bool			   is_it = false;
	char			  *text = NULL;
	int				   n = 0;

	*problem = NULL;
	if (request->headers == NULL)
		return NULL;
	it = JsonbIteratorInit(&request->headers->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			is_it = value.val.string.len == strlen(name) &&
					pg_strncasecmp(value.val.string.val, name, value.val.string.len) == 0;
		else if (token == WJB_VALUE && is_it && n++ == 0)
			text = header_text(&value);
	}
	if (n == 1 && text != NULL)
		return text;
	if (n > 0)
		*problem = psprintf("The header \"%s\" is there more than once, or is no text.", name);
	return NULL;
}

/* The same of one that has to be there. */
static char *
required_header(const WfRawRequest *request, const char *name, const char **problem)
{
	char *text = wf_request_header(request, name, problem);

	if (text == NULL && *problem == NULL)
		*problem = psprintf("The header \"%s\" is missing.", name);
	return text;
}

/* ---- signatures ---- */

/* Add what is signed: the content with its places filled in. */
static bool
add_content(pg_hmac_ctx *ctx, const WfSignature *signature, const char *time, const WfRawRequest *request)
{
	const char *rest = signature->content;

	while (*rest != '\0')
	{
		size_t		literal = strcspn(rest, "{");
		const char *bytes = rest;
		size_t		len = literal;

		if (literal == 0 && strncmp(rest, WF_SIGNED_TIME, strlen(WF_SIGNED_TIME)) == 0)
		{
			bytes = time;
			len = strlen(time);
			rest += strlen(WF_SIGNED_TIME);
		}
		else if (literal == 0 && strncmp(rest, WF_SIGNED_BODY, strlen(WF_SIGNED_BODY)) == 0)
		{
			bytes = request->body;
			len = request->len;
			rest += strlen(WF_SIGNED_BODY);
		}
		else
		{
			len = Max(literal, 1);
			rest += len;
		}
		if (pg_hmac_update(ctx, (const uint8 *) bytes, len) < 0)
			return false;
	}
	return true;
}

static void
encode(const WfSignature *signature, const uint8 *digest, int len, char *text)
{
	static const char digits[] = "0123456789abcdef";
	int				  n = 2 * len;

	if (signature->base64)
		n = pg_b64_encode((const void *) digest, len, text, MAX_SIGNATURE);
	else
		for (int i = 0; i < len; i++)
		{
			text[2 * i] = digits[digest[i] >> 4];
			text[2 * i + 1] = digits[digest[i] & 0xf];
		}
	text[n] = '\0';
}

/* Make the signature that the request has to have: its length is that of the kind. */
static void
sign(const WfSignature *signature, const char *secret, const char *time, const WfRawRequest *request, char *text)
{
	uint8		 digest[PG_SHA512_DIGEST_LENGTH];
	int			 len = signature->sha512 ? PG_SHA512_DIGEST_LENGTH : PG_SHA256_DIGEST_LENGTH;
	pg_hmac_ctx *ctx = pg_hmac_create(signature->sha512 ? PG_SHA512 : PG_SHA256);

	if (ctx == NULL || pg_hmac_init(ctx, (const uint8 *) secret, strlen(secret)) < 0 ||
		!add_content(ctx, signature, time, request) || pg_hmac_final(ctx, digest, len) < 0)
	{
		pg_hmac_free(ctx);
		ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a signature"));
	}
	pg_hmac_free(ctx);
	encode(signature, digest, len, text);
}

/* Is the given one, of `len` characters, the right one? Digits may be in upper case, and base64 without its padding. */
static bool
is_signature(const WfSignature *signature, const char *right, const char *given, size_t len)
{
	char   folded[MAX_SIGNATURE];
	size_t right_len = strlen(right);

	if (signature->base64)
	{
		while (right_len > 0 && right[right_len - 1] == '=')
			right_len--;
		while (len > 0 && given[len - 1] == '=')
			len--;
	}
	if (len != right_len)
		return false;
	for (size_t i = 0; i < len; i++)
		folded[i] = signature->base64 ? given[i] : pg_ascii_tolower((unsigned char) given[i]);
	return wf_equal_in_constant_time(folded, right, len);
}

/* ---- what the headers say ---- */

/* What a request says of its signature. */
typedef struct Claim
{
	const char *header; /* the whole of the header */
	const char *time;	/* "" if there is none */
} Claim;

/* An element "name=value" of the list at *rest, which is moved behind it. Returns the value, with its length, or NULL. */
static const char *
next_of_list(const char **rest, const char *name, size_t *len)
{
	while (**rest != '\0')
	{
		const char *element = *rest + strspn(*rest, " ");
		size_t		n = strcspn(element, ",");

		*rest = element + n + (element[n] == ',');
		if (n > strlen(name) && strncmp(element, name, strlen(name)) == 0)
		{
			*len = n - strlen(name);
			return element + strlen(name);
		}
	}
	return NULL;
}

/* The time of a list, if it has just one. */
static const char *
time_of_list(const char *list)
{
	size_t		len;
	size_t		more;
	const char *time = next_of_list(&list, "t=", &len);

	if (time == NULL || next_of_list(&list, "t=", &more) != NULL)
		return NULL;
	return pnstrdup(time, len);
}

static const char *
read_claim(const WfSignature *signature, const WfRawRequest *request, Claim *claim)
{
	const char *problem;

	claim->time = "";
	claim->header = required_header(request, signature->header, &problem);
	if (claim->header != NULL && signature->timestamp != NULL)
		claim->time = required_header(request, signature->timestamp, &problem);
	if (problem != NULL)
		return problem;
	if (signature->is_list && (claim->time = time_of_list(claim->header)) == NULL)
		return psprintf("The header \"%s\" has no time, or more than one.", signature->header);
	return NULL;
}

static bool
is_signed(const WfSignature *signature, const Claim *claim, const char *right)
{
	size_t		prefix = strlen(signature->prefix);
	const char *rest = claim->header;
	const char *given;
	size_t		len;
	bool		found = false;

	if (!signature->is_list)
		return strncmp(claim->header, signature->prefix, prefix) == 0 &&
			   is_signature(signature, right, claim->header + prefix, strlen(claim->header + prefix));
	while ((given = next_of_list(&rest, "v1=", &len)) != NULL)
		found |= is_signature(signature, right, given, len);
	return found;
}

/* How long ago was it, in seconds? Negative: it is yet to come. False if it is none. */
static bool
time_ago(const char *text, TimestampTz now, int64 *ago)
{
	size_t len = strlen(text);
	int64  seconds;
	int64  now_seconds = now / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;

	if (len == 0 || len > MAX_TIME_DIGITS || strspn(text, "0123456789") != len)
		return false;
	seconds = strtoi64(text, NULL, 10);
	*ago = now_seconds - seconds;
	return true;
}

const char *
wf_signature_problem(const WfSignature *signature, const char *secret, const WfRawRequest *request, TimestampTz now)
{
	char		right[MAX_SIGNATURE + 1];
	Claim		claim;
	const char *problem = read_claim(signature, request, &claim);
	int64		ago;

	if (problem != NULL)
		return problem;
	sign(signature, secret, claim.time, request, right);
	if (!is_signed(signature, &claim, right))
		return psprintf("What the header \"%s\" says is not the signature of this body.", signature->header);
	if (signature->tolerance_ms == 0)
		return NULL;
	if (!time_ago(claim.time, now, &ago))
		return "The time of the signature is none.";
	if (ago * 1000 > signature->tolerance_ms)
		return psprintf("It was signed " INT64_FORMAT " seconds ago.", ago);
	if (-ago * 1000 > signature->tolerance_ms)
		return psprintf("It was signed at a time that comes in " INT64_FORMAT " seconds.", -ago);
	return NULL;
}
