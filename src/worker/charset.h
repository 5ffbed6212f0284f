/*
 * charset.h
 *		In which encoding the bytes of an answer are, by the charset of its Content-Type.
 */
#ifndef WF_CHARSET_H
#define WF_CHARSET_H

#include "postgres.h"

/* Bytes as they came, or, in CurrentMemoryContext, as they can be read. */
typedef struct WfBytes
{
	const char *data;
	size_t		len;
	int			encoding; /* PostgreSQL's number; -1: nobody knows */
} WfBytes;

/*
 * Without a byte order mark, and in an encoding of PostgreSQL's if there is one: UTF-16 and UTF-32 become UTF-8. With
 * charset "" it is taken for UTF-8. False if they are not what they are said to be.
 */
extern bool wf_charset_read(const char *charset, WfBytes *bytes);

#endif
