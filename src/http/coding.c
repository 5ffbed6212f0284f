/*
 * coding.c
 *		Decode bodies as Content-Encoding says, as far as it is gzip or deflate.
 *
 * A body is decoded when its reply is taken, not as it arrives: so only the decoded bodies that are
 * being handled are in memory, and a body that cannot be decoded is still there as it came. libcurl
 * could decode, but fails where Content-Encoding says "UTF-8", "none" or "aws-chunked", as that of
 * real servers does.
 *
 * The name of a coding is not trusted: a body that does not begin as the coding does was decoded
 * already, by a proxy that left the header. Memory is malloc'ed, and nothing throws, as in
 * transfer.c.
 */
#include "postgres.h"

#include <zlib.h>

#include "http/http_internal.h"

/*
 * The codings of one body that are undone at most; each step may take as much memory as the body
 * itself.
 */
#define MAX_CODINGS	  4
#define BYTES_AT_ONCE 16384

/* windowBits of inflateInit2, which choose the format */
#define WINDOW_GZIP (MAX_WBITS + 16)
#define WINDOW_ZLIB MAX_WBITS
#define WINDOW_RAW	(-MAX_WBITS)

typedef enum Outcome
{
	UNDONE,
	NOT_SO, /* the body does not begin as that coding does */
	CUT_OFF,
	BROKEN,
	TOO_LARGE,
	NO_MEMORY,
} Outcome;

typedef struct Token
{
	const char *text;
	size_t		len;
} Token;

/* ---- what zlib says ---- */

/*
 * Is there more after a complete stream? In gzip another stream may follow; all else is padding,
 * which is ignored. Behind raw deflate, which has no checksum, bytes count as damage.
 */
static Outcome
end_of_stream(z_stream *z, int window, bool *more)
{
	*more = window == WINDOW_GZIP && z->avail_in >= 2 && z->next_in[0] == 0x1f && z->next_in[1] == 0x8b;
	if (*more)
		return inflateReset(z) == Z_OK ? UNDONE : BROKEN;
	return window == WINDOW_RAW && z->avail_in > 0 ? BROKEN : UNDONE;
}

static Outcome
inflate_all(z_stream *z, int window, size_t most, WfBuffer *out)
{
	bool more = true;

	while (more)
	{
		Outcome outcome = UNDONE;
		int		code;

		if (!wf_buffer_reserve(out, BYTES_AT_ONCE))
			return NO_MEMORY;
		z->next_out = (Bytef *) out->data + out->len;
		z->avail_out = (uInt) Min(out->size - out->len - 1, most + 1 - out->len);
		code = inflate(z, Z_NO_FLUSH);
		out->len = (char *) z->next_out - out->data;
		if (out->len > most)
			return TOO_LARGE;
		if (code == Z_STREAM_END)
			outcome = end_of_stream(z, window, &more);
		else if (code == Z_MEM_ERROR)
			return NO_MEMORY;
		else if (code != Z_OK && code != Z_BUF_ERROR)
			return BROKEN;
		else if (z->avail_out > 0)
			return CUT_OFF;
		if (outcome != UNDONE)
			return outcome;
	}
	out->data[out->len] = '\0';
	return UNDONE;
}

static Outcome
unpack(const WfBuffer *in, int window, size_t most, WfBuffer *out)
{
	z_stream z = {.next_in = (Bytef *) in->data, .avail_in = (uInt) in->len};
	Outcome	 outcome;

	if (inflateInit2(&z, window) != Z_OK)
		return NO_MEMORY;
	outcome = inflate_all(&z, window, most, out);
	inflateEnd(&z);
	return outcome;
}

/* ---- codings ---- */

static bool
begins_as_gzip(const WfBuffer *body)
{
	const unsigned char *at = (const unsigned char *) body->data;

	return body->len >= 2 && at[0] == 0x1f && at[1] == 0x8b;
}

/* Does the body begin with a zlib header (RFC 1950: the method, and a check of both bytes)? */
static bool
begins_as_zlib(const WfBuffer *body)
{
	const unsigned char *at = (const unsigned char *) body->data;

	return body->len >= 2 && (at[0] & 0x0f) == Z_DEFLATED && at[0] >> 4 <= MAX_WBITS - 8 &&
		   (at[0] << 8 | at[1]) % 31 == 0;
}

/*
 * Is the body plain text, without control characters? Raw deflate, which may begin with any byte,
 * has some, at the latest at its end.
 */
