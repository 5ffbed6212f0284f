/*
 * media_type.c
 *		What a Content-Type says of a body. The parser accepts whatever servers send, also what RFC 9110 does not allow.
 */
#include "postgres.h"

#include "worker/media_type.h"

#define SPACE " \t"

typedef struct Essence
{
	const char *text; /* type/subtype */
	size_t		len;
} Essence;

/*
 * Copy a parameter's value: the inside of a quoted string, or all up to a delimiter; cut off to `size` bytes. Returns
 * the position behind it.
 */
static const char *
take_value(const char *at, char *value, size_t size)
{
	bool   quoted = *at == '"';
	size_t n = 0;

	if (quoted)
		at++;
	while (*at != '\0' && (quoted ? *at != '"' : strchr(";,", *at) == NULL))
	{
		if (quoted && *at == '\\' && at[1] != '\0')
			at++;
		if (n < size - 1)
			value[n++] = *at;
		at++;
	}
	while (n > 0 && strchr(SPACE, value[n - 1]) != NULL)
		n--;
	value[n] = '\0';
	return at;
}

/* Read a parameter, name=value, or skip what stands in its place. Of several charsets the first one counts. */
static const char *
take_parameter(const char *at, WfMediaType *type)
{
	size_t len = strcspn(at, SPACE "=;,");
	bool   is_charset = len == strlen("charset") && pg_strncasecmp(at, "charset", len) == 0;
	char   value[sizeof(type->charset)];

	at += len;
	at += strspn(at, SPACE);
	if (*at == '=')
	{
		at++;
		at = take_value(at + strspn(at, SPACE), value, sizeof(value));
		if (is_charset && type->charset[0] == '\0')
			strlcpy(type->charset, value, sizeof(type->charset));
	}
	return at + strcspn(at, ";,");
}

static bool
is_json(const Essence *essence)
{
	const char *text = essence->text;
	size_t		len = essence->len;

	return (len == 16 && pg_strncasecmp(text, "application/json", 16) == 0) ||
		   (len == 9 && pg_strncasecmp(text, "text/json", 9) == 0) ||
		   (len > 5 && pg_strncasecmp(text + len - 5, "+json", 5) == 0);
}

/* Read one type of the list, up to a comma. It is ignored if it has no slash, or is a wildcard. */
static const char *
take_type(const char *at, Essence *last, WfMediaType *type)
{
	Essence		essence = {.text = at, .len = strcspn(at, SPACE ";,")};
	WfMediaType read = {.json = is_json(&essence)};

	at += essence.len;
	at += strcspn(at, ";,");
	while (*at == ';')
	{
		at++;
		at = take_parameter(at + strspn(at, SPACE), &read);
	}
	if (memchr(essence.text, '/', essence.len) == NULL || *essence.text == '*')
		return at;
	if (read.charset[0] == '\0' && last->len == essence.len &&
		pg_strncasecmp(last->text, essence.text, essence.len) == 0)
		strlcpy(read.charset, type->charset, sizeof(read.charset));
	*last = essence;
	*type = read;
	return at;
}

void
wf_media_type_read(const char *content_type, WfMediaType *type)
{
	Essence last = {NULL, 0};

	memset(type, 0, sizeof(*type));
	while (content_type != NULL && *content_type != '\0')
	{
		content_type = take_type(content_type + strspn(content_type, SPACE), &last, type);
		if (*content_type == ',')
			content_type++;
	}
}
