/*
 * bytes.c
 *		Bytes as text: JSON has no other way to hold them.
 */
#include "postgres.h"

#include "common/base64.h"

#include "model/bytes.h"

static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
decode_hexadecimal(StringInfo out, const char *digits, int len)
{
	if (len % 2 != 0)
		return false;
	enlargeStringInfo(out, len / 2);
	for (int i = 0; i < len; i += 2)
	{
		int high = digit_value(digits[i]);
		int low = digit_value(digits[i + 1]);

		if (high < 0 || low < 0)
			return false;
		appendStringInfoCharMacro(out, (char) (high << 4 | low));
	}
	return true;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Base64 is often in lines: leave the white space out, if there is any. */
static const char *
without_space(const char *text, int *len)
{
	char *out = NULL;
	int	  n = 0;

	for (int i = 0; i < *len; i++)
	{
		if (is_space(text[i]) && out == NULL)
		{
			out = palloc(*len);
			memcpy(out, text, i);
			n = i;
		}
		else if (out != NULL && !is_space(text[i]))
			out[n++] = text[i];
	}
	if (out == NULL)
		return text;
	*len = n;
	return out;
}

static bool
decode_base64(StringInfo out, const char *text, int len)
{
	int size;
	int n;

	text = without_space(text, &len);
	size = pg_b64_dec_len(len);
	enlargeStringInfo(out, size);
	n = pg_b64_decode(text, len, (void *) (out->data + out->len), size);
	if (n < 0)
		return false;
	out->len += n;
	out->data[out->len] = '\0';
	return true;
}

bool
wf_bytes_decode(StringInfo out, const char *text, int len)
{
	if (len >= 2 && text[0] == '\\' && text[1] == 'x')
		return decode_hexadecimal(out, text + 2, len - 2);
	return decode_base64(out, text, len);
}

char *
wf_bytes_encode(const char *bytes, size_t len, int *text_len)
{
	int	  size = pg_b64_enc_len((int) len);
	char *text = palloc(size + 1);

	*text_len = pg_b64_encode((const void *) bytes, (int) len, text, size);
	return text;
}
