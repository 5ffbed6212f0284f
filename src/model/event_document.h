/*
 * event_document.h
 *		$event: what has happened, as templates see it.
 */
#ifndef WF_EVENT_DOCUMENT_H
#define WF_EVENT_DOCUMENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef struct WfEventDocument
{
	const char *kind;
	const char *name; /* NULL: it has none; so of the others */
	const char *key;
	Jsonb	   *data;
	const char *role;
	const char *person;
	bool		has_person; /* it is a task */
	TimestampTz at;			/* 0: not known */
	const char *timezone;	/* in which the process writes times */
} WfEventDocument;

/* Make {kind, name, key, data, role, at}, perhaps with `person`, with null where there is nothing, in CurrentMemoryContext. */
extern Jsonb *wf_event_document_make(const WfEventDocument *event);

#endif
