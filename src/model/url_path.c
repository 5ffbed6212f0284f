/*
 * url_path.c
 *		Paths that may lead elsewhere than they say.
 *
 * A path with a ".." segment in any spelling is refused rather than resolved, since a server behind
 * a proxy may resolve it otherwise than libcurl does. Pure functions: no state.
 */
#include "postgres.h"

#include "model/url_path.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_ascii_tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character that the two digits behind a '%' encode; -1 if they are none. */
static int
encoded(const char *digits)
{
	int high = hex_digit(digits[0]);
	int low = high < 0 ? -1 : hex_digit(digits[1]);

	return low < 0 ? -1 : high * 16 + low;
}

/*
 * The next character of a path as a lenient server might read it: decodes what matters to segments.
 */
static char
lenient_char(const char **at)
{
	const char *p = *at;
	char		c = *p++;
	int			decoded = c == '%' ? encoded(p) : -1;

	if (decoded == '.' || decoded == '/' || decoded == '\\' || decoded == ';')
	{
		c = (char) decoded;
		p += 2;
	}
	*at = p;
	return c == '\\' ? '/' : c;
}

/* ---- disguises: what some servers decode once more, or decode although it is no encoding ---- */

#define MAX_NESTED 4

static int encoded_again(const char **at, int depth);

/* A hexadecimal digit, which may be encoded itself; moves *at behind it. -1 if there is none. */
static int
digit_again(const char **at, int depth)
{
	const char *p = *at;
	int			digit = hex_digit(*p++);

	if (digit < 0 && **at == '%' && depth < MAX_NESTED)
	{
		digit = encoded_again(&p, depth + 1);
		digit = digit < 0 ? -1 : hex_digit((char) digit);
	}
	if (digit >= 0)
		*at = p;
	return digit;
}

/*
 * The character behind a '%', for a server that decodes as often as there is something to decode:
 * past the "25" that each further encoding has put there, and with digits that are encoded. Moves
 * *at behind it; -1 if nothing is encoded.
 */
static int
encoded_again(const char **at, int depth)
{
	const char *p = *at;
	int			code;

	do
	{
		int high = digit_again(&p, depth);
		int low = high < 0 ? -1 : digit_again(&p, depth);

		code = low < 0 ? -1 : high * 16 + low;
		if (code >= 0)
			*at = p;
	} while (code == '%');
	return code;
}

static bool
is_control(int code)
{
	return (code >= 0 && code < 0x20) || code == 0x7f;
}

static bool
moves(int code)
{
	return code == '.' || code == '/' || code == '\\';
}

/*
 * Is it uXXXX, behind a '%', for a control character, dot or slash, or for what Windows takes for
 * these?
 */
static bool
is_wide_disguise(const char *digits)
{
	static const int alike[] = {0xff0e, 0xff0f, 0xff3c, 0x2024, 0x2044, 0x2215, 0x2216, 0x29f8};
	int				 code = 0;

	if (*digits != 'u' && *digits != 'U')
		return false;
	digits++;
	for (int i = 0; i < 4; i++)
	{
		int digit = digit_again(&digits, 0);

		if (digit < 0)
			return false;
		code = code << 4 | digit;
	}
	for (int i = 0; i < lengthof(alike); i++)
		if (code == alike[i])
			return true;
	return moves(code) || is_control(code);
}

/*
 * Is it overlong UTF-8 for a control character, dot or slash? The following bytes need not be valid
 * ones, since decoders do not look at all their bits.
 */
static bool
is_overlong_disguise(int byte, const char *rest)
{
	static const struct
	{
		int byte;
		int follow;
		int code;
	} first[] = {{0xc0, 1, 0}, {0xc1, 1, 1}, {0xe0, 2, 0}, {0xf0, 3, 0}, {0xf8, 4, 0}, {0xfc, 5, 0}};

	for (int i = 0; i < lengthof(first); i++)
	{
		int code = first[i].code;

		if (byte != first[i].byte)
			continue;
		for (int n = first[i].follow; n > 0; n--)
		{
			if (*rest++ != '%')
				return false;
			byte = encoded_again(&rest, 0);
			if (byte < 0)
				return false;
			code = code << 6 | (byte & 0x3f);
		}
		return moves(code) || is_control(code);
	}
	return false;
}

/*
 * Does a control character stand behind a '%', which a server might drop or end the path at, or a
 * dot or slash in disguise?
 */
static bool
is_disguise(const char *at)
{
	const char *rest = at;
	int			code = encoded_again(&rest, 0);

	return is_control(code) || (rest != at + 2 && moves(code)) || is_wide_disguise(rest) ||
		   is_overlong_disguise(code, rest);
}

/*
 * Find a ".." segment. To some servers what follows a ';' in a segment is its parameters, so that
 * is not counted.
 */
const char *
wf_url_path_problem(const char *text)
{
	/* number of dots that the segment consists of so far; -1: it has other characters */
	int	 dots = 0;
	bool parameters = false;

	while (*text && *text != '?' && *text != '#')
	{
		char c;

		if (*text == '%' && is_disguise(text + 1))
			return "has an encoded control character, or a dot or slash that is encoded twice or in disguise";
		c = lenient_char(&text);
		if (c == '/')
		{
			if (dots == 2)
				break;
			dots = 0;
			parameters = false;
		}
		else if (c == ';')
			parameters = true;
		else if (parameters)
			continue;
		else if (c != '.')
			dots = -1;
		else if (dots >= 0)
			dots++;
	}
	return dots == 2 ? "has a path segment \"..\"" : NULL;
}
