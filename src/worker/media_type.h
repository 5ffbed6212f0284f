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
	char charset[64]; /* as it stands there, without quotes; "": none */
} WfMediaType;

/*
 * Read the value of the header, NULL if there was none. Of several, as servers and proxies come to send them, the last one
 * counts; it has the charset of the one before, if it is the same type and says none itself.
 */
extern void wf_media_type_read(const char *content_type, WfMediaType *type);

#endif
