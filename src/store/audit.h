/*
 * audit.h
 *		The record of what operators and authors have called: one row for each call that has done something, written in its
 *		transaction and kept as the history is. It names no data.
 */
#ifndef WF_AUDIT_H
#define WF_AUDIT_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "model/template.h"

#define WF_AUDIT_ARGUMENTS 8

typedef struct WfAudit
{
	TimestampTz at;	  /* 0: now */
	const char *call; /* name of the function */
	Oid			caller;
	int			process_id; /* 0: about none */
	int64		instance;	/* 0: about none */
	int64		visit;		/* 0: about none */
	WfField		arguments[WF_AUDIT_ARGUMENTS]; /* up to one without a key; texts that are NULL are left out */
} WfAudit;

#define WF_AUDIT_TEXT(name, value) {.key = (name), .kind = WF_FIELD_TEXT, .text = (value)}

/* true, or left out */
#define WF_AUDIT_TRUE(name, value) {.key = (name), .kind = WF_FIELD_TRUE, .omit = !(value)}

/* Inside wf_store_enter. */
extern void wf_audit(const WfAudit *audit);

/*
 * Delete what is older than `retention` (an interval as text) and about no instance that is still there; some of it. True if
 * there may be more. *after is 0 at first.
 */
extern bool wf_audit_purge(const char *retention, TimestampTz *after);

#endif
