/*
 * charset.h
 *		The encoding of the bytes of an answer, by the charset of its Content-Type.
 */
#ifndef WF_CHARSET_H
#define WF_CHARSET_H

#include "postgres.h"

/* Bytes of a body: a reference to those that came, or a converted copy in CurrentMemoryContext. */
typedef struct WfBytes
{
	const char *data;
	size_t		len;
	int			encoding; /* PostgreSQL's number of it; -1: the charset is unknown */
} WfBytes;

/*
 * Set the encoding of *bytes by the name of their charset; "" stands for UTF-8. A byte order mark is removed, and
 * UTF-16 and UTF-32, which PostgreSQL does not have, are converted to UTF-8. Returns false if bytes that are said to
 * be UTF-16 or UTF-32 are not; those in other encodings are not verified.
 */
extern bool wf_charset_read(const char *charset, WfBytes *bytes);

#endif