static bool
is_identity(const WfBuffer *body)
{
	for (size_t i = 0; i < body->len; i++)
	{
		unsigned char c = body->data[i];

		if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
			return false;
	}
	return true;
}

static bool
is_coding_of(const Token *token, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strlen(names[i]) == token->len && pg_strncasecmp(token->text, names[i], token->len) == 0)
			return true;
	return false;
}

/* Names that real servers send for a body that has no coding at all. */
static bool
means_nothing(const Token *token)
{
	static const char *const names[] = {"",			"identity",	  "none", "aws-chunked", "utf-8", "utf8",
										"us-ascii", "iso-8859-1", "7bit", "8bit",		 "binary"};

	return is_coding_of(token, names, lengthof(names));
}

/*
 * The windowBits with which zlib decodes the body; 0 if the body is not coded that way, or the
 * coding is unknown.
 */
static int
find_window(const Token *token, const WfBuffer *body)
{
	static const char *const gzip[] = {"gzip", "x-gzip"};
	static const char *const deflate[] = {"deflate", "x-deflate"};

	if (is_coding_of(token, gzip, lengthof(gzip)))
		return begins_as_gzip(body) ? WINDOW_GZIP : 0;
	if (!is_coding_of(token, deflate, lengthof(deflate)))
		return 0;
	if (begins_as_zlib(body))
		return WINDOW_ZLIB;
	return is_identity(body) ? 0 : WINDOW_RAW;
}

/* ---- Content-Encoding ---- */

/*
 * Take the last coding off the list, without its parameters, quotes and blanks. False if there is
 * none left.
 */
static bool
take_last(const char *list, size_t *len, Token *token)
{
	const char *end = list + *len;
	const char *start = end;
	const char *at;

	if (*len == 0)
		return false;
	while (start > list && start[-1] != ',')
		start--;
	*len = start > list ? start - 1 - list : 0;
	at = memchr(start, ';', end - start);
	if (at != NULL)
		end = at;
	while (start < end && strchr(" \t\"", *start) != NULL)
		start++;
	while (end > start && strchr(" \t\"", end[-1]) != NULL)
		end--;
	token->text = start;
	token->len = end - start;
	return true;
}

static void
replace_body(WfTransfer *transfer, WfBuffer *unpacked)
{
	transfer->http->body_bytes += (int64) unpacked->len - (int64) transfer->body.len;
	wf_buffer_free(&transfer->body);
	transfer->body = *unpacked;
	memset(unpacked, 0, sizeof(*unpacked));
	transfer->reply.body = transfer->body.data;
	transfer->reply.body_len = transfer->body.len;
}

/*
 * Record in the reply how decoding ended. A body that is still encoded is as it came, or as the
 * codings decoded so far have left it.
 */
static void
settle_body(WfTransfer *transfer, Outcome outcome, bool packed)
{
	if (outcome == TOO_LARGE)
		wf_transfer_fail(transfer, WF_HTTP_TOO_LARGE,
						 "the answer is larger than " INT64_FORMAT " bytes when it is unpacked",
						 transfer->max_response);
	else if (outcome == NO_MEMORY)
		wf_transfer_fail(transfer, WF_HTTP_CONNECT, "out of memory");
	else if (outcome == CUT_OFF)
		transfer->reply.packing = WF_HTTP_CUT_OFF;
	else if (outcome == BROKEN)
		transfer->reply.packing = WF_HTTP_BROKEN;
	else if (packed)
		transfer->reply.packing = WF_HTTP_PACKED;
}

/*
 * Decode the body of an answer, and record in its reply how that went. Codings are undone from the
 * last to the first; no step may produce more than max_response bytes.
 */
void
wf_coding_undo(WfTransfer *transfer, const char *content_encoding)
{
	size_t	 left = strlen(content_encoding);
	WfBuffer unpacked = {0};
	Outcome	 outcome = UNDONE;
	bool	 packed = false;
	int		 n = 0;
	Token	 token;

	while (outcome == UNDONE && transfer->body.len > 0 && take_last(content_encoding, &left, &token))
	{
		int window = find_window(&token, &transfer->body);

		if (window == 0)
		{
			packed |= !means_nothing(&token);
			continue;
		}
		outcome =
			++n > MAX_CODINGS ? BROKEN : unpack(&transfer->body, window, (size_t) transfer->max_response, &unpacked);
		if (outcome == UNDONE)
			replace_body(transfer, &unpacked);
	}
	wf_buffer_free(&unpacked);
	settle_body(transfer, outcome, packed);
}
