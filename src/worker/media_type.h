/*
 * media_type.h
 *		What a Content-Type says of a body.
 */
#ifndef WF_MEDIA_TYPE_H
#define WF_MEDIA_TYPE_H

#include "postgres.h"

typedef struct WfMediaType
{
	bool json;
	char charset[64]; /* as the header has it, without quotes; "": none */
} WfMediaType;

/*
 * Read the value of a Content-Type; NULL: there was no such header. If it lists several types, as happens when proxies
 * add theirs, the last one counts. If that has no charset, and the one before is the same type, its charset counts.
 */
extern void wf_media_type_read(const char *content_type, WfMediaType *type);

#endif
