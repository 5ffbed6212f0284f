/*
 * bytes.h
 *		Bytes as text: JSON has no other way to hold them.
 */
#ifndef WF_BYTES_H
#define WF_BYTES_H

#include "postgres.h"

#include "lib/stringinfo.h"

/*
 * Append the bytes that a text stands for: base64, in which white space is passed over, or hexadecimal digits behind
 * "\x", as PostgreSQL shows a bytea. Returns false if it is neither; what was appended then is of no use.
 */
extern bool wf_bytes_decode(StringInfo out, const char *text, int len);

/* Bytes as base64 on one line; *text_len is its length. */
extern char *wf_bytes_encode(const char *bytes, size_t len, int *text_len);

#endif
