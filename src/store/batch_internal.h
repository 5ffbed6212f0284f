/*
 * batch_internal.h
 *		The hash of a batch's instances, for store/ alone.
 */
#ifndef WF_BATCH_INTERNAL_H
#define WF_BATCH_INTERNAL_H

#include "store/batch.h"

typedef struct WfByIdEntry
{
	int64		id;
	WfInstance *instance;
	char		status; /* simplehash's */
} WfByIdEntry;

#define SH_PREFIX wf_by_id
#define SH_ELEMENT_TYPE WfByIdEntry
#define SH_KEY_TYPE int64
#define SH_SCOPE extern
#define SH_DECLARE
#include "lib/simplehash.h"

#endif
