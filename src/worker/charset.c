/*
 * charset.c
 *		The encoding of the bytes of an answer, by the charset of its Content-Type.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"

#include "worker/charset.h"

typedef enum Order
{
	NONE, /* PostgreSQL has the encoding, and no order is needed */
	BIG,
	LITTLE,
	UNSAID, /* a byte order mark or the first character has to tell */
} Order;

typedef struct Charset
{
	const char *name; /* in lower case, without anything but letters and digits */
	int			encoding;
	int			width; /* bytes of a code unit of UTF-16 or UTF-32; 0: another encoding */
	Order		order;
} Charset;

/*
 * Names used by MIME and Windows that PostgreSQL does not know. Some stand for a subset of what is sent under them in
 * practice (gb2312): they are read as the whole (GBK).
 */
static const Charset aliases[] = {
	{"usascii", PG_UTF8},
	{"ascii", PG_UTF8},
	{"ansix341968", PG_UTF8},
	{"iso646us", PG_UTF8},
	{"iso646irv1991", PG_UTF8},
	{"iso885911987", PG_LATIN1},
	{"l1", PG_LATIN1},
	{"cp819", PG_LATIN1},
	{"ibm819", PG_LATIN1},
	{"gb2312", PG_GBK},
	{"gb231280", PG_GBK},
	{"xgbk", PG_GBK},
	{"ms936", PG_GBK},
	{"ksc5601", PG_UHC},
	{"ksc56011987", PG_UHC},
	{"ksc56011989", PG_UHC},
	{"korean", PG_UHC},
	{"ms949", PG_UHC},
	{"windows31j", PG_SJIS},
	{"cswindows31j", PG_SJIS},
	{"xsjis", PG_SJIS},
	{"csshiftjis", PG_SJIS},
	{"ms932", PG_SJIS},
	{"xeucjp", PG_EUC_JP},
	{"cnbig5", PG_BIG5},
	{"xxbig5", PG_BIG5},
	{"csbig5", PG_BIG5},
	{"tis620", PG_WIN874},
	{"iso885911", PG_WIN874},
	{"ibm866", PG_WIN866},
	{"utf16", PG_UTF8, 2, UNSAID},
	{"utf16le", PG_UTF8, 2, LITTLE},
	{"utf16be", PG_UTF8, 2, BIG},
	{"ucs2", PG_UTF8, 2, UNSAID},
	{"iso10646ucs2", PG_UTF8, 2, UNSAID},
	{"utf32", PG_UTF8, 4, UNSAID},
	{"utf32le", PG_UTF8, 4, LITTLE},
	{"utf32be", PG_UTF8, 4, BIG},
	{"ucs4", PG_UTF8, 4, UNSAID},
	{"iso10646ucs4", PG_UTF8, 4, UNSAID},
};

/* ---- names ---- */

/* Reduce a charset to what PostgreSQL compares in names of encodings: letters and digits, in lower case. */
static void
plain_name(const char *charset, char *name, size_t size)
{
	size_t n = 0;

	for (; *charset != '\0' && n < size - 1; charset++)
		if (isalnum((unsigned char) *charset))
			name[n++] = pg_ascii_tolower((unsigned char) *charset);
	name[n] = '\0';
}

/* The encoding of a Windows code page, such as cp1252 or x-cp1252; -1: none. */
static int
code_page(const char *name)
{
	char windows[64];

	if (*name == 'x')
		name++;
	if (strncmp(name, "cp", 2) != 0)
		return -1;
	snprintf(windows, sizeof(windows), "win%s", name + 2);
	return pg_char_to_encoding(windows);
}

static Charset
find_charset(const char *text)
{
	char	name[64];
	Charset charset = {.encoding = PG_UTF8};

	plain_name(text, name, sizeof(name));
	if (name[0] == '\0')
		return charset;
	for (int i = 0; i < lengthof(aliases); i++)
		if (strcmp(name, aliases[i].name) == 0)
			return aliases[i];
	charset.encoding = pg_char_to_encoding(name);
	if (charset.encoding < 0)
		charset.encoding = code_page(name);
	return charset;
}

/* ---- UTF-16 and UTF-32 ---- */

static uint32
get_unit(const char *at, int width, Order order)
{
	uint32 unit = 0;

	for (int i = 0; i < width; i++)
		unit = unit << 8 | (unsigned char) at[order == LITTLE ? width - 1 - i : i];
	return unit;
}

/*
 * Text without a byte order mark is big endian, says RFC 2781. But some services send little endian without a mark. A
 * first code unit that ends with a zero byte, and does not begin with one, gives them away.
 */
static Order
find_order(const WfBytes *bytes, const Charset *charset)
{
	if (charset->order != UNSAID || bytes->len == 0)
		return charset->order;
	if (get_unit(bytes->data, charset->width, LITTLE) == 0xFEFF)
		return LITTLE;
	return bytes->data[0] != '\0' && bytes->data[charset->width - 1] == '\0' ? LITTLE : BIG;
}

/* Read the next character and move *at behind it. Returns -1 if the bytes are no valid character. */
static int64
get_character(const char **at, const char *end, int width, Order order)
{
	uint32 c = get_unit(*at, width, order);
	uint32 low;

	*at += width;
	if (width == 4)
		return c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF) ? -1 : c;
	if (c < 0xD800 || c > 0xDFFF)
		return c;
	if (c > 0xDBFF || *at == end)
		return -1;
	low = get_unit(*at, width, order);
	*at += width;
	return low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : -1;
}

static bool
to_utf8(WfBytes *bytes, const Charset *charset)
{
	int			   width = charset->width;
	const char	  *at = bytes->data;
	const char	  *end = at + bytes->len;
	unsigned char *utf8;
	size_t		   len = 0;
	Order		   order;

	if (bytes->len % width != 0)
		return false;
	order = find_order(bytes, charset);
	/* UTF-8 needs at most three bytes for a unit of two, and four for a unit of four. */
	utf8 = palloc(bytes->len / width * (width == 2 ? 3 : 4) + 1);
	if (at < end && get_unit(at, width, order) == 0xFEFF)
		at += width;
	while (at < end)
	{
		int64 c = get_character(&at, end, width, order);

		if (c < 0)
			return false;
		unicode_to_utf8((pg_wchar) c, utf8 + len);
		len += pg_utf_mblen(utf8 + len);
	}
	utf8[len] = '\0';
	bytes->data = (char *) utf8;
	bytes->len = len;
	return true;
}

bool
wf_charset_read(const char *charset, WfBytes *bytes)
{
	Charset found = find_charset(charset);

	bytes->encoding = found.encoding;
	if (found.width > 0)
		return to_utf8(bytes, &found);
	if (found.encoding == PG_UTF8 && bytes->len >= 3 && memcmp(bytes->data, "\xEF\xBB\xBF", 3) == 0)
	{
		bytes->data += 3;
		bytes->len -= 3;
	}
	return true;
}
