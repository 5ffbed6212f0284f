/*
 * refused.h
 *		Rows that logical replication has brought, and that could not be brought to their instances.
 *
 * All functions have to be called inside wf_store_enter.
 */
#ifndef WF_REFUSED_H
#define WF_REFUSED_H

#include "postgres.h"

/* `key` NULL: all rows of the table. */
typedef struct WfRefused
{
	int			attachment;
	int			process_id;
	const char *key;
	const char *operation;
	int			sqlerrcode;
	const char *error;
} WfRefused;
extern void wf_refused_add(const WfRefused *refused);

/* The keys of the attachment that were refused, in the order in which they first were, in CurrentMemoryContext. */
extern int wf_refused_keys(int attachment, char ***keys);
/* A key is not refused any more; or is so for another reason. */
extern void wf_refused_delete(int attachment, const char *key);
extern void wf_refused_again(const WfRefused *refused);
extern void wf_refused_delete_all(int attachment);

#endif
