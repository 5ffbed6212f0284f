/*
 * audit.h
 *		The record of what operators and authors have called: one row for each call that changed
 *		something, written in its transaction and kept as long as the history. It stores no data of
 *		instances.
 */
#ifndef WF_AUDIT_H
#define WF_AUDIT_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "model/template.h"

#define WF_AUDIT_ARGUMENTS 13

typedef struct WfAudit
{
	TimestampTz at;	  /* 0: now */
	const char *call; /* name of the SQL function */
	Oid			caller;
	int			process_id; /* 0: the call is about no process */
	int64		instance;	/* 0: about no instance */
	int64		visit;		/* 0: about no visit */
	/* ends at the first one without a key; NULL texts are not stored */
	WfField arguments[WF_AUDIT_ARGUMENTS];
} WfAudit;

#define WF_AUDIT_TEXT(name, value) \
	{ \
		.key = (name), .kind = WF_FIELD_TEXT, .text = (value) \
	}

/* an argument that is stored only if it is true */
#define WF_AUDIT_TRUE(name, value) \
	{ \
		.key = (name), .kind = WF_FIELD_TRUE, .omit = !(value) \
	}

/* Record a call. To be called inside wf_store_enter. */
extern void wf_audit(const WfAudit *audit);

/*
 * Delete some of the records that are older than `retention` (an interval as text) and about no
 * instance that still exists. Returns true if there may be more. *after must be 0 at first.
 */
extern bool wf_audit_purge(const char *retention, TimestampTz *after);

#endif
